// State of this session: which planning is watched, as long as it lasts. What is collected lies in the current memory
// context.

#include "pg/base/server.h"

#include "pg/watch/appearances.h"

#include "pg/watch/clauses.h"

namespace aggcache {

namespace {

set_rel_pathlist_hook_type previous_hook = nullptr;

// What is being planned; NULL when no planning is watched. Planning nests: a function that is evaluated while planning,
// or that compares values for an estimate, may plan queries of its own, which are not looked at.
struct Watching {
  const Query *query;
  MemoryContext context;
  Planned *planned;
};
Watching *watching = nullptr;

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

// Children that inherit are read as their parent is.
bool RelationShowsOrder(PlannerInfo *root, const RelOptInfo *rel) {
  for (;;) {
    const RangeTblEntry *entry = root->simple_rte_array[rel->relid];
    if (entry->rtekind == RTE_RELATION && list_member_oid(watching->planned->definition->order_shows, entry->relid))
      return true;
    if (rel->reloptkind != RELOPT_OTHER_MEMBER_REL) return false;
    rel = root->simple_rel_array[root->append_rel_array[rel->relid]->parent_relid];
  }
}

// What parameters of the levels above stand for is forgotten once this level is planned.
void NoteOuterReferences(const PlannerInfo *root) {
  for (PlannerInfo *above = root->parent_root; above; above = above->parent_root) {
    ListCell *cell;
    foreach (cell, above->plan_params) {
      auto *parameter = static_cast<PlannerParamItem *>(lfirst(cell));
      bool known = false;
      ListCell *other;
      foreach (other, watching->planned->outer)
        known |= static_cast<OuterReference *>(lfirst(other))->parameter == parameter->paramId;
      if (known) continue;
      auto *reference = static_cast<OuterReference *>(palloc(sizeof(OuterReference)));
      *reference = {parameter->paramId, above, parameter->item};
      watching->planned->outer = lappend(watching->planned->outer, reference);
    }
  }
}

void NoteParts(PlannerInfo *root) {
  ListCell *cell;
  foreach (cell, watching->planned->parts)
    if (static_cast<PartOfLevel *>(lfirst(cell))->root == root) return;
  foreach (cell, root->append_rel_list) {
    AppendRelInfo *part = lfirst_node(AppendRelInfo, cell);
    if (IsPartitioned(root->simple_rte_array[part->parent_relid])) continue;
    auto *noted = static_cast<PartOfLevel *>(palloc(sizeof(PartOfLevel)));
    *noted = {root, static_cast<AppendRelInfo *>(copyObjectImpl(part))};
    watching->planned->parts = lappend(watching->planned->parts, noted);
  }
}

void NoteAppearance(PlannerInfo *root, RelOptInfo *rel, const RangeTblEntry *entry) {
  auto *seen = static_cast<Appearance *>(palloc0(sizeof(Appearance)));
  seen->root = root;
  seen->rel = rel;
  seen->relation = entry->relid;
  seen->inherits = entry->inh && IsPartitioned(entry);
  if (seen->inherits) seen->leaves = LeavesOf(root, rel);
  // that it is so rests on arguments and definitions alone
  seen->is_empty = is_dummy_rel(rel);
  seen->shows_order = RelationShowsOrder(root, rel);
  seen->columns = UsedColumns(rel, &seen->uses_all);
  watching->planned->appearances = lappend(watching->planned->appearances, seen);
  NoteOuterReferences(root);
  // a level above shows its arrays once its own relations are looked at
  for (; root && root->simple_rte_array; root = root->parent_root) NoteParts(root);
}

// Whether what is planned is the watched query or part of it, not one within the planning.
bool IsWatched(const PlannerInfo *root) {
  if (watching == nullptr) return false;
  const PlannerInfo *top = root;
  while (top->parent_root) top = top->parent_root;
  if (top->parse != watching->query) return false;
  // somebody else's memory may be gone before it is looked at
  watching->planned->overlooked |= root->planner_cxt != watching->context;
  return root->planner_cxt == watching->context;
}

// The hook, called for each base relation once its clauses are known.
void WatchPath(PlannerInfo *root, RelOptInfo *rel, Index index, RangeTblEntry *entry) {
  if (IsWatched(root) && entry->rtekind == RTE_RELATION && !IsPartOfPartitioned(root, rel) &&
      // An inheritance parent comes again as a child of itself.
      (!entry->inh || IsPartitioned(entry))) {
    MemoryContext outer = MemoryContextSwitchTo(watching->context);
    NoteAppearance(root, rel, entry);
    MemoryContextSwitchTo(outer);
  }
  if (previous_hook) previous_hook(root, rel, index, entry);
}

}  // namespace

void InstallAppearanceHook() {
  previous_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = WatchPath;
}

Planned PlanWatched(const Definition *definition, Query *query, ParamListInfo parameters) {
  Planned planned = {definition, nullptr, parameters, NIL, NIL, NIL, false, NIL};
  Watching own = {query, CurrentMemoryContext, &planned};
  Watching *outer = watching;
  PG_TRY();
  {
    watching = &own;
    // what functions in the body do in a parallel worker could not be collected
    planned.plan =
        pg_plan_query(query, definition->source, definition->calls_functions ? 0 : CURSOR_OPT_PARALLEL_OK, parameters);
  }
  PG_FINALLY();
  { watching = outer; }
  PG_END_TRY();
  // Estimates look for the parents of parts: finishing the plan has given these other numbers.
  ListCell *cell;
  foreach (cell, planned.parts) {
    auto *noted = static_cast<PartOfLevel *>(lfirst(cell));
    noted->root->append_rel_array[noted->part->child_relid] = noted->part;
  }
  return planned;
}

}  // namespace aggcache
