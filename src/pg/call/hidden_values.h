// The values of a call's hidden parameters (definition.h), and how the body gets them.
//
// They are evaluated before the body runs, since they are part of the key. The body might never have come to them, so
// an error is kept: if the body comes to the value after all, it is raised there, without being provoked again. So
// whatever nests in arguments is evaluated once at each level, as by the plain call.
//
// A function that calls itself with arguments only would never end here, though its rows may guard it: calls that nest
// too deeply within each other's evaluation are left to the plain function.

#ifndef AGGCACHE_PG_CALL_HIDDEN_VALUES_H
#define AGGCACHE_PG_CALL_HIDDEN_VALUES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

struct HiddenValues {
  NullableDatum *values;  // of definition->hidden_count
  int known;              // how many of them, the first ones, are evaluated
  ErrorData *error;       // that evaluating the next one raised; NULL: it has not been tried
};

enum class Evaluation : uint8_t {
  kDone,
  kFailed,   // for a reason that is in hidden->error, or because errors cannot be caught here
  kTooDeep,  // nothing has been evaluated
};

// Evaluates the hidden parameters. Values and error are in the current memory context. Errors of cancelling and
// shutting down are raised. REQUIRES: the definition is pinned; room for the values.
Evaluation EvaluateHidden(const Definition *definition, FunctionCallInfo fcinfo, HiddenValues *hidden);

// The same into values[definition->hidden_count]; false unless done.
bool EvaluateHiddenParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *values);

// Whether the arguments of the call round all that the body reads of the clock: else no call would find the result.
bool IsClockRounded(const Definition *definition, const NullableDatum *values);

// Values of a call's arguments and hidden parameters, as the planner and executor take them: as constants. In the
// current memory context.
ParamListInfo CallParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden);

// The same for the executor alone: what is not evaluated yet is when the body comes to it. For plans that are not
// parallel. *hidden has to live as long.
ParamListInfo LazyParameters(const Definition *definition, FunctionCallInfo fcinfo, HiddenValues *hidden);

}  // namespace aggcache

#endif
