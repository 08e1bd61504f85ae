// Clauses that are the same for all calls, so that writers can evaluate them, and expressions that they can evaluate
// for one call.

#ifndef AGGCACHE_PG_WATCH_PREDICATES_H
#define AGGCACHE_PG_WATCH_PREDICATES_H

#include "pg/base/server.h"

namespace aggcache {

// Whether the clause may be evaluated by writers on any row of the relation: it depends on the row alone, cannot raise
// an error, and means the same whatever is defined later.
bool IsConstantPredicate(Node *clause, Index relation);

// The same for any expression, which may depend on parameters of the query as well.
bool IsRowLocal(Node *expression, Index relation);

}  // namespace aggcache

#endif
