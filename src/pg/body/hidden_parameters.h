// Hidden parameters: maximal expressions of a body that read no column and are not IMMUTABLE.

#ifndef AGGCACHE_PG_BODY_HIDDEN_PARAMETERS_H
#define AGGCACHE_PG_BODY_HIDDEN_PARAMETERS_H

#include "pg/base/server.h"

namespace aggcache {

// Takes hidden parameters out of the tree: they become parameters number `first` and following. Appends Node * to
// *hidden. Of one that shows the clock, what does not is a hidden parameter of its own, earlier in the list. Calls of
// functions into which nobody looks stay in the tree if it is `stated` what these read.
Query *ExtractHiddenParameters(Query *query, int first, bool stated, List **hidden);

// A function, neither built in nor cached, that the expression calls and that may read anything; or InvalidOid.
Oid FindOpaqueCall(Node *expression);

// One of the list that shows the clock, in terms of the earlier ones: besides them it depends on the clock and, as
// FindExpressionOpacity says, on settings.
Node *ClockExpression(Node *expression, int first, List *hidden);

}  // namespace aggcache

#endif
