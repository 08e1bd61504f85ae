// What is known of a function or a type by itself, whatever query it is used in.

#ifndef AGGCACHE_PG_FACTS_FUNCTION_FACTS_H
#define AGGCACHE_PG_FACTS_FUNCTION_FACTS_H

#include "pg/base/server.h"

namespace aggcache {

// Whether an object is one of PostgreSQL's own.
inline bool IsBuiltIn(Oid object) { return object < FirstNormalObjectId; }

// Whether values of the type are rows, or hold rows. Their type may change without a change of any relation that is
// read.
bool HoldsRows(Oid type);

// Whether a text has a word that input functions of dates and times replace by the moment: now, today and the like.
bool HasClockWord(const char *text);

// Whether a literal of a type, by its text as it is after quotes and escapes, means another moment every day: such a
// word where the type is of dates or times or holds some, at whatever depth; a time with a zone whose offset is
// today's.
bool IsClockText(const char *text, Oid type);

// Whether it tells the moment at which the transaction or the statement began.
bool IsClockFunction(Oid function);
bool IsClockValue(SQLValueFunctionOp op);

// Whether the value of this function depends on its arguments alone, and provably will after any DDL (audited.h).
bool IsFixed(Oid function);

// Whether the function is one of PostgreSQL's own or in C.
bool IsCompiled(Oid function);

// The function that takes elements out of values of the type of a SubscriptingRef.
Oid SubscriptingHandler(Node *node);

// The aggregate or window function that the node calls, or InvalidOid.
Oid AggregateOf(Node *node);

// Calls visit for the support functions of an aggregate until it says true, and returns that.
using FunctionVisitor = bool (*)(Oid function, void *context);
bool VisitAggregateSupport(Oid aggregate, FunctionVisitor visit, void *context);

}  // namespace aggcache

#endif
