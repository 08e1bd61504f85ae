// Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/narrowing.h"

#include "pg/base/attempt.h"
#include "pg/facts/equality.h"
#include "pg/watch/clauses.h"
#include "pg/watch/monotone.h"
#include "pg/watch/values.h"

namespace aggcache {

namespace {

// A relation that is narrowed by one that is narrowed by one, and so on.
constexpr int kMostSteps = 4;

// ---- Which columns -----------------------------------------------------------------------------------------------

// The column that a condition tells the values of; or, by *range, one whose values lie in a range. 0: neither.
AttrNumber ColumnOf(const Condition &condition, Index relid, bool *range) {
  *range = false;
  if (AttrNumber key = ComparedKey(condition.own, condition.operation, condition.collation, relid)) return key;
  *range = true;
  Var *column = FindOrderedArgument(condition.own, relid);
  return column && IsTrustedOrder(condition.operation) ? column->varattno : AttrNumber{0};
}

bool HasParameterWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Param)) return true;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), HasParameterWalker, nullptr);
  return compat::WalkExpression(node, HasParameterWalker, nullptr);
}

bool IsBoundedQuery(Query *query) {
  return query->limitCount || HasParameterWalker(reinterpret_cast<Node *>(query), nullptr);
}

bool IsBoundedTable(PlannerInfo *root, const RangeTblEntry *entry) {
  for (Index up = entry->ctelevelsup; up > 0 && root; up--) root = root->parent_root;
  ListCell *cell;
  if (root)
    foreach (cell, root->parse->cteList) {
      auto *table = lfirst_node(CommonTableExpr, cell);
      if (strcmp(table->ctename, entry->ctename) == 0) return IsBoundedQuery(castNode(Query, table->ctequery));
    }
  return false;
}

// Whether the rows of a relation will be few, going by a plan for unknown arguments.
bool MayBeFew(const Planned &planned, PlannerInfo *root, RelOptInfo *rel, List *above) {
  check_stack_depth();
  if (rel == nullptr || rel->reloptkind != RELOPT_BASEREL || list_member_ptr(above, rel) ||
      list_length(above) > kMostSteps)
    return false;
  const RangeTblEntry *entry = root->simple_rte_array[rel->relid];
  ListCell *cell;
  switch (entry->rtekind) {
    case RTE_FUNCTION:
    case RTE_VALUES: return true;
    case RTE_SUBQUERY: return entry->subquery && IsBoundedQuery(entry->subquery);
    case RTE_CTE: return IsBoundedTable(root, entry);
    case RTE_RELATION: break;
    default: return false;
  }
  foreach (cell, rel->baserestrictinfo) {
    const ClauseColumns found = FindColumns(static_cast<Node *>(lfirst(cell)), rel->relid);
    if (found.keys || found.optional || found.ranges) return true;
  }
  foreach (cell, FindConditions(planned, root, rel)) {
    auto *condition = static_cast<Condition *>(lfirst(cell));
    bool range;
    Source source;
    if (ColumnOf(*condition, rel->relid, &range) == 0 || !FindOtherSide(planned, *condition, nullptr, nullptr, &source))
      continue;
    if (source.relid == 0 ||
        MayBeFew(planned, source.root, source.root->simple_rel_array[source.relid], lappend(list_copy(above), rel)))
      return true;
  }
  return false;
}

// ---- Reading the values ------------------------------------------------------------------------------------------

// What was read already, for all appearances of one plan.
struct Known {
  Source source;
  Values *values;  // NULL: could not be read
};

struct Reading {
  const Planned *planned;
  const Appearance *seen;
  const WantedColumns *wanted;
  List *known;
  List *clauses;
  JoinLimit limit;
};

void NoteLimit(Reading *reading, JoinLimit::Kind kind, const Source &source) {
  const RangeTblEntry *entry = source.root->simple_rte_array[source.relid];
  reading->limit = {kind, entry->rtekind == RTE_RELATION ? entry->relid : InvalidOid};
}

