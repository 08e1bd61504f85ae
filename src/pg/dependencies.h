// From a plan to tags: while a body is planned with its actual arguments, a planner hook sees, for every base relation,
// the clauses that each row must pass to matter. A clause "column = constant" on a watched column narrows the
// dependency to one key.

#ifndef AGGCACHE_PG_DEPENDENCIES_H
#define AGGCACHE_PG_DEPENDENCIES_H

#include "pg/server.h"

#include "core/stamp.h"
#include "pg/definition.h"

namespace aggcache {

// What one appearance of a relation in the plan depends on.
struct RelationDependency {
  Oid relation;
  bool keyed;  // a key tag, else the table tag
  uint64_t tag;
  AttrNumber columns[4];  // of the watch, 0-terminated unless full
  bool seen;              // the planner showed its clauses
};

struct Dependencies {
  bool complete;  // every relation of the plan is one that the definition knows
  int count;
  RelationDependency *items;
};

// Installs the planner hook. Called by _PG_init.
void InstallDependencyHook();

// Plans the definition's query with these parameters, as constants, and tells what the result will depend on.
// REQUIRES: locks on the relations. The plan and the lists are in the current memory context.
PlannedStmt *PlanWithDependencies(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies);

// Adds that any changed row of the relation counts, whatever the plan reads of it.
void AddWholeTable(Dependencies *dependencies, Oid relation);

// The slots of all tags, wide tags included, each once. *stamps is in the current memory context.
int CollectStamps(const Definition *definition, const Dependencies &dependencies, Stamp **stamps);

// Columns on which keys would help: those compared for equality with something that reads no column, when the body is
// planned for unknown arguments. Calls found for each.
void FindKeyColumns(const Definition *definition, void (*found)(Oid relation, AttrNumber column, void *context),
                    void *context);

}  // namespace aggcache

#endif
