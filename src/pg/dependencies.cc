#include "pg/server.h"

#include "pg/dependencies.h"

#include "core/tag.h"
#include "pg/shared.h"
#include "pg/watches.h"

namespace aggcache {

namespace {

set_rel_pathlist_hook_type previous_hook = nullptr;

// What is being planned; NULL when no planning is watched. Planning nests (a function in a body that is evaluated while
// planning).
struct Collector {
  Dependencies *dependencies;
  int limit;
  void (*found)(Oid relation, AttrNumber column, void *context);
  void *context;
};
Collector *collector = nullptr;

void Add(const RelationDependency &item) {
  Dependencies *all = collector->dependencies;
  if (all->count == collector->limit) {
    collector->limit = collector->limit * 2;
    all->items = static_cast<RelationDependency *>(repalloc(all->items, sizeof(RelationDependency) * collector->limit));
  }
  all->items[all->count++] = item;
}

Node *StripRelabel(Node *node) {
  while (node && IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node;
}

Var *ColumnOf(Node *node, Index relation) {
  node = StripRelabel(node);
  if (node == nullptr || !IsA(node, Var)) return nullptr;
  Var *column = reinterpret_cast<Var *>(node);
  return column->varno == static_cast<int>(relation) && column->varlevelsup == 0 && column->varattno > 0 ? column
                                                                                                         : nullptr;
}

// One equality of a column with a constant.
struct Equality {
  AttrNumber column;
  Oid operation;
  Oid collation;
  Const *value;
  double selectivity;
};

// Takes "column = constant" apart, either way round.
bool MatchEquality(Expr *clause, Index relation, Equality *equality) {
  if (!IsA(clause, OpExpr)) return false;
  OpExpr *comparison = reinterpret_cast<OpExpr *>(clause);
  if (list_length(comparison->args) != 2) return false;
  Node *left = static_cast<Node *>(linitial(comparison->args));
  Node *right = static_cast<Node *>(lsecond(comparison->args));
  Oid operation = comparison->opno;
  Var *column = ColumnOf(left, relation);
  Node *value = StripRelabel(right);
  if (column == nullptr) {
    column = ColumnOf(right, relation);
    value = StripRelabel(left);
    operation = get_commutator(operation);
  }
  if (column == nullptr || !OidIsValid(operation) || !IsA(value, Const)) return false;
  if (reinterpret_cast<Const *>(value)->constisnull) return false;
  *equality = {column->varattno, operation, comparison->inputcollid, reinterpret_cast<Const *>(value), 1.0};
  return true;
}

// Whether the hash that the writer takes of the column is the same for everything that the clause's operator calls
// equal to the value; if so, computes it.
bool HashValue(const WatchColumn &column, const Equality &equality, uint32_t *hash) {
  int strategy;
  Oid left, right;
  if (!op_in_opfamily(equality.operation, column.hash_family)) return false;
  get_op_opfamily_properties(equality.operation, column.hash_family, false, &strategy, &left, &right);
  if (strategy != HTEqualStrategyNumber) return false;
  Oid function = get_opfamily_proc(column.hash_family, right, right, HASHSTANDARD_PROC);
  if (!OidIsValid(function)) return false;
  // A comparison that calls more values equal than the column's collation does has no single hash.
  if (OidIsValid(equality.collation) && equality.collation != column.collation &&
      !get_collation_isdeterministic(equality.collation))
    return false;
  // Under such a collation the functions of a family need not agree.
  if (OidIsValid(column.collation) && !get_collation_isdeterministic(column.collation) &&
      function != column.hash.fn_oid)
    return false;
  *hash = DatumGetUInt32(OidFunctionCall1Coll(function, column.collation, equality.value->constvalue));
  return true;
}

void CollectTags(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *entry) {
  RelationDependency item;
  memset(&item, 0, sizeof(item));
  item.relation = entry->relid;
  item.seen = true;
  item.tag = TableTag(MyDatabaseId, entry->relid);

  int count = 0, limit = list_length(rel->baserestrictinfo);
  auto *equalities = static_cast<Equality *>(palloc(sizeof(Equality) * Max(1, limit)));
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo) {
    RestrictInfo *clause = lfirst_node(RestrictInfo, cell);
    if (!MatchEquality(clause->clause, rel->relid, &equalities[count])) continue;
    equalities[count].selectivity = clause_selectivity(root, reinterpret_cast<Node *>(clause), 0, JOIN_INNER, nullptr);
    count++;
  }
  if (count > 0) {
    Relation relation = table_open(entry->relid, NoLock);
    TableWatches watches = ReadWatches(relation);
    double best = 2.0;
    for (int i = 0; i < watches.count; i++) {
      const Watch &watch = watches.watches[i];
      uint64_t tag = KeyTag(MyDatabaseId, entry->relid);
      double selectivity = 1.0;
      bool covered = true;
      for (int j = 0; covered && j < watch.column_count; j++) {
        covered = false;
        for (int k = 0; k < count && !covered; k++) {
          uint32_t hash;
          if (equalities[k].column != watch.columns[j].attribute || !HashValue(watch.columns[j], equalities[k], &hash))
            continue;
          tag = WithColumn(tag, watch.columns[j].attribute, hash);
          selectivity *= equalities[k].selectivity;
          covered = true;
        }
      }
      if (!covered || selectivity >= best) continue;
      best = selectivity;
      item.keyed = true;
      item.tag = tag;
      for (int j = 0; j < kMostKeyColumns; j++)
        item.columns[j] = j < watch.column_count ? watch.columns[j].attribute : 0;
    }
    table_close(relation, NoLock);
  }
  pfree(equalities);
  Add(item);
}

// ---- Key columns of a generic plan ------------------------------------------------------------------------------

bool ReadsColumnWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Var) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, PlaceHolderVar)) return true;
  if (IsA(node, Param)) return reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN;
  return compat::WalkExpression(node, ReadsColumnWalker, nullptr);
}