Node *ReadConstant(Param *parameter, void *argument) {
  auto *condition = static_cast<std::pair<Reading *, const Condition *> *>(argument);
  return reinterpret_cast<Node *>(ReadInitPlan(*condition->first->planned, condition->second->root, parameter));
}

List *ReadClauses(Reading *reading, PlannerInfo *root, RelOptInfo *rel, const WantedColumns *wanted, List *above);

Values *ValuesOf(Reading *reading, const Source &source, List *above) {
  ListCell *cell;
  foreach (cell, reading->known) {
    auto *known = static_cast<Known *>(lfirst(cell));
    if (known->source.root == source.root && known->source.relid == source.relid &&
        equal(known->source.expression, source.expression))
      return known->values;
  }
  RelOptInfo *rel = source.root->simple_rel_array[source.relid];
  if (rel == nullptr || list_member_ptr(above, rel) || list_length(above) > kMostSteps ||
      !IsSettled(*reading->planned, source.root, rel))
    return nullptr;
  List *clauses = NIL;
  bool direct = false;
  foreach (cell, rel->baserestrictinfo) {
    clauses = lappend(clauses, lfirst_node(RestrictInfo, cell)->clause);
    direct |= FindColumns(reinterpret_cast<Node *>(llast(clauses)), rel->relid).keys != nullptr;
  }
  if (!direct)
    clauses = list_concat(clauses, ReadClauses(reading, source.root, rel, nullptr, lappend(list_copy(above), rel)));
  auto *known = static_cast<Known *>(palloc(sizeof(Known)));
  *known = {source, nullptr};
  const bool table = rel->rtekind == RTE_RELATION;
  if (!table || rel->rows <= (clauses == NIL ? kMostRowsOfTable : kMostJoinRows)) {
    auto *values = static_cast<Values *>(palloc(sizeof(Values)));
    // the order of texts depends on the collation
    const RangeKind kind = RangeKindOf(exprType(source.expression));
    const bool bounds = kind != RangeKind::kNone && kind != RangeKind::kText;
    if (ReadValues(*reading->planned, source, clauses, bounds, values)) known->values = values;
  } else {
    NoteLimit(reading, JoinLimit::Kind::kManyRows, source);
  }
  reading->known = lappend(reading->known, known);
  return known->values;
}

Oid LeftTypeOf(Oid operation) {
  Oid left, right;
  op_input_types(operation, &left, &right);
  return left;
}

bool IsEquality(Oid operation) {
  return OidIsValid(OrderOfEquality(operation, BTGreaterEqualStrategyNumber)) ||
         op_hashjoinable(operation, LeftTypeOf(operation));
}

Node *Compared(const Condition &condition, Oid operation, Const *constant) {
  auto *clause =
      reinterpret_cast<OpExpr *>(make_opclause(operation, BOOLOID, false, reinterpret_cast<Expr *>(condition.own),
                                               reinterpret_cast<Expr *>(constant), InvalidOid, condition.collation));
  set_opfuncid(clause);
  return reinterpret_cast<Node *>(clause);
}

Const *AsConst(const Values &values, Datum value) {
  return makeConst(values.type, -1, get_typcollation(values.type), values.length, value, false, values.by_value);
}

// own operation ANY (list), the list of this array type
void AddListClause(const Condition &condition, Oid array_type, Datum array, List **clauses) {
  auto *clause = makeNode(ScalarArrayOpExpr);
  clause->opno = condition.operation;
  clause->opfuncid = get_opcode(condition.operation);
  clause->useOr = true;
  clause->inputcollid = condition.collation;
  clause->args =
      list_make2(condition.own, makeConst(array_type, -1, get_typcollation(array_type), -1, array, false, false));
  clause->location = -1;
  *clauses = lappend(*clauses, clause);
}

