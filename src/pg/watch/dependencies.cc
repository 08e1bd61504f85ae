// Keeps no state. What is made lies in the current memory context.

#include "pg/base/server.h"

#include "pg/watch/dependencies.h"

#include "core/tag.h"
#include "pg/base/shared.h"
#include "pg/facts/equality.h"
#include "pg/facts/own_code.h"
#include "pg/watch/appearances.h"
#include "pg/watch/changed_columns.h"
#include "pg/watch/clauses.h"
#include "pg/watch/conditions.h"
#include "pg/watch/fits.h"
#include "pg/watch/known_watches.h"
#include "pg/watch/narrowing.h"
#include "pg/watch/proposals.h"

namespace aggcache {

namespace {

// Results that read more partitions than this depend on the partitioned table as a whole.
constexpr int kMostLeaves = 16;

void AddDependency(Dependencies *all, const RelationDependency &item) {
  if (all->count == all->limit) {
    all->limit = Max(8, all->limit * 2);
    const Size size = sizeof(RelationDependency) * all->limit;
    all->items = static_cast<RelationDependency *>(all->items ? repalloc(all->items, size) : palloc(size));
  }
  all->items[all->count++] = item;
}

// Makes room for that many tags.
void SetTags(RelationDependency *item, int count) {
  item->tag_count = count;
  item->tags = static_cast<uint64_t *>(palloc(sizeof(uint64_t) * Max(1, count)));
}

// The item depends on every row of the relation.
void SetTableTag(RelationDependency *item) {
  SetTags(item, 1);
  item->tags[0] = TableTag(MyDatabaseId, item->relation);
  item->watch = nullptr;
}

// ---- Tags of one appearance -------------------------------------------------------------------------------------

// Of few partitions, each counts for itself.
void SetLeafTags(RelationDependency *item) {
  SetTags(item, list_length(item->leaves));
  item->by_leaves = true;
  for (int i = 0; i < item->tag_count; i++) item->tags[i] = TableTag(MyDatabaseId, list_nth_oid(item->leaves, i));
}

// The columns by which there are watches, but which no clause restricts yet.
WantedColumns FindWanted(BaseRelation *base, const List *watches) {
  WantedColumns wanted = {nullptr, nullptr};
  ListCell *cell, *clause_cell;
  foreach (cell, watches) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    if (!watch->all_columns && (base->uses_all || !bms_is_subset(base->used, watch->columns))) continue;
    for (int i = 0; i < watch->key_count; i++) wanted.keys = bms_add_member(wanted.keys, watch->keys[i]);
    if (watch->range_column) wanted.ranges = bms_add_member(wanted.ranges, watch->range_column);
  }
  foreach (clause_cell, base->clauses) {
    const ClauseColumns found = FindColumns(static_cast<Node *>(lfirst(clause_cell)), base->rel->relid);
    wanted.keys = bms_del_members(wanted.keys, found.keys);
    wanted.ranges = bms_del_members(wanted.ranges, found.ranges);
  }
  return wanted;
}

// Makes the item one of the rows that the fit leaves.
void SetFit(RelationDependency *item, const Fit &fit, const BaseRelation &base) {
  const Index relid = base.rel->relid;
  item->watch = fit.watch;
  item->tag_count = TagsOfFit(fit, item->relation, &item->tags, &item->by_range);
  item->key_tag = KeyTagOfFit(fit, item->relation);
  item->many_tags |= fit.range_clauses != NIL && !item->by_range;
  item->outside = IsOutsideOfCells(fit);
  AddColumnTags(item, base.used, base.uses_all, kMostTags);
  ListCell *cell;
  foreach (cell, ClausesOfFit(fit))
    item->clauses = lappend(item->clauses, NormaliseClause(static_cast<Node *>(lfirst(cell)), relid));
}

void AddClause(BaseRelation *base, Node *clause) {
  base->clauses = lappend(base->clauses, clause);
  if (!HasOthersFunctions(clause)) base->provable = lappend(base->provable, clause);
}

// A row that matters passes one of the arms, so the tags of all arms together tell of every change: each is fitted as
// if it were a clause. A list of Fit; NIL if an arm has none, or if together they let no fewer changes through.
List *FitArms(const BaseRelation &base, const List *watches, double share) {
  constexpr int kMostArms = 8;
  ListCell *cell, *arm_cell, *part_cell;
  foreach (cell, base.clauses) {
    Node *clause = static_cast<Node *>(lfirst(cell));
    if (!is_orclause(clause) || list_length(reinterpret_cast<BoolExpr *>(clause)->args) > kMostArms) continue;
    List *fits = NIL;
    double together = 0;
    int tags = 0;
    foreach (arm_cell, reinterpret_cast<BoolExpr *>(clause)->args) {
      BaseRelation arm = base;
      arm.clauses = list_copy(base.clauses);
      arm.provable = list_copy(base.provable);
      arm.memo = NIL;
      foreach (part_cell, make_ands_implicit(static_cast<Expr *>(lfirst(arm_cell))))
        AddClause(&arm, static_cast<Node *>(lfirst(part_cell)));
      Fit *best = FindBestFit(&arm, watches);
      together += best ? best->share : 1.0;
      tags += best ? best->key_tags : 0;
      if (best) fits = lappend(fits, best);
    }
    const bool all = list_length(fits) == list_length(reinterpret_cast<BoolExpr *>(clause)->args);
    if (all && together < share && tags <= kMostTags / 4) return fits;
  }
  return NIL;
}

// Adds what one appearance of a relation depends on, by the watch that lets the fewest changes through.
void AddAppearance(const Planned &planned, const Appearance &seen, Dependencies *all) {
  RelationDependency item;
  memset(&item, 0, sizeof(item));
  item.relation = seen.relation;
  item.seen = true;
  item.inherits = seen.inherits;
  item.leaves = seen.leaves;
  if (seen.is_empty) return AddDependency(all, item);
  item.by_order = seen.shows_order;
  const Index relid = seen.rel->relid;
  BaseRelation base = {seen.root, seen.rel,     table_open(seen.relation, NoLock), NIL,
                       NIL,       seen.columns, seen.uses_all || seen.shows_order, NIL,
                       NIL,       false};
  ListCell *cell;
  foreach (cell, seen.rel->baserestrictinfo) {
    Node *clause = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
    AddClause(&base, clause);
    item.other_clauses = lappend(item.other_clauses, NormaliseClause(clause, relid));
  }
  List *watches = KnownWatches(base.relation);
  if (FindConditions(planned, seen.root, seen.rel) != NIL)
    base.clauses = list_concat(base.clauses, ReadJoinClauses(planned, seen, FindWanted(&base, watches), &item.limit));
  const Fit *best = FindBestFit(&base, watches);
  item.many_tags = base.many_tags;
  List *arms = FitArms(base, watches, best ? best->share : 1.0);
  if (arms == NIL) {
    if (best)
      SetFit(&item, *best, base);
    else
      SetTableTag(&item);
    // A watch that only sets rows and columns apart is no better than the few partitions that are read, each by itself.
    if (item.inherits && list_length(item.leaves) <= kMostLeaves && item.watch == nullptr) SetLeafTags(&item);
    AddDependency(all, item);
  }
  foreach (cell, arms) {
    RelationDependency arm = item;
    SetFit(&arm, *static_cast<Fit *>(lfirst(cell)), base);
    arm.key_tag = 0;  // of the other arms' rows it knows nothing
    AddDependency(all, arm);
  }
  table_close(base.relation, NoLock);
}

// ---- What is planned ---------------------------------------------------------------------------------------------

bool IsMaterialised(const CommonTableExpr *table) {
  return !table->cterecursive && (table->ctematerialized == CTEMaterializeAlways ||
                                  (table->ctematerialized == CTEMaterializeDefault && table->cterefcount > 1));
}

// Finds a table of a WITH clause that is computed by itself, whatever is asked of it; *argument: changes that.
bool MaterialisedWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  check_stack_depth();
  if (IsA(node, Query)) {
    bool found = false;
    ListCell *cell;
    foreach (cell, reinterpret_cast<Query *>(node)->cteList) {
      auto *table = lfirst_node(CommonTableExpr, cell);
      if (!IsMaterialised(table)) continue;
      found = true;
      if (*static_cast<bool *>(argument)) table->ctematerialized = CTEMaterializeNever;
    }
    found |= compat::WalkQuery(reinterpret_cast<Query *>(node), MaterialisedWalker, argument);
    return found && !*static_cast<bool *>(argument);
  }
  return compat::WalkExpression(node, MaterialisedWalker, argument);
}

