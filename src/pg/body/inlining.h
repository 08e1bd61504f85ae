// Seeing through functions of language sql: their bodies in place of their calls.

#ifndef AGGCACHE_PG_BODY_INLINING_H
#define AGGCACHE_PG_BODY_INLINING_H

#include "pg/base/server.h"

#include "pg/facts/names.h"

namespace aggcache {

// The expression as planned, once and for all. Where planning would replace something by its value of the moment (a
// call of a function that is only declared IMMUTABLE, in a language that may hide anything, or of a function of
// language sql that says 'now'), *at_call is set, and it is as it was.
Expr *PlanUnlessAtCall(Node *expression, bool *at_call);

// Replaces calls of SQL functions by their bodies wherever the planner would, at every depth, so that what they read
// can be seen. Functions that vanish are added to *dependencies (PlanInvalItem), the names in their bodies to *names.
Query *InlineFunctions(Query *query, List **dependencies, NameSet *names);

}  // namespace aggcache

#endif
