// Results in Redis: asks for the value of a key and makes it a result again, or sends one. Whether a result may be used
// is decided by its stamps, as for one in shared memory (lookup.cc).

#ifndef AGGCACHE_PG_REDIS_VALUES_H
#define AGGCACHE_PG_REDIS_VALUES_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/body/definition.h"
#include "redis/frame.h"

namespace aggcache {

// Whether results of the function may be in Redis at all: its types can be checked, or a secret proves them.
bool MayBeInRedis(const Definition *definition);

// The result under the key, if Redis has one that is what this server put there. *contents is good until the next call.
bool FetchFromRedis(const Definition *definition, const Key &key, redis::FrameContents *contents);

// Sends a settled result, without waiting. Returns NULL, or why not in words.
const char *StoreInRedis(const Definition *definition, const NewEntry &entry);

// Removes the result of one call; returns whether there was one. False too if Redis could not be asked.
bool RemoveFromRedis(const Definition *definition, const Key &key);

// Removes, as far as Redis can be asked, all results of functions of this database, or all results of this database.
// Calls visit with the hash of each key that was there, perhaps more than once.
void RemoveAllFromRedis(const List *functions, bool all, void (*visit)(void *context, uint64_t hash), void *context);

// At the end of a transaction: what an error has left behind, and what the latest call was given.
void ForgetRedisValues();

}  // namespace aggcache

#endif