Query *CopyQuery(const Definition *definition) { return static_cast<Query *>(copyObjectImpl(definition->query)); }

// Plans so that the planner passes on to the tables of a WITH clause what is asked of them: the answer is the same, but
// the clauses show more. *differs: it is not the plan to be run.
Planned PlanOpened(const Definition *definition, ParamListInfo parameters, bool *differs) {
  Query *query = CopyQuery(definition);
  bool change = false;
  *differs = MaterialisedWalker(reinterpret_cast<Node *>(query), &change);
  change = true;
  if (*differs) MaterialisedWalker(reinterpret_cast<Node *>(query), &change);
  return PlanWatched(definition, query, parameters);
}

// Whether the first appearance is restricted by a clause or by what it is joined with, or is used in fewer columns,
// which the second does not show.
bool ShowsMoreThan(const Planned &opened, const Appearance &seen, const Planned &plain, const Appearance &other) {
  if (other.uses_all != seen.uses_all || !bms_is_subset(other.columns, seen.columns)) return true;
  if (seen.is_empty && !other.is_empty) return true;
  auto bare = [](const ListCell *cell, const Appearance &of) {
    return NormaliseClause(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), of.rel->relid);
  };
  List *known = NIL;
  ListCell *cell;
  foreach (cell, other.rel->baserestrictinfo) known = lappend(known, bare(cell, other));
  foreach (cell, seen.rel->baserestrictinfo)
    if (!list_member(known, bare(cell, seen))) return true;
  const WantedColumns more = FindJoinColumns(opened, seen), less = FindJoinColumns(plain, other);
  return !bms_is_subset(more.keys, less.keys) || !bms_is_subset(more.ranges, less.ranges);
}

