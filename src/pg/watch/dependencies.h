// From a plan to tags: planning a body with its actual arguments shows, for every base relation, the clauses that each
// row must pass to matter and the columns that are used (appearances.h). What it is joined with tells more
// (narrowing.h). Of the watches in force, the one that tells most changes apart gives the tags (fits.h).
//
// Planned for unknown arguments, the same clauses tell which watches a function needs.

#ifndef AGGCACHE_PG_WATCH_DEPENDENCIES_H
#define AGGCACHE_PG_WATCH_DEPENDENCIES_H

#include "pg/base/server.h"

#include "core/stamp.h"
#include "pg/body/definition.h"
#include "pg/watch/narrowing.h"
#include "pg/watch/watches.h"

namespace aggcache {

// What one appearance of a relation in the plan depends on.
struct RelationDependency {
  Oid relation;
  int tag_count;     // 0: no row of the relation can matter
  uint64_t *tags;    // of rows
  uint64_t key_tag;  // that every change of these rows has, whatever cells they lie in; 0: there is no such one
  bool seen;         // the planner showed its clauses
  bool inherits;     // a partitioned table with its partitions
  List *leaves;      // then: those that the plan reads (Oid)
  bool by_leaves;    // the tags are those of the leaves, each as a whole
  bool by_range;     // the tags are those of cells
  bool any_column;   // so many tags that the columns of a shared watch are not told apart
  bool by_order;     // the answer shows the order of rows, so every column counts
  bool many_tags;    // so many that a finer choice was left
  bool outside;      // the range lies where values share the outermost cells
  JoinLimit limit;   // what else was to be read to tell rows apart
  // For explanations; the clauses are those that narrow the tags, their columns Vars of relation 1.
  const Watch *watch;  // NULL: the whole table
  List *clauses;
  List *other_clauses;
};

struct Dependencies {
  bool complete;  // every relation of the plan is one that the definition knows
  int count;
  int limit;
  RelationDependency *items;
};

// Plans the definition's query with these parameters, as constants, and tells what the result will depend on.
// REQUIRES: locks on the relations. The plan and the lists are in the current memory context.
PlannedStmt *PlanWithDependencies(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies);

// Adds the relations that functions in the body read, of which any changed row counts, whatever the plan reads.
void AddWholeTables(const Definition *definition, Dependencies *dependencies);

// The stamps of all tags, wide tags included, each once. *stamps is in the current memory context.
int StampsOfDependencies(const Definition *definition, const Dependencies &dependencies, Stamp **stamps);

// A watch that would tell changes apart for calls of the function.
struct WatchProposal {
  Oid relation;
  Watch watch;
  bool joined;  // values of a key or a range come from what the relation is joined with
};

// What to watch for the definition: a list of WatchProposal, each once.
List *ProposeWatches(const Definition *definition);

}  // namespace aggcache

#endif
