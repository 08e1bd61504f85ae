#include "pg/server.h"

#include "pg/function_facts.h"

namespace aggcache {

namespace {

// Languages whose functions cannot call what can be replaced by SQL; others may hide anything behind IMMUTABLE.
bool IsCompiledLanguage(Oid language) { return language == INTERNALlanguageId || language == ClanguageId; }

}  // namespace

bool HoldsRows(Oid type) {
  type = getBaseType(type);
  Oid element = get_element_type(type);
  return type_is_rowtype(OidIsValid(element) ? element : type);
}

bool IsClockText(const char *text, Oid type) {
  Oid element = get_element_type(type);
  char category = TypeCategory(OidIsValid(element) ? element : type);
  if (category == TYPCATEGORY_STRING || category == TYPCATEGORY_ENUM || category == TYPCATEGORY_UNKNOWN ||
      category == TYPCATEGORY_NUMERIC || type == JSONOID || type == JSONBOID)
    return false;
  char *lower = pstrdup(text);
  for (char *c = lower; *c; c++) *c = pg_tolower(static_cast<unsigned char>(*c));
  static const char *const kWords[] = {"now", "today", "tomorrow", "yesterday"};
  for (const char *word : kWords) {
    for (const char *at = strstr(lower, word); at; at = strstr(at + 1, word)) {
      // as a word of its own, not as in now() or known
      bool begins = at == lower || !isalnum(static_cast<unsigned char>(at[-1]));
      unsigned char after = static_cast<unsigned char>(at[strlen(word)]);
      if (begins && !isalnum(after) && after != '_' && after != '(') return true;
    }
  }
  return false;
}

bool IsFixed(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  // the second and third read timezone_abbreviations
  bool reads_catalog_or_setting =
      function == F_QUOTE_IDENT || function == F_TIMEZONE_TEXT_TIMESTAMP || function == F_TIMEZONE_TEXT_TIMESTAMPTZ;
  // text search configurations and dictionaries are catalogs, whatever the functions are declared
  for (int i = 0; i < form->pronargs; i++)
    reads_catalog_or_setting |=
        form->proargtypes.values[i] == REGCONFIGOID || form->proargtypes.values[i] == REGDICTIONARYOID;
  bool fixed =
      form->provolatile == PROVOLATILE_IMMUTABLE && !reads_catalog_or_setting &&
      (function < FirstNormalObjectId || form->prokind == PROKIND_AGGREGATE || IsCompiledLanguage(form->prolang));
  ReleaseSysCache(row);
  return fixed;
}

Oid AggregateOf(Node *node) {
  if (IsA(node, Aggref)) return reinterpret_cast<Aggref *>(node)->aggfnoid;
  if (IsA(node, WindowFunc)) return reinterpret_cast<WindowFunc *>(node)->winfnoid;
  return InvalidOid;
}

bool VisitAggregateSupport(Oid aggregate, FunctionVisitor visit, void *context) {
  HeapTuple row = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
  if (!HeapTupleIsValid(row)) return false;  // a plain window function
  Form_pg_aggregate form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(row));
  Oid support[] = {form->aggtransfn,    form->aggfinalfn,  form->aggcombinefn,   form->aggserialfn,
                   form->aggdeserialfn, form->aggmtransfn, form->aggminvtransfn, form->aggmfinalfn};
  bool found = false;
  for (Oid function : support)
    if (OidIsValid(function) && !found) found = visit(function, context);
  ReleaseSysCache(row);
  return found;
}

}  // namespace aggcache
