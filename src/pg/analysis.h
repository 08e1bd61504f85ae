// Reading a query tree: what forbids caching it, which functions it calls, what of it is a hidden parameter. Each group
// below has a file of its own; what is known of single functions and types is in function_facts.h.

#ifndef AGGCACHE_PG_ANALYSIS_H
#define AGGCACHE_PG_ANALYSIS_H

#include "pg/server.h"

#include "pg/definition.h"

namespace aggcache {

// ---- inlining.cc

// The expression as planned, once and for all. Where planning would replace something by its value of the moment (a
// call of a function that is only declared IMMUTABLE, in a language that may hide anything, or of a function of
// language sql that says 'now'), *at_call is set, and it is as it was.
Expr *PlanUnlessAtCall(Node *expression, bool *at_call);

// Replaces calls of SQL functions by their bodies wherever the planner would, at every depth, so that what they read
// can be seen. Functions that vanish are added to *dependencies (PlanInvalItem), the names in their bodies to *names.
Query *InlineFunctions(Query *query, List **dependencies, NameSet *names);

// ---- refusals.cc

// What a tree refuses to be cached for at creation, if anything: volatile functions, locking clauses, modifying CTEs,
// temporary tables.
Refusal FindRefusal(Query *query);

// Whether a literal in the tree shows the clock, as 'now' does, which parsing has replaced by the moment's value. The
// tree is of this text.
bool HasClockLiteral(Query *query, const char *source);

// Whether a literal of a text, of whatever type, says 'now' or the like.
bool SaysClock(const char *source);

// ---- hidden_parameters.cc

// Takes hidden parameters out of the tree: they become parameters number `first` and following. Appends Node * to
// *hidden. Of one that shows the clock, what does not is a hidden parameter of its own, earlier in the list. Calls of
// functions into which nobody looks stay in the tree if it is `stated` what these read.
Query *ExtractHiddenParameters(Query *query, int first, bool stated, List **hidden);

// A function, neither built in nor cached, that the expression calls and that may read anything; or InvalidOid.
Oid FindOpaqueCall(Node *expression);

// Whether the expression depends on an argument of the cached function.
bool HasParameter(Node *expression);

// One of the list that shows the clock, in terms of the earlier ones: besides them it depends on the clock and, as
// FindExpressionOpacity says, on settings.
Node *ClockExpression(Node *expression, int first, List *hidden);

// Whether the expression shows the clock without rounding it.
bool ShowsClock(Node *expression);

// Whether evaluating the expression can raise an error.
bool CanFail(Node *expression);

// Whether evaluating the expression runs nothing but PostgreSQL's own functions.
bool RunsOnlyBuiltIns(Node *expression);

// Whether the value is made of nothing but fixed functions, values of settings asked for by name, and the role: the
// same in whatever search path and under whatever other settings it is evaluated.
bool ReadsOnlyNamedSettings(Node *expression);

// ---- opacity.cc

struct Opacity {
  const char *obstacle;  // what cannot be seen through; NULL if nothing
  bool reads_settings;   // calls a function that reads settings silently
  bool reads_clock;
  List *calls;  // Oids of functions, not built in, that may read anything; called on rows
};
// REQUIRES: hidden parameters taken out. `families` of the relations that the query reads (called_functions.h).
Opacity FindOpacity(Query *query, const List *families);
// The same of one expression, on arguments.
Opacity FindExpressionOpacity(Node *expression);

// ---- conversions.cc

// Over the conversions between encodings that the tree's functions may find; 0 if those are PostgreSQL's own.
uint64_t FingerprintConversions(Query *query);

// ---- fingerprint.cc

// Adds every function whose EXECUTE privilege running the tree needs.
List *CollectFunctions(Query *query, List *functions);

// Adds every Query of the tree.
List *CollectQueries(Query *query, List *queries);

// 128 bits over the tree, a Query or an expression, and the definitions of the functions that running it calls, named
// or not, and of the types in it. `families` of the relations that it reads (called_functions.h).
void FingerprintTree(Node *tree, const List *families, uint64_t fingerprint[2]);

}  // namespace aggcache

#endif
