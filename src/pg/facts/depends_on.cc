// The setting has a variable, as PostgreSQL wants one, that nobody reads: values are taken from pg_proc. Keeps no
// state.

#include "pg/base/server.h"

#include "pg/facts/depends_on.h"

namespace aggcache {

namespace {

// Where the first name of a list ends: at a comma outside of quotes, or at the end.
char *EndOfName(char *text) {
  bool quoted = false;
  for (; *text; text++) {
    if (*text == '"') quoted = !quoted;
    if (*text == ',' && !quoted) break;
  }
  return text;
}

bool CheckRelationNames(char **value, void **, GucSource) {
  List *names;
  if (*value == nullptr || SplitRelationNames(*value, &names)) return true;
  GUC_check_errdetail("The value must be a list of relation names, separated by commas.");
  return false;
}

}  // namespace

bool SplitRelationNames(const char *text, List **names) {
  *names = NIL;
  char *at = pstrdup(text);
  if (at[strspn(at, " \t\n\r\f")] == '\0') return true;
  for (;;) {
    char *end = EndOfName(at);
    bool last = *end == '\0';
    *end = '\0';
    List *name;
    if (!SplitIdentifierString(at, '.', &name) || name == NIL || list_length(name) > 2) return false;
    *names = lappend(*names, name);
    if (last) return true;
    at = end + 1;
  }
}

char *FunctionSetting(ArrayType *config, const char *name) {
  if (config == nullptr) return nullptr;
  Datum *elements;
  bool *nulls;
  int count;
  deconstruct_array(config, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
  size_t length = strlen(name);
  for (int i = 0; i < count; i++) {
    if (nulls[i]) continue;
    char *setting = TextDatumGetCString(elements[i]);
    if (pg_strncasecmp(setting, name, length) == 0 && setting[length] == '=') return setting + length + 1;
  }
  return nullptr;
}

// No privilege on the schema is asked for: who may call the function need not see what it reads.
Oid FindRelation(const List *name) {
  const char *relation = static_cast<char *>(llast(name));
  if (list_length(name) == 1) return RelnameGetRelid(relation);
  Oid schema = get_namespace_oid(static_cast<char *>(linitial(name)), true);
  return OidIsValid(schema) ? get_relname_relid(relation, schema) : InvalidOid;
}

char *RelationNameText(const List *name) {
  StringInfoData text;
  initStringInfo(&text);
  ListCell *cell;
  foreach (cell, name)
    appendStringInfo(&text, "%s%s", text.len ? "." : "", quote_identifier(static_cast<char *>(lfirst(cell))));
  return text.data;
}

void DefineDependsOn() {
  static char *value = nullptr;  // means nothing
  DefineCustomStringVariable("aggcache.depends_on", "Names the relations that opaque functions in the body read.",
                             "It counts only as a SET clause of a cached function. An empty list: they read none.",
                             &value, "", PGC_USERSET, 0, CheckRelationNames, nullptr, nullptr);
}

}  // namespace aggcache
