// Looking a key up: in shared memory, in Redis, or in one after the other, as aggcache.store says. With 'tiered', what
// is found only in Redis is put into shared memory again.

#ifndef AGGCACHE_PG_CALL_LOOKUP_H
#define AGGCACHE_PG_CALL_LOOKUP_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/base/shared.h"
#include "pg/body/definition.h"

namespace aggcache {

struct Found {
  CallResult result;
  const char *data;  // kHit and kStaleHit: the value's bytes, in memory good until the next look-up
  Size size;
  Xid writer;        // kChanged: who changed it, as far as known
  uint64_t flights;  // if Redis was asked: CountFlights of before that
};

// Looks the key up for the active snapshot. Reports what it learns of the entry (call_report.h), and adds what a found
// result rests on to the innermost collection.
Found LookUp(const Definition *definition, const Key &key, ::Snapshot snapshot);

// Gives back the memory of a large value that was found and is no longer needed.
void TrimFound();

}  // namespace aggcache

#endif
