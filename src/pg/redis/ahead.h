// Values that are asked for before the calls that need them, many with one command.

#ifndef AGGCACHE_PG_REDIS_AHEAD_H
#define AGGCACHE_PG_REDIS_AHEAD_H

#include "pg/base/server.h"

#include "pg/body/definition.h"
#include "redis/client.h"

namespace aggcache {

// Asks for the values of keys, given by their hashes, that will be taken soon and in this order; forgets those asked
// for earlier. Taking one then waits for what came with it only. At most kMostAhead.
constexpr int kMostAhead = 256;
void ReadAhead(const Definition *definition, const uint64_t *hashes, int count);
// Forgets what was asked for.
void EndReadAhead();
// Takes all replies that are still on their way, before something else takes time: they would be late.
void TakeReadAhead();

// The key is stored now: what was asked for earlier is older than that, and is not to be taken.
void PassOverAhead(uint64_t hash);

// Whether the key was asked for and not taken. Then waits for *reply, as to a GET; NULL: there is none. It is good
// until the next call of a function of this file.
bool TakeAhead(uint64_t hash, const redis::Reply **reply);

}  // namespace aggcache

#endif
