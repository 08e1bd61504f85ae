// The validator of the language cached_sql: what CREATE FUNCTION checks, and where it puts the tracking triggers on.

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/base/shared.h"
#include "pg/body/analysis.h"
#include "pg/body/definition.h"
#include "pg/body/expressions.h"
#include "pg/body/hidden_parameters.h"
#include "pg/facts/own_code.h"
#include "pg/write/attach.h"

namespace aggcache {

namespace {

struct BodyErrorContext {
  const char *name;
  const char *source;
};

// Points syntax errors at the body, as PostgreSQL does for its own SQL functions.
void AddBodyContext(void *argument) {
  auto *body = static_cast<BodyErrorContext *>(argument);
  if (!function_parse_error_transpose(body->source)) errcontext("cached function \"%s\"", body->name);
}

// Whether the body's types are known before it is called.
bool CanAnalyse(Form_pg_proc form) {
  if (IsPolymorphicType(form->prorettype)) return false;
  for (int i = 0; i < form->pronargs; i++)
    if (IsPolymorphicType(form->proargtypes.values[i])) return false;
  return true;
}

bool NamesRelation(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, RangeVar)) return true;
  return compat::WalkRaw(node, NamesRelation, nullptr);
}

// The tables of a body that cannot be analysed yet have to be named by the user.
void CheckPolymorphicBody(const BodyErrorContext &body) {
  bool reads = false;
  ListCell *cell;
  foreach (cell, pg_parse_query(body.source))
    if (IsA(lfirst_node(RawStmt, cell)->stmt, SelectStmt))
      reads |= NamesRelation(lfirst_node(RawStmt, cell)->stmt, nullptr);
  if (!reads) return;
  ereport(NOTICE, (errmsg("the tables that function \"%s\" reads are not tracked yet", body.name),
                   errdetail("Its types are known only when it is called, and so is what its body means."),
                   errhint("Put the tracking triggers on the tables with aggcache.attach().")));
}

void CheckSignature(Form_pg_proc form) {
  if (form->prokind != PROKIND_FUNCTION)
    ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION), errmsg("only plain functions can be cached"),
                    errdetail("\"%s\" is a procedure or window function.", NameStr(form->proname))));
  if (get_typtype(form->prorettype) == TYPTYPE_PSEUDO && form->prorettype != RECORDOID && form->prorettype != VOIDOID &&
      !IsPolymorphicType(form->prorettype))
    ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                    errmsg("cached functions cannot return type %s", format_type_be(form->prorettype))));
  for (int i = 0; i < form->pronargs; i++) {
    Oid type = form->proargtypes.values[i];
    if (get_typtype(type) == TYPTYPE_PSEUDO && !IsPolymorphicType(type))
      ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                      errmsg("cached functions cannot have arguments of type %s", format_type_be(type))));
  }
}

// What a function returns that is called with arguments only is part of the key, so each call waits for it.
void TellOfSlowKeys(const Definition *definition) {
  bool reads = false;
  for (int i = 0; i < definition->relation_count; i++) reads |= IsRead(definition->relations[i].role);
  ListCell *cell;
  foreach (cell, definition->hidden_originals) {
    Node *expression = static_cast<Node *>(lfirst(cell));
    const Oid function = FindOpaqueCall(expression);
    if (!OidIsValid(function) || (reads && !HasParameter(expression))) continue;
    ereport(NOTICE, (errmsg("each call of function %s will evaluate %s", definition->name, format_procedure(function)),
                     errdetail("What that function reads cannot be seen, so its value is part of the key."),
                     errhint("To keep its results too, state which relations it reads by adding SET "
                             "aggcache.depends_on = 'schema.table, ...', or '' if it reads none.")));
    return;
  }
}

struct Validation {
  Oid function;
  Refusal refusal;
  Definition *definition;
};

void Analyse(void *context) {
  auto *validation = static_cast<Validation *>(context);
  validation->definition = AnalyseFunction(validation->function, &validation->refusal);
}

void Validate(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  CheckSignature(form);
  if (!check_function_bodies) {
    ReleaseSysCache(row);
    return;
  }
  bool is_null;
  Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
  if (is_null) elog(ERROR, "null prosrc");
  BodyErrorContext body = {pstrdup(NameStr(form->proname)), TextDatumGetCString(source)};
  bool analyse = CanAnalyse(form);
  ReleaseSysCache(row);

  ErrorContextCallback callback;
  callback.callback = AddBodyContext;
  callback.arg = &body;
  callback.previous = error_context_stack;
  error_context_stack = &callback;
  if (!analyse) {
    CheckPolymorphicBody(body);
    error_context_stack = callback.previous;
    return;
  }
  Validation validation = {function, Refusal(), nullptr};
  // PostgreSQL runs no function when one is created that calls it.
  if (!TryOwnCodeOnly(Analyse, &validation)) {
    error_context_stack = callback.previous;
    ereport(NOTICE, (errmsg("function %s will not be cached", format_procedure(function)),
                     errdetail("%s.", StoppedFunction())));
    return;
  }
  Definition *definition = validation.definition;
  const Refusal &refusal = validation.refusal;
  if (refusal.primary)
    ereport(ERROR,
            (errcode(refusal.sqlstate), errmsg("%s", refusal.primary),
             refusal.detail ? errdetail("%s", refusal.detail) : 0, refusal.hint ? errhint("%s", refusal.hint) : 0));
  error_context_stack = callback.previous;

  if (shared::state == nullptr)
    ereport(NOTICE, (errmsg("function %s will not be cached", definition->name),
                     errdetail("%s.", SentenceOf(Reason::kNotPreloaded)), errhint("%s", shared::kPreloadHint)));
  AttachFunction(function, definition, NOTICE);
  // What else stands in the way; what concerns a table has been said by AttachFunction.
  if (definition->obstacle) {
    bool of_table = false;
    for (int i = 0; i < definition->relation_count; i++)
      of_table |= definition->obstacle == definition->relations[i].obstacle;
    if (!of_table)
      ereport(NOTICE,
              (errmsg("function %s will not be cached", definition->name), errdetail("%s.", definition->obstacle)));
  }
  if (definition->obstacle == nullptr) TellOfSlowKeys(definition);
  MemoryContextDelete(definition->context);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_validator);
PGDLLEXPORT Datum aggcache_validator(PG_FUNCTION_ARGS) {
  Oid function = PG_GETARG_OID(0);
  if (CheckFunctionValidatorAccess(fcinfo->flinfo->fn_oid, function)) aggcache::Validate(function);
  PG_RETURN_VOID();
}
}
