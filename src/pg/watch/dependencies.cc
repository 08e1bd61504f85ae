// State of this session: which planning is watched, as long as it lasts. What is collected lies in the current memory
// context.

#include "pg/base/server.h"

#include "pg/watch/dependencies.h"

#include "core/tag.h"
#include "pg/base/shared.h"
#include "pg/facts/own_code.h"
#include "pg/watch/changed_columns.h"
#include "pg/watch/clauses.h"
#include "pg/watch/proposals.h"

namespace aggcache {

namespace {

// More tags than this are not asked about at every hit: the next coarser choice is taken.
constexpr int kMostTags = 128;
// Results that read more partitions than this depend on the partitioned table as a whole.
constexpr int kMostLeaves = 16;

set_rel_pathlist_hook_type previous_hook = nullptr;

// What is being planned; NULL when no planning is watched. Planning nests: a function that is evaluated while planning,
// or that compares values for an estimate, may plan queries of its own, which are not looked at.
struct Collector {
  const Definition *definition;
  const Query *query;  // the copy of its query that is planned
  Dependencies *dependencies;
  int limit;
  List **proposals;
};
Collector *collector = nullptr;

void AddDependency(Collector *collector, const RelationDependency &item) {
  Dependencies *all = collector->dependencies;
  if (all->count == collector->limit) {
    collector->limit = collector->limit * 2;
    all->items = static_cast<RelationDependency *>(repalloc(all->items, sizeof(RelationDependency) * collector->limit));
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

// ---- Choosing a watch -------------------------------------------------------------------------------------------

// How a watch fits the clauses of a base relation.
struct Fit {
  const Watch *watch;
  double share;      // estimated, of the table's changes that it lets through
  bool replaceable;  // a key column's hash is: there may be writers who cannot compute it
  ValueSet keys[kMostKeyColumns];
  RestrictInfo *key_clauses[kMostKeyColumns];
  UnitRange range;
  RangeColumn range_column;
  List *range_clauses;  // RestrictInfo; NIL: the range is open at both ends
  int key_tags;
};

struct BaseRelation {
  PlannerInfo *root;
  RelOptInfo *rel;
  Relation relation;
  List *clauses;  // bare; of PostgreSQL's own functions, on whose word something can be proven
  Bitmapset *used;
  bool uses_all;
};

// Never 0, as estimated for IS NOT DISTINCT FROM NULL: what else tells watches apart would no longer count.
double Selectivity(const BaseRelation &base, List *clauses) {
  return Max(1e-9, clauselist_selectivity(base.root, clauses, 0, JOIN_INNER, nullptr));
}

// Finds the clause that leaves the fewest values for a key column.
bool FitKey(const BaseRelation &base, AttrNumber attribute, ValueSet *values, RestrictInfo **clause,
            bool *replaceable) {
  KeyColumn column;
  if (!DescribeKeyColumn(base.relation, attribute, &column, CurrentMemoryContext)) return false;
  *replaceable |= column.rule.replaceable;
  bool found = false;
  ListCell *cell;
  foreach (cell, base.rel->baserestrictinfo) {
    RestrictInfo *candidate = lfirst_node(RestrictInfo, cell);
    ValueSet left;
    if (!RestrictsToValues(reinterpret_cast<Node *>(candidate->clause), base.rel->relid, column, &left)) continue;
    if (found && left.count + left.has_null >= values->count + values->has_null) continue;
    *values = left;
    *clause = candidate;
    found = true;
  }
  return found;
}

// Whether all changes that matter to these clauses come under the watch, in not too many tags; fills *fit.
bool FitWatch(const BaseRelation &base, const Watch *watch, Fit *fit) {
  if (!watch->all_columns && (base.uses_all || !bms_is_subset(base.used, watch->columns))) return false;
  Index relid = base.rel->relid;
  fit->watch = watch;
  fit->share = 1.0;
  if (watch->predicate != NIL) {
    auto *predicate = static_cast<List *>(copyObjectImpl(watch->predicate));
    ChangeVarNodes(reinterpret_cast<Node *>(predicate), 1, static_cast<int>(relid), 0);
    if (!predicate_implied_by(predicate, base.clauses, false)) return false;
    fit->share *= Selectivity(base, predicate);
  }
  fit->key_tags = 1;
  fit->replaceable = false;
  for (int i = 0; i < watch->key_count; i++) {
    if (!FitKey(base, watch->keys[i], &fit->keys[i], &fit->key_clauses[i], &fit->replaceable)) return false;
    fit->key_tags *= fit->keys[i].count + fit->keys[i].has_null;
    if (fit->key_tags > kMostTags) return false;
    fit->share *= Selectivity(base, list_make1(fit->key_clauses[i]));
  }
  fit->range_clauses = NIL;
  fit->range = {kFirstUnit, kLastUnit};
  if (watch->range_column) {
    if (!DescribeRangeColumn(base.relation, watch->range_column, watch->range_width, &fit->range_column)) return false;
    ListCell *cell;
    foreach (cell, base.rel->baserestrictinfo) {
      RestrictInfo *clause = lfirst_node(RestrictInfo, cell);
      if (RestrictsToRange(reinterpret_cast<Node *>(clause->clause), relid, fit->range_column, &fit->range))
        fit->range_clauses = lappend(fit->range_clauses, clause);
    }
    if (fit->range_clauses != NIL) fit->share *= Selectivity(base, fit->range_clauses);
  }
  // Of the updates of rows that pass, those of other columns do not come through.
  const Bitmapset *counted = watch->apart && !base.uses_all ? base.used : watch->columns;
  if (!watch->all_columns || counted)
    fit->share *= 0.5 + 0.5 * bms_num_members(counted) / (1.0 + RelationGetNumberOfAttributes(base.relation));
  return true;
}

// The tags of every combination of key values.
int KeyTags(const Fit &fit, Oid relation, uint64_t *tags) {
  int count = 1;
  tags[0] = WatchTag(MyDatabaseId, relation, fit.watch->id);
  for (int i = 0; i < fit.watch->key_count; i++) {
    const ValueSet &values = fit.keys[i];
    AttrNumber attribute = fit.watch->keys[i];
    uint64_t narrowed[kMostTags];
    int narrowed_count = 0;
    for (int j = 0; j < count; j++) {
      for (int k = 0; k < values.count; k++)
        narrowed[narrowed_count++] = WithColumn(tags[j], attribute, values.hashes[k]);
      if (values.has_null) narrowed[narrowed_count++] = WithNull(tags[j], attribute);
    }
    memcpy(tags, narrowed, sizeof(uint64_t) * narrowed_count);
    count = narrowed_count;
  }
  return count;
}

// Notes which clauses narrow the tags.
void ExplainClauses(RelationDependency *item, const BaseRelation &base, const Fit &fit) {
  List *used = list_copy(fit.range_clauses);
  for (int i = 0; i < fit.watch->key_count; i++) used = list_append_unique_ptr(used, fit.key_clauses[i]);
  ListCell *cell;
  foreach (cell, used)
    item->clauses =
        lappend(item->clauses,
                NormaliseClause(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), base.rel->relid));
}

// The item depends on the rows that the watch and the clauses leave.
void SetWatchTags(RelationDependency *item, const BaseRelation &base, const Fit &fit) {
  uint64_t keys[kMostTags];
  int key_count = KeyTags(fit, item->relation, keys);
  item->watch = fit.watch;
  ExplainClauses(item, base, fit);
  Cell cells[kMostCells];
  int cell_count = -1;
  if (fit.range_clauses != NIL) {
    const int most = Min(kMostCells, kMostTags / Max(1, key_count));
    cell_count = CoverRange(fit.range.low, fit.range.high, fit.range_column.grid, most, cells);
    if (cell_count * key_count > kMostTags) cell_count = -1;
  }
  item->by_range = cell_count >= 0;
  SetTags(item, key_count * (item->by_range ? cell_count : 1) + fit.replaceable);
  uint64_t *tag = item->tags;
  for (int i = 0; i < key_count; i++) {
    if (!item->by_range) *tag++ = keys[i];
    for (int j = 0; j < cell_count; j++) *tag++ = WithCell(keys[i], cells[j].level, cells[j].index);
  }
  if (fit.replaceable) *tag = WatchTag(MyDatabaseId, item->relation, fit.watch->id);
  AddColumnTags(item, base.used, base.uses_all, kMostTags);
}

// ---- Partitions -------------------------------------------------------------------------------------------------

bool IsPartitioned(const RangeTblEntry *entry) {
  return entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_PARTITIONED_TABLE;
}

// Whether the relation was put into the plan in the place of a partitioned table above it.
bool IsPartOfPartitioned(PlannerInfo *root, const RelOptInfo *rel) {
  if (rel->reloptkind != RELOPT_OTHER_MEMBER_REL) return false;
  return IsPartitioned(root->simple_rte_array[root->append_rel_array[rel->relid]->parent_relid]);
}

// The partitions that the plan reads for this appearance of a partitioned table.
List *LeavesOf(PlannerInfo *root, const RelOptInfo *rel) {
  List *leaves = NIL;
  ListCell *cell;
  foreach (cell, root->append_rel_list) {
    AppendRelInfo *info = lfirst_node(AppendRelInfo, cell);
    RangeTblEntry *child = root->simple_rte_array[info->child_relid];
    if (child->rtekind != RTE_RELATION || IsPartitioned(child)) continue;
    while (info && info->parent_relid != rel->relid) info = root->append_rel_array[info->parent_relid];
    if (info) leaves = lappend_oid(leaves, child->relid);
  }
  return leaves;
}

// Of few partitions, each counts for itself.
void SetLeafTags(RelationDependency *item) {
  SetTags(item, list_length(item->leaves));
  item->by_leaves = true;
  for (int i = 0; i < item->tag_count; i++) item->tags[i] = TableTag(MyDatabaseId, list_nth_oid(item->leaves, i));
}

// Whether the answer shows in which order the rows come, so that an UPDATE counts whatever column it sets: it moves the
// row. Children that inherit are read as their parent is.
bool RelationShowsOrder(PlannerInfo *root, const RelOptInfo *rel) {
  for (;;) {
    const RangeTblEntry *entry = root->simple_rte_array[rel->relid];
    if (entry->rtekind == RTE_RELATION && list_member_oid(collector->definition->order_shows, entry->relid))
      return true;
    if (rel->reloptkind != RELOPT_OTHER_MEMBER_REL) return false;
    rel = root->simple_rel_array[root->append_rel_array[rel->relid]->parent_relid];
  }
}

// ---- The hook ---------------------------------------------------------------------------------------------------

// Adds what one appearance of a relation depends on, by the watch that lets the fewest changes through.
void CollectTags(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *entry) {
  RelationDependency item;
  memset(&item, 0, sizeof(item));
  item.relation = entry->relid;
  item.seen = true;
  item.inherits = entry->inh && IsPartitioned(entry);
  if (item.inherits) item.leaves = LeavesOf(root, rel);
  if (is_dummy_rel(rel)) {
    // no row can pass, whatever is written; that it is so rests on arguments and definitions alone
    AddDependency(collector, item);
    return;
  }
  BaseRelation base = {root, rel, table_open(entry->relid, NoLock), NIL, nullptr, false};
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo) {
    Node *clause = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
    if (!HasOthersFunctions(clause)) base.clauses = lappend(base.clauses, clause);
    item.other_clauses = lappend(item.other_clauses, NormaliseClause(clause, rel->relid));
  }
  base.used = UsedColumns(rel, &base.uses_all);
  item.by_order = RelationShowsOrder(root, rel);
  base.uses_all |= item.by_order;
  Fit *best = nullptr;
  foreach (cell, ReadWatches(base.relation)) {
    auto *fit = static_cast<Fit *>(palloc(sizeof(Fit)));
    if (FitWatch(base, static_cast<Watch *>(lfirst(cell)), fit) && (best == nullptr || fit->share < best->share))
      best = fit;
  }
  if (best)
    SetWatchTags(&item, base, *best);
  else
    SetTableTag(&item);
  // A watch that only sets rows and columns apart is no better than the few partitions that are read, each by itself.
  if (item.inherits && list_length(item.leaves) <= kMostLeaves && item.watch == nullptr) SetLeafTags(&item);
  table_close(base.relation, NoLock);
  AddDependency(collector, item);
}

// Whether what is planned is the watched query or part of it, not one within the planning.
bool IsWatchedPlanning(const PlannerInfo *root) {
  if (collector == nullptr) return false;
  while (root->parent_root) root = root->parent_root;
  return root->parse == collector->query;
}

// The hook, called for each base relation once its clauses are known.
void WatchPath(PlannerInfo *root, RelOptInfo *rel, Index index, RangeTblEntry *entry) {
  if (IsWatchedPlanning(root) && entry->rtekind == RTE_RELATION && !IsPartOfPartitioned(root, rel)) {
    // An inheritance parent comes again as a child of itself.
    bool counts = !entry->inh || IsPartitioned(entry);
    if (counts && collector->proposals)
      AddProposals(rel, entry->relid, RelationShowsOrder(root, rel), collector->proposals);
    else if (counts)
      CollectTags(root, rel, entry);
  }
  if (previous_hook) previous_hook(root, rel, index, entry);
}

// Plans the definition's query; the hook fills the collector meanwhile.
PlannedStmt *PlanWatched(const Definition *definition, ParamListInfo parameters, Collector *watched) {
  Collector *outer = collector;
  PlannedStmt *plan = nullptr;
  PG_TRY();
  {
    auto *query = static_cast<Query *>(copyObjectImpl(definition->query));
    watched->query = query;
    collector = watched;
    // what functions in the body do in a parallel worker could not be collected
    plan =
        pg_plan_query(query, definition->source, definition->calls_functions ? 0 : CURSOR_OPT_PARALLEL_OK, parameters);
  }
  PG_FINALLY();
  { collector = outer; }
  PG_END_TRY();
  return plan;
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

void InstallDependencyHook() {
  previous_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = WatchPath;
}

PlannedStmt *PlanWithDependencies(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies) {
  dependencies->complete = true;
  dependencies->count = 0;
  dependencies->items = static_cast<RelationDependency *>(palloc(sizeof(RelationDependency) * 8));
  Collector watched = {definition, nullptr, dependencies, 8, nullptr};
  PlannedStmt *plan = PlanWatched(definition, parameters, &watched);
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
    AddDependency(&watched, item);
  }
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
    dependencies->items = static_cast<RelationDependency *>(
        repalloc(dependencies->items, sizeof(RelationDependency) * (dependencies->count + 1)));
    dependencies->items[dependencies->count++] = item;
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
  Collector watched = {definition, nullptr, nullptr, 0, &proposals};
  PlanWatched(definition, nullptr, &watched);
  return proposals;
}

}  // namespace aggcache
