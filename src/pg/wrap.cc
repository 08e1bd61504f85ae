// aggcache.wrap(): a cached function with the signature and the body of an existing one of language SQL.

#include "pg/server.h"

extern "C" {
#include "utils/varlena.h"
}

namespace aggcache {

namespace {

// The body of a function of language SQL as text that means the same whatever the search path, or as it was written.
char *BodyOf(HeapTuple row, const char *name) {
  bool is_null;
  Datum parsed = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosqlbody, &is_null);
  if (is_null) {
    Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
    if (is_null) elog(ERROR, "null prosrc for function %s", name);
    return TextDatumGetCString(source);
  }
  Node *body = static_cast<Node *>(stringToNode(TextDatumGetCString(parsed)));
  if (IsA(body, List)) {
    List *statements = linitial_node(List, castNode(List, body));
    if (list_length(statements) != 1)
      ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                      errmsg("a cached function must consist of a single SELECT"),
                      errdetail("The body has %d statements.", list_length(statements))));
    body = static_cast<Node *>(linitial(statements));
  }
  Query *query = castNode(Query, body);
  query->isReturn = false;  // RETURN x is SELECT x
  // Deparsed out of its function, arguments are $1, $2, …: their names would be qualified with the old function's.
  int nest = NewGUCNestLevel();
  set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  char *text = pg_get_querydef(query, false);
  AtEOXact_GUC(true, nest);
  return text;
}

void AppendOptions(StringInfo statement, Form_pg_proc form) {
  if (form->proisstrict) appendStringInfoString(statement, " STRICT");
  if (form->prosecdef) appendStringInfoString(statement, " SECURITY DEFINER");
  if (form->proparallel == PROPARALLEL_SAFE) appendStringInfoString(statement, " PARALLEL SAFE");
  if (form->proparallel == PROPARALLEL_RESTRICTED) appendStringInfoString(statement, " PARALLEL RESTRICTED");
  appendStringInfo(statement, " COST %g", form->procost);
  if (form->proretset && form->prorows > 0) appendStringInfo(statement, " ROWS %g", form->prorows);
}

void AppendSettings(StringInfo statement, ArrayType *config) {
  if (config == nullptr) return;
  Datum *elements;
  int count;
  deconstruct_array(config, TEXTOID, -1, false, TYPALIGN_INT, &elements, nullptr, &count);
  for (int i = 0; i < count; i++) {
    char *name = TextDatumGetCString(elements[i]);
    char *value = strchr(name, '=');
    if (value == nullptr) continue;
    *value++ = '\0';
    // Lists are stored as one string, quoted where needed: taken apart again, or one long name would become of them.
    List *items = NIL;
    bool list = (GetConfigOptionFlags(name, true) & GUC_LIST_QUOTE) != 0;
    appendStringInfo(statement, " SET %s TO ", quote_identifier(name));
    if (list && SplitGUCList(pstrdup(value), ',', &items) && items != NIL) {
      ListCell *cell;
      foreach (cell, items)
        appendStringInfo(statement, "%s%s", cell == list_head(items) ? "" : ", ",
                         quote_literal_cstr(static_cast<char *>(lfirst(cell))));
    } else {
      appendStringInfoString(statement, quote_literal_cstr(value));
    }
  }
}

void Execute(const char *statement) {
  if (SPI_execute(statement, false, 0) < 0) elog(ERROR, "could not execute \"%s\"", statement);
}

// Who may not run the old function may not run the new one.
void CopyGrants(HeapTuple row, Oid owner, const char *signature) {
  bool is_null;
  Datum acl = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proacl, &is_null);
  if (is_null) return;
  Acl *grants = DatumGetAclPCopy(acl);
  Execute(psprintf("REVOKE ALL ON FUNCTION %s FROM PUBLIC", signature));
  for (int i = 0; i < ACL_NUM(grants); i++) {
    const AclItem &item = ACL_DAT(grants)[i];
    if ((ACLITEM_GET_PRIVS(item) & ACL_EXECUTE) == 0 || item.ai_grantee == owner) continue;
    const char *grantee = "PUBLIC";
    if (item.ai_grantee != ACL_ID_PUBLIC) grantee = quote_identifier(GetUserNameFromId(item.ai_grantee, false));
    Execute(psprintf("GRANT EXECUTE ON FUNCTION %s TO %s%s", signature, grantee,
                     ACLITEM_GET_GOPTIONS(item) & ACL_EXECUTE ? " WITH GRANT OPTION" : ""));
  }
}

char *TextOf(PGFunction describe, Oid function) {
  return TextDatumGetCString(DirectFunctionCall1(describe, ObjectIdGetDatum(function)));
}

Oid Wrap(Oid function, text *name) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", function)));
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  char *old_name = format_procedure(function);
  if (form->prokind != PROKIND_FUNCTION || form->prolang != SQLlanguageId)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s cannot be wrapped", old_name),
                    errdetail("Only plain functions of language sql can.")));

  char *schema = nullptr, *new_name = psprintf("cached_%s", NameStr(form->proname));
  if (name) DeconstructQualifiedName(textToQualifiedNameList(name), &schema, &new_name);
  if (schema == nullptr) schema = get_namespace_name(form->pronamespace);

  StringInfoData statement;
  initStringInfo(&statement);
  appendStringInfo(&statement, "CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE cached_sql STABLE",
                   quote_qualified_identifier(schema, new_name), TextOf(pg_get_function_arguments, function),
                   TextOf(pg_get_function_result, function));
  AppendOptions(&statement, form);
  bool is_null;
  Datum config = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &is_null);
  AppendSettings(&statement, is_null ? nullptr : DatumGetArrayTypeP(config));
  appendStringInfo(&statement, " AS %s", quote_literal_cstr(BodyOf(row, old_name)));

  SPI_connect();
  Execute(statement.data);
  CommandCounterIncrement();
  List *qualified = list_make2(makeString(schema), makeString(new_name));
  Oid made = LookupFuncName(qualified, form->pronargs, form->proargtypes.values, false);
  CopyGrants(row, form->proowner, format_procedure_qualified(made));
  SPI_finish();
  ReleaseSysCache(row);
  return made;
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_wrap);
PGDLLEXPORT Datum aggcache_wrap(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  PG_RETURN_OID(aggcache::Wrap(PG_GETARG_OID(0), PG_ARGISNULL(1) ? nullptr : PG_GETARG_TEXT_PP(1)));
}
}
