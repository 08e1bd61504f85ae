// The names that stand in the text of a body, and so the rows of pg_class and pg_type that could come to mean something
// else in it: a relation or a type that is created, renamed or moved into a schema where it would be found first.
//
// Every word of the text counts, in identifiers as in literals ('tbl'::regclass, '{"My type"}'::regtype[]), under every
// schema of the search path and under every schema that a word names. What is too many costs an analysis that was not
// needed. Functions, operators and other objects that are rarely created are not told apart (definition_cache.cc).

#ifndef AGGCACHE_PG_FACTS_NAMES_H
#define AGGCACHE_PG_FACTS_NAMES_H

#include "pg/base/server.h"

namespace aggcache {

// Hash values of (name, schema) in the caches RELNAMENSP and TYPENAMENSP, which are the same in both.
struct NameSet {
  uint32 *hashes;  // sorted once SealNames was called
  int count;
  int limit;
};

// Adds the words of a statement's text. REQUIRES: it can be parsed.
void AddNamesOf(const char *text, NameSet *names);

// The same for the bodies of functions of language sql (Oids), as far as they are kept as text.
void AddNamesOfFunctions(const List *functions, NameSet *names);

// Adds a name as it is, under the schemas (Oids).
void AddName(const char *name, const List *schemas, NameSet *names);

void MergeNames(const NameSet &from, NameSet *into);

void SealNames(NameSet *names);

// REQUIRES: SealNames.
bool HasName(const NameSet &names, uint32 hash);

}  // namespace aggcache

#endif
