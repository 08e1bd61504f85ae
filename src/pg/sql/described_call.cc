// Makes arguments under the guard of own_code.h; the definition is the one that calls of the session use. Keeps no
// state.

#include "pg/base/server.h"

#include "pg/sql/described_call.h"

#include "pg/body/definition_cache.h"
#include "pg/call/key.h"
#include "pg/facts/own_code.h"

namespace aggcache {

namespace {

// Of a call, as it is described.
struct Given {
  DescribedCall *call;
  Datum *values;
  bool *nulls;
};

void Make(void *context) {
  auto *given = static_cast<Given *>(context);
  DescribedCall *call = given->call;
  PrepareArguments(&call->arguments);
  const int count = Max(1, call->arguments.count);
  call->values = static_cast<Datum *>(palloc(sizeof(Datum) * count));
  call->nulls = static_cast<bool *>(palloc(sizeof(bool) * count));
  MakeArguments(call->arguments, given->values, given->nulls, call->values, call->nulls);
  EndArguments(&call->arguments);
}

}  // namespace

void DescribeCall(FunctionCallInfo fcinfo, DescribedCall *call) {
  memset(static_cast<void *>(call), 0, sizeof(*call));
  Arguments *arguments = &call->arguments;
  arguments->function = PG_GETARG_OID(0);
  Given given = {call, nullptr, nullptr};
  Oid *types = nullptr;
  // When the whole VARIADIC array is null: no arguments.
  const int count = extract_variadic_args(fcinfo, 1, true, &given.values, &types, &given.nulls);
  arguments->given = Max(0, count);
  if (arguments->given > FUNC_MAX_ARGS)
    ereport(ERROR, (errcode(ERRCODE_TOO_MANY_ARGUMENTS),
                    errmsg("cannot pass more than %d arguments to a function", FUNC_MAX_ARGS)));
  for (int i = 0; i < arguments->given; i++) arguments->given_types[i] = types[i];
  RunOwnCodeOnly(Make, &given, "Give all arguments, as values of the types that the function declares.");
}

Obstacle FindDefinitionOf(DescribedCall *call) {
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  FmgrInfo info;
  fmgr_info(call->arguments.function, &info);
  info.fn_expr = reinterpret_cast<Node *>(ExpressionOf(*call));
  InitFunctionCallInfoData(*fcinfo, &info, static_cast<short>(call->arguments.count), call->arguments.collation,
                           nullptr, nullptr);
  Definition *definition = call->definition = FindDefinition(fcinfo);
  if (definition->obstacle) return Because(Reason::kFunction, definition->obstacle);
  if (!definition->valid) return Because(Reason::kKeepsChanging);
  call->hidden = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * Max(1, definition->hidden_count)));
  return Because(Reason::kNone);
}

Obstacle PrepareCall(DescribedCall *call) {
  for (int i = 0; i < call->arguments.count; i++)
    if (call->arguments.strict && call->nulls[i]) return Because(Reason::kNotCalled);
  const Obstacle obstacle = FindDefinitionOf(call);
  if (obstacle) return obstacle;
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  InitFunctionCallInfoData(*fcinfo, nullptr, static_cast<short>(call->arguments.count), call->arguments.collation,
                           nullptr, nullptr);
  SetArguments(*call, fcinfo);
  Definition *definition = call->definition;
  definition->pins++;
  bool evaluated;
  PG_TRY();
  { evaluated = EvaluateHiddenParameters(definition, fcinfo, call->hidden); }
  PG_FINALLY();
  { definition->pins--; }
  PG_END_TRY();
  if (!evaluated) return Because(Reason::kNotEvaluated);
  return Because(IsClockRounded(definition, call->hidden) ? Reason::kNone : Reason::kClockNotRounded);
}

FuncExpr *ExpressionOf(const DescribedCall &call) {
  const Arguments &arguments = call.arguments;
  List *constants = NIL;
  for (int i = 0; i < arguments.count; i++)
    constants = lappend(constants, makeConst(arguments.types[i], -1, InvalidOid, get_typlen(arguments.types[i]),
                                             call.values[i], call.nulls[i], get_typbyval(arguments.types[i])));
  FuncExpr *expression = makeFuncExpr(arguments.function, arguments.result, constants, InvalidOid, arguments.collation,
                                      COERCE_EXPLICIT_CALL);
  expression->funcretset = get_func_retset(arguments.function);
  return expression;
}

void SetArguments(const DescribedCall &call, FunctionCallInfo fcinfo) {
  for (int i = 0; i < call.arguments.count; i++) {
    fcinfo->args[i].value = call.values[i];
    fcinfo->args[i].isnull = call.nulls[i];
  }
}

void RunAsCalled(const FunctionRow &row, void (*work)(void *), void *context) {
  Oid role;
  int security;
  GetUserIdAndSecContext(&role, &security);
  // What an error leaves behind is undone by the abort of the transaction.
  int nest = NewGUCNestLevel();
  if (row.definer) SetUserIdAndSecContext(row.owner, security | SECURITY_LOCAL_USERID_CHANGE);
  if (row.config) ProcessGUCArray(row.config, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
  work(context);
  AtEOXact_GUC(true, nest);
  SetUserIdAndSecContext(role, security);
}

}  // namespace aggcache
