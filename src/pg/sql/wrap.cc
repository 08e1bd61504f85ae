// aggcache.wrap(): a cached function with the signature and the body of an existing one of language SQL.
//
// What is made is the property of the one who wrote the body, and made with his rights: whatever runs while it is
// checked runs as him. A caller without his privileges gets a copy of his own instead, which is not checked.

#include "pg/base/server.h"

#include "pg/base/extension.h"

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

// Whether parsing the defaults again calls nothing but PostgreSQL's own input functions. Those of a type that holds a
// domain evaluate its checks.
bool AreDefaultsPlain(HeapTuple row) {
  bool is_null;
  Datum defaults = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proargdefaults, &is_null);
  if (is_null) return true;
  ListCell *cell;
  foreach (cell, castNode(List, stringToNode(TextDatumGetCString(defaults)))) {
    Node *value = static_cast<Node *>(lfirst(cell));
    if (!IsA(value, Const) || reinterpret_cast<Const *>(value)->consttype >= FirstNormalObjectId) return false;
  }
  return true;
}

// For a caller who has not the privileges of the owner.
void RequireMayCopy(Oid function, HeapTuple row) {
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  if (form->prosecdef || !AreDefaultsPlain(row))
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, NameStr(form->proname));
  if (!compat::CanExecute(function, GetUserId()))
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, NameStr(form->proname));
}

char *CreateStatement(Oid function, HeapTuple row, const char *qualified_name, const char *old_name) {
  StringInfoData statement;
  initStringInfo(&statement);
  appendStringInfo(&statement, "CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE %s STABLE", qualified_name,
                   TextOf(pg_get_function_arguments, function), TextOf(pg_get_function_result, function),
                   quote_identifier(get_language_name(RequireExtension()->language, false)));
  AppendOptions(&statement, reinterpret_cast<Form_pg_proc>(GETSTRUCT(row)));
  bool is_null;
  Datum config = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &is_null);
  AppendSettings(&statement, is_null ? nullptr : DatumGetArrayTypeP(config));
  appendStringInfo(&statement, " AS %s", quote_literal_cstr(BodyOf(row, old_name)));
  return statement.data;
}

Oid Wrap(Oid function, text *name) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", function)));
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  char *old_name = format_procedure(function);
  if (form->prokind != PROKIND_FUNCTION || form->prolang != SQLlanguageId)
    ereport(
        ERROR,
        (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s cannot be wrapped", old_name),
         errdetail("Only functions of language sql can be wrapped, no aggregates, window functions or procedures.")));
  Oid caller;
  int security;
  GetUserIdAndSecContext(&caller, &security);
  bool as_owner = has_privs_of_role(caller, form->proowner);
  if (!as_owner) RequireMayCopy(function, row);

  char *schema = nullptr, *new_name = psprintf("cached_%s", NameStr(form->proname));
  truncate_identifier(new_name, strlen(new_name), name == nullptr);
  if (name) DeconstructQualifiedName(textToQualifiedNameList(name), &schema, &new_name);
  if (schema == nullptr) schema = get_namespace_name(form->pronamespace);

  int nest = NewGUCNestLevel();
  SetUserIdAndSecContext(as_owner ? form->proowner : caller, security | SECURITY_RESTRICTED_OPERATION);
  if (!as_owner)
    set_config_option("check_function_bodies", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SPI_connect();
  Execute(CreateStatement(function, row, quote_qualified_identifier(schema, new_name), old_name));
  CommandCounterIncrement();
  List *qualified = list_make2(makeString(schema), makeString(new_name));
  Oid made = LookupFuncName(qualified, form->pronargs, form->proargtypes.values, false);
  CopyGrants(row, form->proowner, format_procedure_qualified(made));
  SPI_finish();
  AtEOXact_GUC(false, nest);
  SetUserIdAndSecContext(caller, security);
  ReleaseSysCache(row);
  if (!as_owner)
    ereport(NOTICE, (errmsg("function %s is not checked, and what it reads is not tracked yet", format_procedure(made)),
                     errdetail("Its body is another role's, whose code could run when it is checked."),
                     errhint("Look at the function, then call aggcache.refresh().")));
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
