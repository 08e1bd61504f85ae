// Finds the conversions as the parser would, and runs them as the executor would. Keeps no state.

#include "pg/base/server.h"

#include "pg/sql/arguments.h"

extern "C" {
#include "catalog/pg_cast.h"
#include "parser/parse_collate.h"
}

namespace aggcache {

namespace {

// The value that is converted, in an expression.
Node *GivenValue(Oid type) {
  CaseTestExpr *value = makeNode(CaseTestExpr);
  value->typeId = type;
  value->typeMod = -1;
  value->collation = get_typcollation(type);
  return reinterpret_cast<Node *>(value);
}

bool IsString(Oid type) { return type == TEXTOID || type == VARCHAROID || type == BPCHAROID; }

// Through its text, as a literal is read.
Node *ReadAsLiteral(Oid from, Oid to) {
  int32 modifier = -1;
  const Oid base = getBaseTypeAndTypmod(to, &modifier);
  CoerceViaIO *read = makeNode(CoerceViaIO);
  read->arg = reinterpret_cast<Expr *>(GivenValue(from));
  read->resulttype = base;
  read->coerceformat = COERCE_IMPLICIT_CAST;
  read->location = -1;
  Node *node = reinterpret_cast<Node *>(read);
  if (base == to) return node;
  return coerce_to_domain(node, base, modifier, to, COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1, false);
}

// Whether an assignment converts by a cast that is PostgreSQL's own, or by none. REQUIRES: it can convert.
bool IsBuiltInAssignment(Oid from, Oid to) {
  from = getBaseType(from);
  to = getBaseType(to);
  HeapTuple row = SearchSysCache2(CASTSOURCETARGET, ObjectIdGetDatum(from), ObjectIdGetDatum(to));
  if (HeapTupleIsValid(row)) {
    Form_pg_cast form = reinterpret_cast<Form_pg_cast>(GETSTRUCT(row));
    const bool built_in = form->oid < FirstNormalObjectId && form->castfunc < FirstNormalObjectId;
    ReleaseSysCache(row);
    return built_in;
  }
  const Oid from_element = get_element_type(from), to_element = get_element_type(to);
  if (OidIsValid(from_element) && OidIsValid(to_element)) return IsBuiltInAssignment(from_element, to_element);
  return TypeCategory(to) == TYPCATEGORY_STRING;  // the output function's text
}

Node *Convert(Oid function, int number, Oid from, Oid to) {
  // a row of no named type is read as the text of one
  const bool anonymous = from == RECORDOID && type_is_rowtype(to);
  if (anonymous || (from == TEXTOID && !IsBinaryCoercible(from, getBaseType(to)))) return ReadAsLiteral(from, to);
  CoercionContext context = COERCION_IMPLICIT;
  if (!can_coerce_type(1, &from, &to, context)) {
    if (IsString(from)) return ReadAsLiteral(from, to);
    context = COERCION_ASSIGNMENT;
    const bool castable = can_coerce_type(1, &from, &to, context);
    if (!castable || !IsBuiltInAssignment(from, to))
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                      errmsg("argument %d of function %s is of type %s but the given value is of type %s", number,
                             format_procedure(function), format_type_be(to), format_type_be(from)),
                      errhint("Convert the value with an explicit cast.")));
  }
  return coerce_type(nullptr, GivenValue(from), from, to, -1, context, COERCE_IMPLICIT_CAST, -1);
}

ExprState *Initialise(EState *state, Node *expression) {
  MemoryContext outer = MemoryContextSwitchTo(state->es_query_cxt);
  assign_expr_collations(nullptr, expression);
  ExprState *prepared = ExecInitExpr(expression_planner(reinterpret_cast<Expr *>(expression)), nullptr);
  MemoryContextSwitchTo(outer);
  return prepared;
}

List *ReadDefaults(HeapTuple row) {
  bool is_null;
  Datum trees = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proargdefaults, &is_null);
  return is_null ? NIL : static_cast<List *>(stringToNode(TextDatumGetCString(trees)));
}

Oid CallCollation(const Oid *types, int count) {
  Oid collation = InvalidOid;
  for (int i = 0; i < count; i++) {
    Oid own = get_typcollation(types[i]);
    if (OidIsValid(own) && (!OidIsValid(collation) || collation == DEFAULT_COLLATION_OID)) collation = own;
  }
  return collation;
}

}  // namespace

void PrepareArguments(Arguments *arguments) {
  HeapTuple row = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(arguments->function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", arguments->function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  const int given = arguments->given, missing = form->pronargs - given;
  arguments->count = form->pronargs;
  if (missing < 0 || missing > form->pronargdefaults)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("function %s takes %d arguments, not %d", format_procedure(arguments->function),
                           form->pronargs, given)));
  List *defaults = missing > 0 ? ReadDefaults(row) : NIL;
  Oid actual[FUNC_MAX_ARGS];
  Node *nodes[FUNC_MAX_ARGS];
  for (int i = 0; i < arguments->count; i++) {
    nodes[i] =
        i < given ? nullptr : static_cast<Node *>(list_nth(defaults, list_length(defaults) - arguments->count + i));
    actual[i] = nodes[i] ? exprType(nodes[i]) : arguments->given_types[i];
    arguments->types[i] = form->proargtypes.values[i];
  }
  arguments->result =
      enforce_generic_type_consistency(actual, arguments->types, arguments->count, form->prorettype, false);
  arguments->strict = form->proisstrict;
  arguments->state = CreateExecutorState();
  for (int i = 0; i < arguments->count; i++) {
    if (IsPolymorphicType(arguments->types[i])) arguments->types[i] = actual[i];
    if (i < given && actual[i] != arguments->types[i])
      nodes[i] = Convert(arguments->function, i + 1, actual[i], arguments->types[i]);
    arguments->expressions[i] = nodes[i] ? Initialise(arguments->state, nodes[i]) : nullptr;
  }
  arguments->collation = CallCollation(arguments->types, arguments->count);
}

void MakeArguments(const Arguments &arguments, const Datum *given, const bool *given_nulls, Datum *values,
                   bool *nulls) {
  ExprContext *context = GetPerTupleExprContext(arguments.state);
  for (int i = 0; i < arguments.count; i++) {
    if (arguments.expressions[i] == nullptr) {
      values[i] = given[i];
      nulls[i] = given_nulls[i];
      continue;
    }
    if (i < arguments.given) {
      context->caseValue_datum = given[i];
      context->caseValue_isNull = given_nulls[i];
    }
    values[i] = ExecEvalExprSwitchContext(arguments.expressions[i], context, &nulls[i]);
    if (!nulls[i])
      values[i] = datumCopy(values[i], get_typbyval(arguments.types[i]), get_typlen(arguments.types[i]));
    else
      values[i] = Datum{0};
  }
  ResetExprContext(context);
}

void EndArguments(Arguments *arguments) {
  FreeExecutorState(arguments->state);
  arguments->state = nullptr;
}

}  // namespace aggcache
