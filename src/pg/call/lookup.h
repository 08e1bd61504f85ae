// Looking a key up, and storing under it: in shared memory, in Redis, or in both, as aggcache.store says.
//
// With 'tiered' a result is written to both at once, so that what shared memory evicts is in Redis already; one that is
// found only there is put into shared memory again.

#ifndef AGGCACHE_PG_CALL_LOOKUP_H
#define AGGCACHE_PG_CALL_LOOKUP_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/base/shared.h"
#include "pg/body/definition.h"
#include "pg/body/result_bytes.h"

namespace aggcache {

struct Found {
  CallResult result;
  const char *data;  // kHit and kStaleHit: the value's bytes, in memory good until the next look-up
  Size size;
  Xid writer;        // kChanged: who changed it, as far as known
  uint64_t flights;  // if Redis was asked: CountFlights of before that
};

// Looks the key up for the active snapshot. Fills last_call with what it learns of the entry, and adds what a found
// result rests on to the innermost collection.
Found LookUp(const Definition *definition, const Key &key, ::Snapshot snapshot);

// Gives back the memory of a large value that was found and is no longer needed.
void TrimFound();

// Whether the result may be and is stored. Returns NULL, or why not in words. Settles a copy of the stamps. `end` is of
// what it rests on, 0: never; its own goes to *expires_at if it is later
// than what is there.
const char *Store(const Definition *definition, const Key &key, const ResultBytes &bytes, const Stamp *all_stamps,
                  int stamp_count, ::Snapshot snapshot, int64_t end, int64_t *expires_at, uint64_t cost_ns,
                  FunctionStatistics *statistics);

}  // namespace aggcache

#endif
