// Evaluates hidden parameters, in a subtransaction where that can fail. Keeps, for the session, which functions'
// parameters are being evaluated, by which recursion is noticed.

#include "pg/base/server.h"

#include "pg/call/hidden_values.h"

#include "pg/base/attempt.h"

namespace aggcache {

namespace {

// How often a function may be evaluated within its own evaluation.
constexpr int kDeepest = 16;

// The functions whose hidden parameters are being evaluated, innermost first.
struct Level {
  Oid function;
  const Level *outer;
};
const Level *innermost = nullptr;

bool IsTooDeep(Oid function) {
  int depth = 0;
  for (const Level *level = innermost; level != nullptr; level = level->outer) depth += level->function == function;
  return depth >= kDeepest;
}

// Evaluates one hidden parameter; the value is in the current memory context.
NullableDatum EvaluateOne(const HiddenParameter &parameter, EState *state, ParamListInfo arguments) {
  MemoryContext outer = MemoryContextSwitchTo(state->es_query_cxt);
  ExprContext *context = GetPerTupleExprContext(state);
  context->ecxt_param_list_info = arguments;
  Expr *planned = parameter.expression;
  if (parameter.plan_at_call) planned = expression_planner(static_cast<Expr *>(copyObjectImpl(planned)));
  ExprState *expression = ExecInitExprWithParams(planned, arguments);
  NullableDatum result = {Datum{0}, true};
  Datum value = ExecEvalExpr(expression, context, &result.isnull);
  MemoryContextSwitchTo(outer);
  if (result.isnull) return result;
  if (!parameter.by_value && parameter.length == -1)
    result.value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
  else
    result.value = datumCopy(value, parameter.by_value, parameter.length);
  return result;
}

struct Pending {
  const Definition *definition;
  FunctionCallInfo fcinfo;
  HiddenValues *hidden;
};

// Those that are not known yet, in their order.
void EvaluateRest(void *argument) {
  auto *pending = static_cast<Pending *>(argument);
  HiddenValues *hidden = pending->hidden;
  EState *state = CreateExecutorState();
  ParamListInfo parameters = LazyParameters(pending->definition, pending->fcinfo, hidden);
  for (; hidden->known < pending->definition->hidden_count; hidden->known++)
    hidden->values[hidden->known] = EvaluateOne(pending->definition->hidden[hidden->known], state, parameters);
  FreeExecutorState(state);
}

bool Try(Pending *pending) {
  const Definition *definition = pending->definition;
  if (!definition->hidden_can_fail) {
    EvaluateRest(pending);
    return true;
  }
  // a parallel operation cannot have subtransactions
  if (IsInParallelMode() && !definition->hidden_built_in) return false;
  pending->hidden->error =
      IsInParallelMode() ? AttemptBuiltIn(EvaluateRest, pending) : Attempt(Attempts::kCall, EvaluateRest, pending);
  return pending->hidden->error == nullptr;
}

// ---- What the body is given --------------------------------------------------------------------------------------

struct Lazy {
  const Definition *definition;
  FunctionCallInfo fcinfo;
  HiddenValues *hidden;
  MemoryContext context;
  bool *done;  // of those from hidden->known on
  ParamListInfo parameters;
};

void FetchHidden(Lazy *lazy, int i, ParamExternData *parameter) {
  HiddenValues *hidden = lazy->hidden;
  if (i >= hidden->known && !lazy->done[i]) {
    // As often as the body asks.
    if (i == hidden->known && hidden->error) ReThrowError(hidden->error);
    MemoryContext outer = MemoryContextSwitchTo(lazy->context);
    EState *state = CreateExecutorState();
    hidden->values[i] = EvaluateOne(lazy->definition->hidden[i], state, lazy->parameters);
    FreeExecutorState(state);
    MemoryContextSwitchTo(outer);
    lazy->done[i] = true;
  }
  parameter->ptype = lazy->definition->hidden[i].type;
  parameter->value = hidden->values[i].value;
  parameter->isnull = hidden->values[i].isnull;
}

void SetArgument(const Definition *definition, FunctionCallInfo fcinfo, int i, ParamExternData *parameter) {
  parameter->ptype = definition->argument_types[i];
  parameter->isnull = fcinfo->args[i].isnull;
  // a function may change an expanded object that it is handed; these are read more than once
  parameter->value =
      MakeExpandedObjectReadOnly(fcinfo->args[i].value, fcinfo->args[i].isnull, definition->argument_lengths[i]);
}

ParamExternData *Fetch(ParamListInfo parameters, int id, bool, ParamExternData *parameter) {
  auto *lazy = static_cast<Lazy *>(parameters->paramFetchArg);
  parameter->pflags = 0;
  if (id <= lazy->definition->argument_count)
    SetArgument(lazy->definition, lazy->fcinfo, id - 1, parameter);
  else
    FetchHidden(lazy, id - 1 - lazy->definition->argument_count, parameter);
  return parameter;
}

}  // namespace

Evaluation EvaluateHidden(const Definition *definition, FunctionCallInfo fcinfo, HiddenValues *hidden) {
  hidden->known = 0;
  hidden->error = nullptr;
  if (IsTooDeep(definition->function)) return Evaluation::kTooDeep;
  Pending pending = {definition, fcinfo, hidden};
  const Level *outer = innermost;
  const Level level = {definition->function, outer};
  bool done;
  PG_TRY();
  {
    innermost = &level;
    done = Try(&pending);
  }
  PG_FINALLY();
  { innermost = outer; }
  PG_END_TRY();
  return done ? Evaluation::kDone : Evaluation::kFailed;
}

bool IsClockRounded(const Definition *definition, const NullableDatum *values) {
  for (int i = 0; i < definition->hidden_count; i++)
    if (definition->hidden[i].condition && (values[i].isnull || !DatumGetBool(values[i].value))) return false;
  return true;
}

bool EvaluateHiddenParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *values) {
  HiddenValues hidden = {values, 0, nullptr};
  return EvaluateHidden(definition, fcinfo, &hidden) == Evaluation::kDone;
}

ParamListInfo CallParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden) {
  int count = definition->argument_count + (hidden ? definition->hidden_count : 0);
  ParamListInfo parameters = makeParamList(count);
  for (int i = 0; i < count; i++) {
    ParamExternData *parameter = &parameters->params[i];
    parameter->pflags = PARAM_FLAG_CONST;
    if (i < definition->argument_count) {
      SetArgument(definition, fcinfo, i, parameter);
    } else {
      const HiddenParameter &from = definition->hidden[i - definition->argument_count];
      parameter->ptype = from.type;
      parameter->isnull = hidden[i - definition->argument_count].isnull;
      parameter->value = hidden[i - definition->argument_count].value;
    }
  }
  return parameters;
}

ParamListInfo LazyParameters(const Definition *definition, FunctionCallInfo fcinfo, HiddenValues *hidden) {
  auto *lazy = static_cast<Lazy *>(palloc(sizeof(Lazy)));
  *lazy = {definition,
           fcinfo,
           hidden,
           CurrentMemoryContext,
           static_cast<bool *>(palloc0(sizeof(bool) * Max(1, definition->hidden_count))),
           makeParamList(definition->argument_count + definition->hidden_count)};
  ParamListInfo parameters = lazy->parameters;
  parameters->paramFetch = Fetch;
  parameters->paramFetchArg = lazy;
  return parameters;
}

}  // namespace aggcache
