#include "pg/server.h"

#include "pg/described_call.h"

#include "pg/definition_cache.h"
#include "pg/key.h"

extern "C" {
#include "parser/parse_coerce.h"
}

namespace aggcache {

namespace {

void CoerceArgument(DescribedCall *call, int i) {
  Oid wanted = call->expected[i];
  if (call->nulls[i] || call->types[i] == wanted) return;
  call->values[i] = CoerceValue(call->values[i], call->types[i], wanted);
  call->types[i] = wanted;
}

// Appends the declared defaults of arguments that were not given.
void AddDefaults(DescribedCall *call, Form_pg_proc form, HeapTuple row) {
  int missing = form->pronargs - call->count;
  if (missing < 0 || missing > form->pronargdefaults)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("function %s takes %d arguments, not %d", format_procedure(call->function), form->pronargs,
                           call->count)));
  auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * Max(1, form->pronargs)));
  auto *types = static_cast<Oid *>(palloc(sizeof(Oid) * Max(1, form->pronargs)));
  auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * Max(1, form->pronargs)));
  for (int i = 0; i < call->count; i++) {
    values[i] = call->values[i];
    types[i] = call->types[i];
    nulls[i] = call->nulls[i];
  }
  if (missing > 0) {
    bool is_null;
    Datum trees = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proargdefaults, &is_null);
    List *defaults = is_null ? NIL : static_cast<List *>(stringToNode(TextDatumGetCString(trees)));
    EState *state = CreateExecutorState();
    for (int i = call->count; i < form->pronargs; i++) {
      Node *expression = static_cast<Node *>(list_nth(defaults, list_length(defaults) - form->pronargs + i));
      ExprState *prepared = ExecPrepareExpr(reinterpret_cast<Expr *>(expression), state);
      values[i] = ExecEvalExprSwitchContext(prepared, GetPerTupleExprContext(state), &nulls[i]);
      types[i] = exprType(expression);
      if (!nulls[i]) values[i] = datumCopy(values[i], get_typbyval(types[i]), get_typlen(types[i]));
    }
    FreeExecutorState(state);
  }
  call->values = values;
  call->types = types;
  call->nulls = nulls;
  call->count = form->pronargs;
}

// The collation that a call whose arguments carry none of their own is made with.
Oid CallCollation(const Oid *types, int count) {
  Oid collation = InvalidOid;
  for (int i = 0; i < count; i++) {
    Oid own = get_typcollation(types[i]);
    if (OidIsValid(own) && (!OidIsValid(collation) || collation == DEFAULT_COLLATION_OID)) collation = own;
  }
  return collation;
}

// Makes the arguments those that the function declares.
void FitArguments(DescribedCall *call) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", call->function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  AddDefaults(call, form, row);
  for (int i = 0; i < call->count; i++) call->expected[i] = form->proargtypes.values[i];
  call->result = enforce_generic_type_consistency(call->types, call->expected, call->count, form->prorettype, false);
  call->strict = form->proisstrict;
  ReleaseSysCache(row);
  for (int i = 0; i < call->count; i++) {
    if (IsPolymorphicType(call->expected[i])) call->expected[i] = call->types[i];
    CoerceArgument(call, i);
  }
}

}  // namespace

void DescribeCall(FunctionCallInfo fcinfo, DescribedCall *call) {
  memset(call, 0, sizeof(*call));
  call->function = PG_GETARG_OID(0);
  call->count = extract_variadic_args(fcinfo, 1, true, &call->values, &call->types, &call->nulls);
  // The whole VARIADIC array is null: no arguments.
  if (call->count < 0) call->count = 0;
}

const char *PrepareCall(DescribedCall *call) {
  FitArguments(call);
  for (int i = 0; i < call->count; i++)
    if (call->strict && call->nulls[i]) return "the function is STRICT, so it is not called with a null argument";
  call->collation = CallCollation(call->expected, call->count);
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  FmgrInfo info;
  fmgr_info(call->function, &info);
  info.fn_expr = reinterpret_cast<Node *>(ExpressionOf(*call));
  InitFunctionCallInfoData(*fcinfo, &info, static_cast<short>(call->count), call->collation, nullptr, nullptr);
  SetArguments(*call, fcinfo);
  Definition *definition = call->definition = FindDefinition(fcinfo);
  if (definition->obstacle) return definition->obstacle;
  if (!definition->valid) return "its definition keeps changing";
  call->hidden = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * Max(1, definition->hidden_count)));
  definition->pins++;
  bool evaluated;
  PG_TRY();
  { evaluated = EvaluateHiddenParameters(definition, fcinfo, call->hidden); }
  PG_FINALLY();
  { definition->pins--; }
  PG_END_TRY();
  return evaluated ? nullptr : "an expression that does not depend on rows could not be evaluated";
}

FuncExpr *ExpressionOf(const DescribedCall &call) {
  List *constants = NIL;
  for (int i = 0; i < call.count; i++)
    constants = lappend(constants, makeConst(call.expected[i], -1, InvalidOid, get_typlen(call.expected[i]),
                                             call.values[i], call.nulls[i], get_typbyval(call.expected[i])));
  FuncExpr *expression =
      makeFuncExpr(call.function, call.result, constants, InvalidOid, call.collation, COERCE_EXPLICIT_CALL);
  expression->funcretset = get_func_retset(call.function);
  return expression;
}

Datum CoerceValue(Datum value, Oid from, Oid to) {
  // As an assignment would, where that takes a plain function or nothing. A domain's own checks are made by its input.
  Oid cast;
  if (get_typtype(to) != TYPTYPE_DOMAIN) {
    CoercionPathType path = find_coercion_pathway(to, from, COERCION_ASSIGNMENT, &cast);
    if (path == COERCION_PATH_RELABELTYPE) return value;
    if (path == COERCION_PATH_FUNC && get_func_nargs(cast) == 1) return OidFunctionCall1(cast, value);
    if (path == COERCION_PATH_FUNC && get_func_nargs(cast) == 3)
      return OidFunctionCall3(cast, value, Int32GetDatum(-1), BoolGetDatum(false));
  }
  Oid output, input, element;
  bool is_varlena;
  getTypeOutputInfo(from, &output, &is_varlena);
  char *text = OidOutputFunctionCall(output, value);
  getTypeInputInfo(to, &input, &element);
  return OidInputFunctionCall(input, text, element, -1);
}

void SetArguments(const DescribedCall &call, FunctionCallInfo fcinfo) {
  for (int i = 0; i < call.count; i++) {
    fcinfo->args[i].value = call.values[i];
    fcinfo->args[i].isnull = call.nulls[i];
  }
}

void RunAsCalled(Oid function, const FunctionRow &row, void (*work)(void *), void *context) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
  bool definer = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->prosecdef;
  ReleaseSysCache(tuple);
  Oid role;
  int security;
  GetUserIdAndSecContext(&role, &security);
  // What an error leaves behind is undone by the abort of the transaction.
  int nest = NewGUCNestLevel();
  if (definer) SetUserIdAndSecContext(row.owner, security | SECURITY_LOCAL_USERID_CHANGE);
  if (row.config) ProcessGUCArray(row.config, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
  work(context);
  AtEOXact_GUC(true, nest);
  SetUserIdAndSecContext(role, security);
}

}  // namespace aggcache
