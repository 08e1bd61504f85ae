// Calls that are described rather than made: a function and its arguments, given to a function of the extension.

#ifndef AGGCACHE_PG_DESCRIBED_CALL_H
#define AGGCACHE_PG_DESCRIBED_CALL_H

#include "pg/server.h"

#include "pg/definition.h"
#include "pg/inspection.h"

namespace aggcache {

struct DescribedCall {
  Oid function;
  int count;
  Datum *values;
  Oid *types;
  bool *nulls;
  Oid expected[FUNC_MAX_ARGS];  // the function's own types
  Oid collation;
  Oid result;  // type
  bool strict;
  Definition *definition;  // once prepared; good until the next call of FindDefinition
  NullableDatum *hidden;   // the definition's hidden parameters
};

// Takes the function and the arguments, of any type, from a call of f(regprocedure, VARIADIC "any").
void DescribeCall(FunctionCallInfo fcinfo, DescribedCall *call);

// Makes the arguments those of the function, with the defaults of those that are not given, finds the definition and
// evaluates the hidden parameters. Returns why such a call is not cached, or NULL. Errors of arguments are raised.
const char *PrepareCall(DescribedCall *call);

// Makes a value one of another type, as an assignment would, or else through its text form.
Datum CoerceValue(Datum value, Oid from, Oid to);

// The call as an expression, of a prepared call.
FuncExpr *ExpressionOf(const DescribedCall &call);

// Puts the arguments of a prepared call into fcinfo. REQUIRES: room for them.
void SetArguments(const DescribedCall &call, FunctionCallInfo fcinfo);

// Runs work(context) with the role and the settings that a call of the function has.
void RunAsCalled(Oid function, const FunctionRow &row, void (*work)(void *), void *context);

}  // namespace aggcache

#endif
