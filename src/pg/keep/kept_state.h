// What a session knows of a definition's results with regard to keeping them current.

#ifndef AGGCACHE_PG_KEEP_KEPT_STATE_H
#define AGGCACHE_PG_KEEP_KEPT_STATE_H

#include "pg/base/server.h"

#include "pg/body/definition.h"
#include "pg/keep/program.h"

namespace aggcache {

struct KeptState {
  const Program *program;  // NULL: they are not kept
  const char *why;         // then; in words
  Oid relation;
  const Query *query;  // with the groups as they were written
  List *groups;        // of the query, not normalised
  List *aggregates;
  Bitmapset *reads;     // numbers of the columns that the program reads
  List *parameters;     // Param nodes that the program has, each once
  TupleDesc columns;    // of groups and aggregates
  mutable HTAB *calls;  // known_calls.h
  mutable MemoryContext calls_context;
  mutable PlannedStmt *answer;  // over a table of these; NULL before it is needed
};

// Made at first use, in the definition's memory.
const KeptState *KeptStateOf(const Definition *definition);

}  // namespace aggcache

#endif