// own = ANY (the values)
void AddValueClause(const Condition &condition, const Values &values, List **clauses) {
  const Oid array_type = get_array_type(values.type);
  if (!OidIsValid(array_type)) return;
  int16 length;
  bool by_value;
  char alignment;
  get_typlenbyvalalign(values.type, &length, &by_value, &alignment);
  auto *items = const_cast<Datum *>(values.items);
  ArrayType *array = construct_array(items, values.count, values.type, length, by_value, alignment);
  AddListClause(condition, array_type, PointerGetDatum(array), clauses);
}

// own = ANY (the elements of all arrays that are the values)
void AddElementClause(const Condition &condition, const Values &values, List **clauses) {
  const Oid element = get_base_element_type(values.type);
  if (!OidIsValid(element)) return;
  ArrayBuildState *all = initArrayResult(element, CurrentMemoryContext, false);
  int16 length;
  bool by_value;
  char alignment;
  get_typlenbyvalalign(element, &length, &by_value, &alignment);
  for (int i = 0; i < values.count; i++) {
    Datum *items;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(values.items[i]), element, length, by_value, alignment, &items, &nulls,
                      &count);
    for (int at = 0; at < count; at++)
      if (!nulls[at]) accumArrayResult(all, items[at], false, element, CurrentMemoryContext);
  }
  AddListClause(condition, get_array_type(element), makeArrayResult(all, CurrentMemoryContext), clauses);
}

// own >= the least, own <= the greatest
void AddBoundClauses(const Condition &condition, const Values &values, List **clauses) {
  if (!values.has_bounds) return;
  const Oid from = OrderOfEquality(condition.operation, BTGreaterEqualStrategyNumber);
  const Oid to = OrderOfEquality(condition.operation, BTLessEqualStrategyNumber);
  if (OidIsValid(from) && OidIsValid(to)) {
    *clauses = lappend(*clauses, Compared(condition, from, AsConst(values, values.least)));
    *clauses = lappend(*clauses, Compared(condition, to, AsConst(values, values.greatest)));
    return;
  }
  // An operator that orders: what passes for any of the values passes for the one that asks least.
  if (IsLess(condition.operation))
    *clauses = lappend(*clauses, Compared(condition, condition.operation, AsConst(values, values.greatest)));
  else if (IsLess(get_commutator(condition.operation)))
    *clauses = lappend(*clauses, Compared(condition, condition.operation, AsConst(values, values.least)));
}

void AddClausesOf(Reading *reading, const Condition &condition, bool may_be_range, List *above, List **clauses) {
  std::pair<Reading *, const Condition *> context = {reading, &condition};
  Source source;
  if (!FindOtherSide(*reading->planned, condition, ReadConstant, &context, &source)) return;
  if (source.relid == 0) {
    Node *found = eval_const_expressions(source.root, source.expression);
    if (!IsA(found, Const)) return;
    auto *constant = reinterpret_cast<Const *>(found);
    if (!condition.any)
      *clauses = lappend(*clauses, Compared(condition, condition.operation, constant));
    else if (!constant->constisnull)
      AddListClause(condition, constant->consttype, constant->constvalue, clauses);
    return;
  }
  Values *values = ValuesOf(reading, source, above);
  if (values == nullptr) return;
  const bool listed = !values->too_many && IsEquality(condition.operation);
  if (values->too_many) NoteLimit(reading, JoinLimit::Kind::kManyValues, source);
  if (condition.any) {
    if (listed) AddElementClause(condition, *values, clauses);
  } else if (listed) {
    AddValueClause(condition, *values, clauses);
  } else if (may_be_range) {
    AddBoundClauses(condition, *values, clauses);
  }
}