// Compares what the two ways of planning show for unknown arguments, so that it does not depend on the call. Where
// opening shows no more, it is left out from then on: a miss plans once.
Opening FindOpening(const Definition *definition) {
  bool differs;
  const Planned opened = PlanOpened(definition, nullptr, &differs);
  const Planned plain = PlanWatched(definition, CopyQuery(definition), nullptr);
  if (opened.overlooked || plain.overlooked) return Opening::kShowsMore;
  ListCell *cell, *other;
  foreach (cell, opened.appearances) {
    auto *seen = static_cast<Appearance *>(lfirst(cell));
    bool found = false;
    foreach (other, plain.appearances) {
      auto *known = static_cast<Appearance *>(lfirst(other));
      if (known->relation != seen->relation || known->inherits != seen->inherits) continue;
      found = true;
      if (ShowsMoreThan(opened, *seen, plain, *known)) return Opening::kShowsMore;
    }
    if (!found) return Opening::kShowsMore;
  }
  return Opening::kShowsNothing;
}

bool IsInPlanRangeTable(const PlannedStmt *plan, Oid relation) {
  ListCell *cell;
  foreach (cell, plan->rtable)
    if (lfirst_node(RangeTblEntry, cell)->relid == relation) return true;
  return false;
}

// What the definition says of a relation that is read, by its name rather than as a part; or NULL.
const SourceRelation *FindSource(const Definition *definition, Oid relation) {
  const SourceRelation *found = nullptr;
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.relation != relation || !IsRead(source.role)) continue;
    if (source.role == SourceRole::kNamed) return &source;
    found = &source;
  }
  return found;
}

bool IsPartitionedSource(const Definition *definition, Oid relation) {
  const SourceRelation *source = FindSource(definition, relation);
  return source && source->partitioned;
}

// Adds the relations of the plan that were not shown, as a whole.
void AddUnseen(const Definition *definition, const PlannedStmt *plan, Dependencies *dependencies) {
  ListCell *cell;
  foreach (cell, plan->relationOids) {
    Oid relation = lfirst_oid(cell);
    const SourceRelation *source = FindSource(definition, relation);
    if (source == nullptr) {
      // every constant of type oid or regclass is in that list
      dependencies->complete &= !IsInPlanRangeTable(plan, relation);
      continue;
    }
    if (!source->tracked) continue;  // a view
    // A partition is covered by what is said of the table that it is a part of.
    if (source->role == SourceRole::kPart && IsPartitionedSource(definition, source->root)) continue;
    bool seen = false;
    for (int i = 0; i < dependencies->count; i++) seen |= dependencies->items[i].relation == relation;
    if (seen) continue;
    RelationDependency item;
    memset(&item, 0, sizeof(item));
    item.relation = relation;
    SetTableTag(&item);
    AddDependency(dependencies, item);
  }
}

int PositionOf(const List *list, const void *item) {
  for (int i = 0; i < list_length(list); i++)
    if (list_nth(list, i) == item) return i;
  return -1;
}

// ---- Stamps -----------------------------------------------------------------------------------------------------

struct StampList {
  Stamp *stamps;
  int count;
  int limit;
};

// Adds the stamps of a tag, or makes those that are there immediate.
void AddStamp(StampList *list, uint64_t tag, bool immediate) {
  Stamp pair[2];
  shared::stamps.MakeStamps(tag, immediate, pair);
  for (int i = 0; i + 1 < list->count; i += 2)
    if (list->stamps[i].slot == pair[0].slot && list->stamps[i + 1].slot == pair[1].slot) {
      list->stamps[i].immediate |= immediate;
      list->stamps[i + 1].immediate |= immediate;
      return;
    }
  if (list->count + 2 > list->limit) {
    list->limit *= 2;
    list->stamps = static_cast<Stamp *>(repalloc(list->stamps, sizeof(Stamp) * list->limit));
  }
  list->stamps[list->count++] = pair[0];
  list->stamps[list->count++] = pair[1];
}

