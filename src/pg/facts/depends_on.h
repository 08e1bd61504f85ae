// The setting aggcache.depends_on: the relations that the opaque functions in a body read, as its author states them.
// Only the function's own SET clause counts; the value that a session has set means nothing.

#ifndef AGGCACHE_PG_FACTS_DEPENDS_ON_H
#define AGGCACHE_PG_FACTS_DEPENDS_ON_H

#include "pg/base/server.h"

namespace aggcache {

// Declares it. Called by _PG_init.
void DefineDependsOn();

// Takes "schema.table, other" apart into a list of names, each a list of char *. False if it is not such a list.
bool SplitRelationNames(const char *text, List **names);

// The value in a function's SET clauses, or NULL if it has none of that name.
char *FunctionSetting(ArrayType *config, const char *name);

// The relation of that name, as the search path finds it; InvalidOid if there is none.
Oid FindRelation(const List *name);

// "schema.table", for messages.
char *RelationNameText(const List *name);

}  // namespace aggcache

#endif
