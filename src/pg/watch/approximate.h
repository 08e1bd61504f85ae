// Indexes that do not find exactly the rows of a condition, or not in exactly the order of an ordering: what a query
// returns with one depends on settings, on VACUUM, and on rows that are not part of the result. A result of such a plan
// is not kept.

#ifndef AGGCACHE_PG_WATCH_APPROXIMATE_H
#define AGGCACHE_PG_WATCH_APPROXIMATE_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Which index makes what running the plan returns inexact, in words, or NULL. Of relations that are read by functions,
// whose plans are not known, every index counts. REQUIRES: the definition's relations are locked.
const char *FindApproximateIndex(const Definition *definition, PlannedStmt *plan);

// Whether gin_fuzzy_search_limit cuts the results of a GIN index of a relation that is read. Costs nothing where that
// is not set.
bool IsCutByGin(const Definition *definition);

}  // namespace aggcache

#endif
