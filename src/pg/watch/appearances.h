// What planning has shown of a body: each appearance of a relation, and what its clauses refer to outside of their own
// level of the query. The planner's structures live in the memory context in which the query was planned, so they can
// be read as long as the plan can.

#ifndef AGGCACHE_PG_WATCH_APPEARANCES_H
#define AGGCACHE_PG_WATCH_APPEARANCES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// One appearance of a relation in the body. Partitions do not count for themselves.
struct Appearance {
  PlannerInfo *root;
  RelOptInfo *rel;
  Oid relation;
  bool inherits;       // a partitioned table with its partitions
  List *leaves;        // then: those that the plan reads (Oid)
  bool is_empty;       // no row can pass, whatever is written
  bool shows_order;    // an UPDATE counts whatever column it sets, as the answer shows in which order the rows come
  bool uses_all;       // the whole row
  Bitmapset *columns;  // else: those that the clauses and all above need
};

// A parameter that stands for something of a level above, in which it is `item`.
struct OuterReference {
  int parameter;
  PlannerInfo *root;
  Node *item;
};

// Which part of a UNION ALL, or child that inherits, stands for which columns of what it is a part of. The planner's
// own notes are changed when the plan is finished.
struct PartOfLevel {
  PlannerInfo *root;
  AppendRelInfo *part;
};

struct Planned {
  const Definition *definition;
  PlannedStmt *plan;
  ParamListInfo parameters;  // NULL: planned for unknown arguments
  List *appearances;         // of Appearance
  List *outer;               // of OuterReference
  List *parts;               // of PartOfLevel
  bool overlooked;           // an appearance could not be noted: the list does not tell of every row that is read
  List *settled;             // of Appearance: those whose tags are chosen, so that others may be narrowed by them
};

// Installs the planner hook. Called by _PG_init.
void InstallAppearanceHook();

// Plans the query, a part of the definition, with these parameters as constants, or for unknown ones if they are NULL.
// The query is scribbled on. All that is returned lies in the current memory context.
Planned PlanWatched(const Definition *definition, Query *query, ParamListInfo parameters);

}  // namespace aggcache

#endif
