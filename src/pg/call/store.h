// Storing a result: in shared memory, in Redis, or in both, as aggcache.store says. With 'tiered' it is written to both
// at once, so that what shared memory evicts is in Redis already.

#ifndef AGGCACHE_PG_CALL_STORE_H
#define AGGCACHE_PG_CALL_STORE_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/base/shared.h"
#include "pg/body/definition.h"
#include "pg/body/result_bytes.h"

namespace aggcache {

// A result that was computed, and what it rests on.
struct Result {
  const Definition *definition;
  const Key *key;
  ResultBytes bytes;
  Stamp *stamps;  // not settled
  int stamp_count;
  ::Snapshot snapshot;
  int64_t end;  // of what it rests on, by the steady clock; 0: never
  // When it ends itself, with aggcache.ttl; 0: never. Store() may put it off, as it finds out when the result was true.
  int64_t expires_at;
  uint64_t cost_ns;
};

// Stores the result if that is sound. Returns NULL, or why not in words (static text). Settles a copy of the stamps.
// The statistics may be NULL.
const char *Store(Result *result, FunctionStatistics *statistics);

// Puts an entry with settled stamps into shared memory. Returns NULL, or why not.
const char *StoreShared(const NewEntry &entry, FunctionStatistics *statistics);

}  // namespace aggcache

#endif