struct KeySearch {
  RelOptInfo *rel;
  Oid relation;
};

bool KeyColumnWalker(Node *node, void *argument) {
  auto *search = static_cast<KeySearch *>(argument);
  if (node == nullptr) return false;
  if (IsA(node, OpExpr) && list_length(reinterpret_cast<OpExpr *>(node)->args) == 2) {
    OpExpr *comparison = reinterpret_cast<OpExpr *>(node);
    Node *sides[] = {static_cast<Node *>(linitial(comparison->args)), static_cast<Node *>(lsecond(comparison->args))};
    for (int i = 0; i < 2; i++) {
      Var *column = ColumnOf(sides[i], search->rel->relid);
      if (column == nullptr || ReadsColumnWalker(sides[1 - i], nullptr)) continue;
      // a fixed value selects the same rows for every call: nothing to keep apart
      if (IsA(StripRelabel(sides[1 - i]), Const)) continue;
      if (op_hashjoinable(comparison->opno, exprType(sides[0])))
        collector->found(search->relation, column->varattno, collector->context);
    }
  }
  return compat::WalkExpression(node, KeyColumnWalker, argument);
}

void CollectKeyColumns(RelOptInfo *rel, RangeTblEntry *entry) {
  KeySearch search = {rel, entry->relid};
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo)
    KeyColumnWalker(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), &search);
}

void OnRelation(PlannerInfo *root, RelOptInfo *rel, Index index, RangeTblEntry *entry) {
  if (collector != nullptr && entry->rtekind == RTE_RELATION) {
    if (collector->found)
      CollectKeyColumns(rel, entry);
    else
      CollectTags(root, rel, entry);
  }
  if (previous_hook) previous_hook(root, rel, index, entry);
}

PlannedStmt *Plan(const Definition *definition, ParamListInfo parameters, Collector *watched) {
  Collector *outer = collector;
  PlannedStmt *plan = nullptr;
  PG_TRY();
  {
    collector = watched;
    // what functions in the body do in a parallel worker could not be collected
    plan = pg_plan_query(static_cast<Query *>(copyObjectImpl(definition->query)), definition->source,
                         definition->calls_functions ? 0 : CURSOR_OPT_PARALLEL_OK, parameters);
  }
  PG_FINALLY();
  { collector = outer; }
  PG_END_TRY();
  return plan;
}

}  // namespace

void InstallDependencyHook() {
  previous_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = OnRelation;
}

PlannedStmt *PlanWithDependencies(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies) {
  dependencies->complete = true;
  dependencies->count = 0;
  dependencies->items = static_cast<RelationDependency *>(palloc(sizeof(RelationDependency) * 8));
  Collector watched = {dependencies, 8, nullptr, nullptr};
  PlannedStmt *plan = Plan(definition, parameters, &watched);
  ListCell *cell;
  foreach (cell, plan->relationOids) {
    Oid relation = lfirst_oid(cell);
    const SourceRelation *source = nullptr;
    for (int i = 0; i < definition->relation_count; i++)
      if (definition->relations[i].relation == relation) source = &definition->relations[i];
    if (source == nullptr) {
      dependencies->complete = false;
      continue;
    }
    if (!source->tracked) continue;  // a view
    bool seen = false;
    for (int i = 0; i < dependencies->count; i++) seen |= dependencies->items[i].relation == relation;
    if (seen) continue;
    RelationDependency item;
    memset(&item, 0, sizeof(item));
    item.relation = relation;
    item.tag = TableTag(MyDatabaseId, relation);
    Collector *outer = collector;
    collector = &watched;
    Add(item);
    collector = outer;
  }
  return plan;
}

void AddWholeTable(Dependencies *dependencies, Oid relation) {
  RelationDependency item;
  memset(&item, 0, sizeof(item));
  item.relation = relation;
  item.tag = TableTag(MyDatabaseId, relation);
  dependencies->items = static_cast<RelationDependency *>(
      repalloc(dependencies->items, sizeof(RelationDependency) * (dependencies->count + 1)));
  dependencies->items[dependencies->count++] = item;
}

int CollectStamps(const Definition *definition, const Dependencies &dependencies, Stamp **stamps) {
  int limit = definition->relation_count + dependencies.count;
  *stamps = static_cast<Stamp *>(palloc(sizeof(Stamp) * Max(1, limit)));
  int count = 0;
  for (int i = 0; i < limit; i++) {
    Stamp stamp;
    if (i < definition->relation_count) {
      if (!definition->relations[i].tracked) continue;
      stamp.slot = shared::stamps.SlotOf(WideTag(MyDatabaseId, definition->relations[i].relation));
      stamp.immediate = true;
    } else {
      stamp.slot = shared::stamps.SlotOf(dependencies.items[i - definition->relation_count].tag);
    }
    bool known = false;
    for (int j = 0; j < count; j++)
      if ((*stamps)[j].slot == stamp.slot) {
        (*stamps)[j].immediate |= stamp.immediate;
        known = true;
      }
    if (!known) (*stamps)[count++] = stamp;
  }
  return count;
}

void FindKeyColumns(const Definition *definition, void (*found)(Oid, AttrNumber, void *), void *context) {
  if (definition->query == nullptr) return;  // not a single SELECT
  Collector watched = {nullptr, 0, found, context};
  Plan(definition, nullptr, &watched);
}

}  // namespace aggcache
