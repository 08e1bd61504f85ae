// Words are read from the text form of the raw parse tree, in which literals are without quotes and escapes. Keeps no
// state: a NameSet is its caller's.

#include "pg/base/server.h"

#include "pg/facts/names.h"

#include <algorithm>
#include <initializer_list>

namespace aggcache {

namespace {

struct Words {
  List *words;  // char *
};

void AddWord(const char *word, Words *found) {
  if (*word != '\0') found->words = lappend(found->words, pstrdup(word));
}

// Both as it is written and as it would be read without quotes.
void AddPlainWord(const char *begin, int length, Words *found) {
  char *word = pnstrdup(begin, length);
  AddWord(word, found);
  char *folded = downcase_truncate_identifier(word, length, false);
  if (strcmp(folded, word) != 0) AddWord(folded, found);
}

bool IsWordCharacter(char c) {
  auto byte = static_cast<unsigned char>(c);
  return isalnum(byte) || byte == '_' || byte == '$' || byte >= 0x80;
}

// Reads a name in quotes at each of them, in which two quotes stand for one. What is longer than a name is cut.
void AddQuotedNames(const char *string, Words *found) {
  for (const char *quote = strchr(string, '"'); quote != nullptr; quote = strchr(quote + 1, '"')) {
    char name[2 * NAMEDATALEN];
    int length = 0;
    for (const char *at = quote + 1; *at != '\0' && length + 1 < static_cast<int>(sizeof(name)); at++) {
      if (*at == '"' && *++at != '"') break;
      name[length++] = *at;
    }
    name[length] = '\0';
    AddWord(name, found);
  }
}

// What a string holds may itself be a qualified name with quotes, alone or within the text of an array or a row.
void AddWordsOfString(const char *string, Words *found) {
  AddPlainWord(string, static_cast<int>(strlen(string)), found);
  for (const char *at = string; *at != '\0';) {
    const char *begin = at;
    while (IsWordCharacter(*at)) at++;
    if (at > begin)
      AddPlainWord(begin, static_cast<int>(at - begin), found);
    else
      at++;
  }
  AddQuotedNames(string, found);
  // Within an array or a row such names are quoted once more, by backslashes or by doubling.
  char *inner = pstrdup(string);
  for (const char escape : {'\\', '"'}) {
    char *end = inner;
    for (const char *at = string; *at != '\0'; at++) {
      if (*at == escape && at[1] != '\0' && (escape == '\\' || at[1] == '"'))
        *end++ = *++at;
      else if (*at != '"')
        *end++ = *at;
    }
    *end = '\0';
    AddQuotedNames(inner, found);
  }
}

// The text form of a tree, as nodeToString() writes it: tokens between blanks and brackets, in which a backslash takes
// the meaning from the next character. So no kind of node is forgotten, whatever comes with a later version.
void AddWordsOfTree(const char *tree, Words *found) {
  auto *token = static_cast<char *>(palloc(strlen(tree) + 1));
  for (const char *at = tree; *at != '\0';) {
    if (strchr(" \n\t(){}", *at)) {
      at++;
      continue;
    }
    const bool is_field = *at == ':';
    const bool quoted = *at == '"';
    if (quoted) at++;
    int length = 0;
    bool last_is_quote = false;
    for (; *at != '\0' && !strchr(" \n\t(){}", *at); at++) {
      last_is_quote = *at == '"';
      if (*at == '\\' && at[1] != '\0') at++;
      token[length++] = *at;
    }
    if (quoted && last_is_quote && length > 0) length--;
    token[length] = '\0';
    if (!is_field) AddWordsOfString(token, found);
  }
}

void AddNameHash(uint32 hash, NameSet *names) {
  if (names->count == names->limit) {
    names->limit = Max(64, names->limit * 2);
    Size size = sizeof(uint32) * names->limit;
    names->hashes = static_cast<uint32 *>(names->hashes ? repalloc(names->hashes, size) : palloc(size));
  }
  names->hashes[names->count++] = hash;
}

}  // namespace

void AddName(const char *name, const List *schemas, NameSet *names) {
  char *kept = pstrdup(name);
  truncate_identifier(kept, static_cast<int>(strlen(kept)), false);
  NameData padded;
  namestrcpy(&padded, kept);
  ListCell *cell;
  foreach (cell, schemas)
    AddNameHash(GetSysCacheHashValue2(RELNAMENSP, NameGetDatum(&padded), ObjectIdGetDatum(lfirst_oid(cell))), names);
  pfree(kept);
}

void AddNamesOf(const char *text, NameSet *names) {
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = AllocSetContextCreate(outer, "aggcache names", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  Words found = {NIL};
  AddWordsOfTree(nodeToString(raw_parser(text, RAW_PARSE_DEFAULT)), &found);
  List *schemas = fetch_search_path(true);
  ListCell *cell;
  foreach (cell, found.words) {
    auto *word = static_cast<const char *>(lfirst(cell));
    Oid schema = strlen(word) < NAMEDATALEN ? get_namespace_oid(word, true) : InvalidOid;
    if (OidIsValid(schema)) schemas = list_append_unique_oid(schemas, schema);
  }
  MemoryContextSwitchTo(outer);
  foreach (cell, found.words) AddName(static_cast<const char *>(lfirst(cell)), schemas, names);
  MemoryContextDelete(context);
  SealNames(names);
}

void AddNamesOfFunctions(const List *functions, NameSet *names) {
  ListCell *cell;
  foreach (cell, functions) {
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", lfirst_oid(cell));
    bool is_null;
    (void)SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosqlbody, &is_null);
    const bool is_tree = !is_null;
    Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
    char *body = is_null || is_tree ? nullptr : TextDatumGetCString(source);
    bool is_sql = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == SQLlanguageId;
    ReleaseSysCache(row);
    if (is_sql && body) AddNamesOf(body, names);
  }
}

void MergeNames(const NameSet &from, NameSet *into) {
  for (int i = 0; i < from.count; i++) AddNameHash(from.hashes[i], into);
}

void SealNames(NameSet *names) {
  std::sort(names->hashes, names->hashes + names->count);
  names->count = static_cast<int>(std::unique(names->hashes, names->hashes + names->count) - names->hashes);
}

bool HasName(const NameSet &names, uint32 hash) {
  return std::binary_search(names.hashes, names.hashes + names.count, hash);
}

}  // namespace aggcache
