// Clauses that are the same for all calls, so that writers can evaluate them, and expressions that they can evaluate
// for one call.

#ifndef AGGCACHE_PG_WATCH_PREDICATES_H
#define AGGCACHE_PG_WATCH_PREDICATES_H

#include "pg/base/server.h"

namespace aggcache {

// Whether the clause may be evaluated by writers on any row of the relation: it depends on the row alone, cannot raise
// an error, and means the same whatever is defined later.
bool IsConstantPredicate(Node *clause, Index relation);

// Whether writers may evaluate an expression for one call: it depends on the row and on parameters of the query alone,
// and means the same whatever is defined later. Sets *may_fail if it may raise an error that depends on the row, which
// is one of PostgreSQL's own functions' then; else it is left.
bool IsRowLocal(Node *expression, Index relation, bool *may_fail);

}  // namespace aggcache

#endif
