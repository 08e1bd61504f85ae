// Clauses that are the same for all calls, so that writers can evaluate them.

#ifndef AGGCACHE_PG_WATCH_PREDICATES_H
#define AGGCACHE_PG_WATCH_PREDICATES_H

#include "pg/base/server.h"

namespace aggcache {

// Whether the clause may be evaluated by writers on any row of the relation: it depends on the row alone, cannot raise
// an error, and means the same whatever is defined later.
bool IsConstantPredicate(Node *clause, Index relation);

}  // namespace aggcache

#endif
