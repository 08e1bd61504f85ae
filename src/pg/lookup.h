// Looking a key up in the shared store, and storing under it.

#ifndef AGGCACHE_PG_LOOKUP_H
#define AGGCACHE_PG_LOOKUP_H

#include "pg/server.h"

#include "core/entry_store.h"
#include "pg/dependencies.h"
#include "pg/results.h"
#include "pg/shared.h"

namespace aggcache {

struct Found {
  CallResult result;
  const char *data;  // kHit and kStaleHit: the value's bytes, in memory good until the next look-up
  Size size;
  Xid writer;  // kChanged: who changed it, as far as known
};

// Looks the key up for the active snapshot. Fills last_call with what it learns of the entry.
Found LookUp(const Key &key, ::Snapshot snapshot);

// Whether the result may be and is stored. Returns NULL, or why not in words.
const char *Store(const Definition *definition, const Key &key, const ResultBytes &bytes,
                  const Dependencies &dependencies, ::Snapshot snapshot, uint64_t cost_ns,
                  FunctionStatistics *statistics);

}  // namespace aggcache

#endif
