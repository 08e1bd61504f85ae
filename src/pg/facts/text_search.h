// What a text search configuration makes of a text depends on catalogs, whose changes register in the tag of names, on
// code, and on files of stop words and the like. A session reads a file when it first uses a dictionary, and again
// when the dictionary is altered: who changes a file has to alter the dictionary, for results as for sessions.

#ifndef AGGCACHE_PG_FACTS_TEXT_SEARCH_H
#define AGGCACHE_PG_FACTS_TEXT_SEARCH_H

#include "pg/base/server.h"

namespace aggcache {

// Whether the function is one of PostgreSQL's own that takes texts apart by a configuration or dictionary, the first of
// its arguments, and reads nothing else; and whether this is a constant that only the tag of names can change.
bool IsSearchByConstant(const FuncExpr *call);

// The same of a function that uses the default configuration. This is known by the setting: it must be one in
// pg_catalog, as other schemas can get another name while a session keeps what it has found.
bool IsSearchByDefault(Oid function);

}  // namespace aggcache

#endif
