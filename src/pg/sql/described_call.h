// Calls that are described rather than made: a function and its arguments, given to a function of the extension.

#ifndef AGGCACHE_PG_SQL_DESCRIBED_CALL_H
#define AGGCACHE_PG_SQL_DESCRIBED_CALL_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/body/definition.h"
#include "pg/sql/arguments.h"
#include "pg/sql/inspection.h"

namespace aggcache {

struct DescribedCall {
  Arguments arguments;
  Datum *values;
  bool *nulls;
  Definition *definition;  // once found; good until the next call of FindDefinition
  NullableDatum *hidden;   // the definition's hidden parameters
};

// Takes the function and the arguments from a call of f(regprocedure, VARIADIC "any") that only asks about the call
// that it describes. They are made as the current role, and without running code of others; errors are raised.
void DescribeCall(FunctionCallInfo fcinfo, DescribedCall *call);

// Finds the definition for such calls, in the current environment, or tells why it has no results.
Obstacle FindDefinitionOf(DescribedCall *call);

// Finds the definition and evaluates the hidden parameters, or tells why such a call has no result.
Obstacle PrepareCall(DescribedCall *call);

// The call as an expression.
FuncExpr *ExpressionOf(const DescribedCall &call);

// Puts the arguments into fcinfo. REQUIRES: room for them.
void SetArguments(const DescribedCall &call, FunctionCallInfo fcinfo);

// Runs work(context) with the role and the settings that a call of the function has.
void RunAsCalled(const FunctionRow &row, void (*work)(void *), void *context);

}  // namespace aggcache

#endif