// The clauses on the wanted columns, or, if that is NULL, on any.
List *ReadClauses(Reading *reading, PlannerInfo *root, RelOptInfo *rel, const WantedColumns *wanted, List *above) {
  check_stack_depth();
  List *clauses = NIL;
  ListCell *cell;
  foreach (cell, FindConditions(*reading->planned, root, rel)) {
    auto *condition = static_cast<Condition *>(lfirst(cell));
    bool range;
    const AttrNumber column = ColumnOf(*condition, rel->relid, &range);
    if (column == 0) continue;
    // of a column that is compared for equality a range may be wanted as well
    const bool as_range = range || (wanted && bms_is_member(column, wanted->ranges));
    const bool is_wanted =
        wanted == nullptr || bms_is_member(column, wanted->ranges) || (!range && bms_is_member(column, wanted->keys));
    if (is_wanted) AddClausesOf(reading, *condition, as_range, above, &clauses);
  }
  return clauses;
}

void ReadTried(void *argument) {
  auto *reading = static_cast<Reading *>(argument);
  reading->clauses =
      ReadClauses(reading, reading->seen->root, reading->seen->rel, reading->wanted, list_make1(reading->seen->rel));
}

// The lower, the sooner.
int RankOf(const Planned &planned, const Appearance &seen) {
  bool has_range = false;
  ListCell *cell;
  foreach (cell, seen.rel->baserestrictinfo) {
    const ClauseColumns found = FindColumns(static_cast<Node *>(lfirst(cell)), seen.rel->relid);
    if (found.keys) return 0;
    has_range |= found.ranges || found.optional;
  }
  foreach (cell, FindConditions(planned, seen.root, seen.rel)) {
    Source source;
    if (FindOtherSide(planned, *static_cast<Condition *>(lfirst(cell)), nullptr, nullptr, &source) &&
        (source.relid == 0 || (source.root->simple_rel_array[source.relid] &&
                               IsSettled(planned, source.root, source.root->simple_rel_array[source.relid]))))
      return 1;
  }
  return has_range ? 2 : 3;
}

}  // namespace

List *ReadJoinClauses(const Planned &planned, const Appearance &seen, const WantedColumns &wanted, JoinLimit *limit) {
  *limit = {JoinLimit::Kind::kNone, InvalidOid};
  if (wanted.keys == nullptr && wanted.ranges == nullptr) return NIL;
  Reading reading = {&planned, &seen, &wanted, NIL, NIL, *limit};
  if (Attempt(Attempts::kCall, ReadTried, &reading)) return NIL;
  *limit = reading.limit;
  return reading.clauses;
}

Appearance *NextAppearance(const Planned &planned) {
  const bool last = list_length(planned.settled) + 1 == list_length(planned.appearances);
  Appearance *best = nullptr;
  int best_rank = 0;
  ListCell *cell;
  foreach (cell, planned.appearances) {
    auto *seen = static_cast<Appearance *>(lfirst(cell));
    if (list_member_ptr(planned.settled, seen)) continue;
    if (last) return seen;
    const int rank = RankOf(planned, *seen);
    if (best && (rank > best_rank || (rank == best_rank && seen->rel->rows >= best->rel->rows))) continue;
    best = seen;
    best_rank = rank;
  }
  return best;
}

WantedColumns FindJoinColumns(const Planned &planned, const Appearance &seen) {
  WantedColumns found = {nullptr, nullptr};
  ListCell *cell;
  foreach (cell, FindConditions(planned, seen.root, seen.rel)) {
    auto *condition = static_cast<Condition *>(lfirst(cell));
    bool range;
    Source source;
    const AttrNumber column = ColumnOf(*condition, seen.rel->relid, &range);
    if (column == 0 || !FindOtherSide(planned, *condition, nullptr, nullptr, &source)) continue;
    if (source.relid != 0 &&
        !MayBeFew(planned, source.root, source.root->simple_rel_array[source.relid], list_make1(seen.rel)))
      continue;
    if (range)
      found.ranges = bms_add_member(found.ranges, column);
    else
      found.keys = bms_add_member(found.keys, column);
  }
  return found;
}

}  // namespace aggcache
