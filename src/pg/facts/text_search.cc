// All is asked of the system caches each time. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/text_search.h"

#include "pg/facts/function_facts.h"

extern "C" {
#include "catalog/pg_ts_config_map.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_template.h"
}

#include <initializer_list>

namespace aggcache {

namespace {

// By the name in the source (prosrc), with a configuration or dictionary as first argument.
const char *const kByConstant[] = {"json_to_tsvector_byid",
                                   "json_string_to_tsvector_byid",
                                   "jsonb_to_tsvector_byid",
                                   "jsonb_string_to_tsvector_byid",
                                   "phraseto_tsquery_byid",
                                   "plainto_tsquery_byid",
                                   "to_tsquery_byid",
                                   "to_tsvector_byid",
                                   "ts_headline_byid",
                                   "ts_headline_byid_opt",
                                   "ts_headline_json_byid",
                                   "ts_headline_json_byid_opt",
                                   "ts_headline_jsonb_byid",
                                   "ts_headline_jsonb_byid_opt",
                                   "ts_lexize",
                                   "websearch_to_tsquery_byid"};

// The same, and those behind text @@ text.
const char *const kByDefault[] = {
    "json_to_tsvector",      "json_string_to_tsvector",  "jsonb_to_tsvector",    "phraseto_tsquery",
    "plainto_tsquery",       "jsonb_string_to_tsvector", "to_tsquery",           "to_tsvector",
    "ts_headline",           "ts_headline_json",         "ts_headline_json_opt", "ts_headline_jsonb",
    "ts_headline_jsonb_opt", "ts_headline_opt",          "ts_match_tq",          "ts_match_tt",
    "websearch_to_tsquery"};

template <size_t count>
bool IsOf(const char *const (&list)[count], Oid function) {
  if (!IsBuiltIn(function)) return false;
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  bool is_null, found = false;
  Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
  const char *name = is_null ? "" : TextDatumGetCString(source);
  for (const char *entry : list) found |= strcmp(entry, name) == 0;
  ReleaseSysCache(row);
  return found;
}

// Of the built-in templates the thesaurus is left out: it looks another dictionary up by its name.
bool IsFixedTemplate(Oid id) {
  if (!IsBuiltIn(id)) return false;
  HeapTuple row = SearchSysCache1(TSTEMPLATEOID, ObjectIdGetDatum(id));
  if (!HeapTupleIsValid(row)) return false;
  bool fixed = false;
  for (const char *name : {"simple", "synonym", "ispell", "snowball"})
    fixed |= strcmp(NameStr(reinterpret_cast<Form_pg_ts_template>(GETSTRUCT(row))->tmplname), name) == 0;
  ReleaseSysCache(row);
  return fixed;
}

bool IsFixedDictionary(Oid id) {
  HeapTuple row = SearchSysCache1(TSDICTOID, ObjectIdGetDatum(id));
  if (!HeapTupleIsValid(row)) return false;
  const Oid made_of = reinterpret_cast<Form_pg_ts_dict>(GETSTRUCT(row))->dicttemplate;
  ReleaseSysCache(row);
  return IsFixedTemplate(made_of);
}

bool IsFixedConfiguration(Oid id) {
  HeapTuple row = SearchSysCache1(TSCONFIGOID, ObjectIdGetDatum(id));
  if (!HeapTupleIsValid(row)) return false;
  bool fixed = IsBuiltIn(reinterpret_cast<Form_pg_ts_config>(GETSTRUCT(row))->cfgparser);
  ReleaseSysCache(row);
  CatCList *map = SearchSysCacheList1(TSCONFIGMAP, ObjectIdGetDatum(id));
  List *dictionaries = NIL;
  for (int i = 0; i < map->n_members; i++)
    dictionaries = list_append_unique_oid(
        dictionaries, reinterpret_cast<Form_pg_ts_config_map>(GETSTRUCT(&map->members[i]->tuple))->mapdict);
  ReleaseCatCacheList(map);
  ListCell *cell;
  foreach (cell, dictionaries) fixed = fixed && IsFixedDictionary(lfirst_oid(cell));
  return fixed;
}

}  // namespace

bool IsSearchByConstant(const FuncExpr *call) {
  if (call->args == NIL || !IsA(linitial(call->args), Const) || !IsOf(kByConstant, call->funcid)) return false;
  auto *constant = linitial_node(Const, call->args);
  if (constant->constisnull) return false;
  const Oid object = DatumGetObjectId(constant->constvalue);
  return constant->consttype == REGDICTIONARYOID ? IsFixedDictionary(object) : IsFixedConfiguration(object);
}

bool IsSearchByDefault(Oid function) {
  if (!IsOf(kByDefault, function) || TSCurrentConfig == nullptr || *TSCurrentConfig == '\0') return false;
  List *names = textToQualifiedNameList(cstring_to_text(TSCurrentConfig));
  if (list_length(names) != 2 || strcmp(strVal(linitial(names)), "pg_catalog") != 0) return false;
  const Oid configuration = get_ts_config_oid(names, true);
  return OidIsValid(configuration) && IsFixedConfiguration(configuration);
}

}  // namespace aggcache