// The leaves that the plan reads below a partitioned table; false if they are too many, or not known.
bool FindLeaves(const Dependencies &dependencies, Oid root, List **leaves) {
  *leaves = NIL;
  for (int i = 0; i < dependencies.count; i++) {
    const RelationDependency &item = dependencies.items[i];
    if (item.relation != root) continue;
    if (!item.seen) return false;
    if (!item.inherits) continue;  // ONLY the table itself
    *leaves = list_concat_unique_oid(*leaves, item.leaves);
    if (list_length(*leaves) > kMostLeaves) return false;
  }
  return true;
}

// What may change a relation as a whole, or what is below it.
void AddWideTags(StampList *list, const Definition *definition, const Dependencies &dependencies,
                 const SourceRelation &source) {
  if (source.role == SourceRole::kNamed) {
    AddStamp(list, WideTag(MyDatabaseId, source.relation), true);
    if (!source.partitioned) return;
    List *leaves;
    if (!FindLeaves(dependencies, source.relation, &leaves)) {
      AddStamp(list, SubtreeTag(MyDatabaseId, source.relation), true);
      return;
    }
    ListCell *cell;
    foreach (cell, leaves) AddStamp(list, WideTag(MyDatabaseId, lfirst_oid(cell)), true);
  } else if (source.partitioned || !IsPartitionedSource(definition, source.root)) {
    AddStamp(list, WideTag(MyDatabaseId, source.relation), true);
  }
}

}  // namespace

PlannedStmt *PlanWithDependencies(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies) {
  *dependencies = {true, 0, 0, nullptr};
  bool differs = false;
  Planned planned = definition->opening == Opening::kShowsNothing
                        ? PlanWatched(definition, CopyQuery(definition), parameters)
                        : PlanOpened(definition, parameters, &differs);
  if (definition->opening == Opening::kUnknown)
    definition->opening = differs ? FindOpening(definition) : Opening::kShowsNothing;
  const int count = list_length(planned.appearances);
  auto *found = static_cast<Dependencies *>(palloc0(sizeof(Dependencies) * Max(1, count)));
  while (Appearance *next = NextAppearance(planned)) {
    const int at = PositionOf(planned.appearances, next);
    AddAppearance(planned, *next, &found[at]);
    planned.settled = lappend(planned.settled, next);
  }
  for (int i = 0; i < count; i++)
    for (int j = 0; j < found[i].count; j++) AddDependency(dependencies, found[i].items[j]);
  dependencies->complete &= !planned.overlooked;
  PlannedStmt *plan = planned.plan;
  if (differs) {
    AddUnseen(definition, plan, dependencies);
    plan = PlanWatched(definition, CopyQuery(definition), parameters).plan;
  }
  AddUnseen(definition, plan, dependencies);
  return plan;
}

void AddWholeTables(const Definition *definition, Dependencies *dependencies) {
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.read_by != ReadBy::kFunction || !source.tracked) continue;
    // writes to partitions register in the table tag of the partitioned table
    if (source.role == SourceRole::kPart && IsPartitionedSource(definition, source.root)) continue;
    RelationDependency item;
    memset(&item, 0, sizeof(item));
    item.relation = source.relation;
    SetTableTag(&item);
    AddDependency(dependencies, item);
  }
}

int StampsOfDependencies(const Definition *definition, const Dependencies &dependencies, Stamp **stamps) {
  StampList list = {static_cast<Stamp *>(palloc(sizeof(Stamp) * 16)), 0, 16};
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].tracked) AddWideTags(&list, definition, dependencies, definition->relations[i]);
  for (int i = 0; i < dependencies.count; i++) {
    const RelationDependency &item = dependencies.items[i];
    for (int j = 0; j < item.tag_count; j++) AddStamp(&list, item.tags[j], false);
    // of what the planner did not show it is not known
    if (item.by_order || !item.seen) AddStamp(&list, OrderTag(MyDatabaseId, item.relation), true);
  }
  *stamps = list.stamps;
  return list.count;
}

List *ProposeWatches(const Definition *definition) {
  if (definition->query == nullptr) return NIL;  // not a single SELECT
  // Who makes a function or looks at one does not call it: a table whose rows are told apart less is right too.
  if (MayApplyOthersOperators(definition->query)) return NIL;
  List *proposals = NIL;
  bool differs;
  Planned planned = PlanOpened(definition, nullptr, &differs);
  ListCell *cell;
  foreach (cell, planned.appearances) AddProposals(planned, *static_cast<Appearance *>(lfirst(cell)), &proposals);
  return proposals;
}

}  // namespace aggcache
