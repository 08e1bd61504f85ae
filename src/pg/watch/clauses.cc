// A clause of a form that is not known here restricts nothing. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/clauses.h"

#include "pg/watch/conversions.h"
#include "pg/watch/monotone.h"
#include "pg/watch/preimage.h"
#include "pg/watch/prefixes.h"

namespace aggcache {

namespace {

Node *StripRelabel(Node *node) {
  while (node && IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node;
}

// Integers of different widths are hashed alike, so a widened column is the column as far as equality goes.
Node *StripWidening(Node *node) {
  node = StripRelabel(node);
  if (node == nullptr || !IsA(node, FuncExpr)) return node;
  FuncExpr *call = reinterpret_cast<FuncExpr *>(node);
  if (call->funcid != F_INT4_INT2 && call->funcid != F_INT8_INT2 && call->funcid != F_INT8_INT4) return node;
  return StripRelabel(static_cast<Node *>(linitial(call->args)));
}

// The column of the relation that the node is, or NULL.
Var *AsColumn(Node *node, Index relation) {
  if (node == nullptr || !IsA(node, Var)) return nullptr;
  Var *column = reinterpret_cast<Var *>(node);
  bool own = column->varno == static_cast<int>(relation) && column->varlevelsup == 0 && column->varattno > 0;
  return own ? column : nullptr;
}

// A comparison of one column with something else, the column at the left.
struct Comparison {
  Var *column;
  Node *other;
  Oid operation;
  Oid collation;
  bool widened;  // the column was
};

// Reads a comparison of a column, at whichever side; `widening`: of a widened one too.
bool AsComparison(const List *arguments, Oid operation, Oid collation, Index relation, bool widening,
                  Comparison *comparison) {
  if (list_length(arguments) != 2) return false;
  Node *sides[] = {static_cast<Node *>(linitial(arguments)), static_cast<Node *>(lsecond(arguments))};
  for (int i = 0; i < 2; i++) {
    Var *column = AsColumn(widening ? StripWidening(sides[i]) : StripRelabel(sides[i]), relation);
    if (column == nullptr) continue;
    Oid directed = i == 0 ? operation : get_commutator(operation);
    if (!OidIsValid(directed)) return false;
    *comparison = {column, sides[1 - i], directed, collation, StripRelabel(sides[i]) != StripWidening(sides[i])};
    return true;
  }
  return false;
}

// Hashes a value so that the hash is that of every value of the column which the operator calls equal to it; false if
// there is none.
bool HashComparedValue(const KeyColumn &column, const Comparison &comparison, Datum value, uint32_t *hash) {
  int strategy;
  Oid left, right;
  if (!op_in_opfamily(comparison.operation, column.rule.family)) return false;
  get_op_opfamily_properties(comparison.operation, column.rule.family, false, &strategy, &left, &right);
  if (strategy != HTEqualStrategyNumber) return false;
  // The operator compares what the column was widened to; equal integers hash alike in every width.
  if (comparison.widened && left != INT4OID && left != INT8OID) return false;
  Oid function = get_opfamily_proc(column.rule.family, right, right, HASHSTANDARD_PROC);
  if (!OidIsValid(function) || !IsTrustedEquality(column.rule, comparison.operation, function)) return false;
  // A comparison that calls more values equal than the column's collation does has no single hash.
  if (OidIsValid(comparison.collation) && comparison.collation != column.collation &&
      !get_collation_isdeterministic(comparison.collation))
    return false;
  // Under such a collation the functions of a family need not agree.
  if (OidIsValid(column.collation) && !get_collation_isdeterministic(column.collation) &&
      function != column.hash.fn_oid)
    return false;
  *hash = DatumGetUInt32(OidFunctionCall1Coll(function, column.collation, value));
  return true;
}

// False if there are too many.
bool AddValueHash(ValueSet *values, uint32_t hash) {
  for (int i = 0; i < values->count; i++)
    if (values->hashes[i] == hash) return true;
  if (values->count == kMostValues) return false;
  values->hashes[values->count++] = hash;
  return true;
}

bool IsColumnOf(const Comparison &comparison, const KeyColumn &column) {
  return comparison.column->varattno == column.attribute;
}

// column = constant
bool AddEquality(const Comparison &comparison, const KeyColumn &column, ValueSet *values) {
  Node *other = StripRelabel(comparison.other);
  if (!IsColumnOf(comparison, column) || !IsA(other, Const)) return false;
  Const *constant = reinterpret_cast<Const *>(other);
  if (constant->constisnull) return true;  // never true
  uint32_t hash;
  return HashComparedValue(column, comparison, constant->constvalue, &hash) && AddValueHash(values, hash);
}

// cast(column) = constant
bool AddConverted(const List *arguments, Oid operation, Oid collation, Index relation, const KeyColumn &column,
                  ValueSet *values) {
  if (list_length(arguments) != 2) return false;
  for (int i = 0; i < 2; i++) {
    Node *own = static_cast<Node *>(list_nth(arguments, i));
    Node *other = StripRelabel(static_cast<Node *>(list_nth(arguments, 1 - i)));
    Var *found = IsA(other, Const) ? FindConvertedColumn(own, operation, collation, relation) : nullptr;
    if (found == nullptr || found->varattno != column.attribute) continue;
    Const *constant = reinterpret_cast<Const *>(other);
    uint32_t hash;
    return constant->constisnull || !HashConverted(own, column, constant->constvalue, &hash) ||
           AddValueHash(values, hash);
  }
  return false;
}

// column = ANY (array)
bool AddArrayValues(ScalarArrayOpExpr *expression, Index relation, const KeyColumn &column, ValueSet *values) {
  Comparison comparison;
  if (!expression->useOr ||
      !AsComparison(expression->args, expression->opno, expression->inputcollid, relation, true, &comparison))
    return false;
  // The array is always at the right.
  Node *array = StripRelabel(static_cast<Node *>(lsecond(expression->args)));
  if (!IsColumnOf(comparison, column) || comparison.other != lsecond(expression->args) || !IsA(array, Const))
    return false;
  Const *constant = reinterpret_cast<Const *>(array);
  if (constant->constisnull) return true;
  ArrayType *elements = DatumGetArrayTypeP(constant->constvalue);
  int16 length;
  bool by_value;
  char alignment;
  get_typlenbyvalalign(ARR_ELEMTYPE(elements), &length, &by_value, &alignment);
  Datum *items;
  bool *nulls;
  int count;
  deconstruct_array(elements, ARR_ELEMTYPE(elements), length, by_value, alignment, &items, &nulls, &count);
  for (int i = 0; i < count; i++) {
    uint32_t hash;
    if (nulls[i]) continue;
    if (!HashComparedValue(column, comparison, items[i], &hash) || !AddValueHash(values, hash)) return false;
  }
  return true;
}

// column IS NOT DISTINCT FROM value
bool AddNotDistinct(DistinctExpr *expression, Index relation, const KeyColumn &column, ValueSet *values) {
  Comparison comparison;
  if (!AsComparison(expression->args, expression->opno, expression->inputcollid, relation, true, &comparison) ||
      !IsColumnOf(comparison, column))
    return false;
  Node *other = StripRelabel(comparison.other);
  if (IsA(other, Const) && reinterpret_cast<Const *>(other)->constisnull) {
    values->has_null = true;
    return true;
  }
  return AddEquality(comparison, column, values);
}

// A column of type boolean that is itself a clause: the planner makes it of a comparison with true or false.
bool AddBooleanValue(Node *clause, Index relation, const KeyColumn &column, bool value, ValueSet *values) {
  Var *tested = AsColumn(StripRelabel(clause), relation);
  if (tested == nullptr || tested->varattno != column.attribute || getBaseType(column.type) != BOOLOID) return false;
  return AddValueHash(values, DatumGetUInt32(FunctionCall1Coll(const_cast<FmgrInfo *>(&column.hash), column.collation,
                                                               BoolGetDatum(value))));
}

// What the clause negates, or NULL.
Node *Negated(Node *clause) {
  if (!IsA(clause, BoolExpr) || reinterpret_cast<BoolExpr *>(clause)->boolop != NOT_EXPR) return nullptr;
  return static_cast<Node *>(linitial(reinterpret_cast<BoolExpr *>(clause)->args));
}

// Adds the values that the clause leaves for the column to *values; false if it leaves others too.
bool AddValues(Node *clause, Index relation, const KeyColumn &column, ValueSet *values) {
  check_stack_depth();
  if (clause == nullptr) return false;
  switch (nodeTag(clause)) {
    case T_RestrictInfo:
      return AddValues(reinterpret_cast<Node *>(reinterpret_cast<RestrictInfo *>(clause)->clause), relation, column,
                       values);
    case T_OpExpr: {
      OpExpr *expression = reinterpret_cast<OpExpr *>(clause);
      Comparison comparison;
      if (AsComparison(expression->args, expression->opno, expression->inputcollid, relation, true, &comparison) &&
          AddEquality(comparison, column, values))
        return true;
      return AddConverted(expression->args, expression->opno, expression->inputcollid, relation, column, values);
    }
    case T_ScalarArrayOpExpr:
      return AddArrayValues(reinterpret_cast<ScalarArrayOpExpr *>(clause), relation, column, values);
    case T_NullTest: {
      NullTest *test = reinterpret_cast<NullTest *>(clause);
      Var *tested = AsColumn(StripRelabel(reinterpret_cast<Node *>(test->arg)), relation);
      if (test->nulltesttype != IS_NULL || test->argisrow || tested == nullptr || tested->varattno != column.attribute)
        return false;
      values->has_null = true;
      return true;
    }
    case T_Var:
    case T_RelabelType: return AddBooleanValue(clause, relation, column, true, values);
    case T_BoolExpr: {
      BoolExpr *expression = reinterpret_cast<BoolExpr *>(clause);
      Node *negated = Negated(clause);
      if (negated && IsA(negated, DistinctExpr))
        return AddNotDistinct(reinterpret_cast<DistinctExpr *>(negated), relation, column, values);
      if (negated) return AddBooleanValue(negated, relation, column, false, values);
      ListCell *cell;
      foreach (cell, expression->args) {
        ValueSet before = *values;
        bool restricts = AddValues(static_cast<Node *>(lfirst(cell)), relation, column, values);
        if (expression->boolop == AND_EXPR && restricts) return true;
        if (expression->boolop == OR_EXPR && !restricts) return false;
        if (!restricts) *values = before;
      }
      return expression->boolop == OR_EXPR;
    }
    default: return false;
  }
}

// Reads a column, or something that is computed elsewhere in the query.
bool ReadsColumnWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Var) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, PlaceHolderVar)) return true;
  if (IsA(node, Param)) return reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN;
  return compat::WalkExpression(node, ReadsColumnWalker, nullptr);
}

// Whether the values of the column that are equal by the operator have equal hashes.
bool IsHashableEquality(const Comparison &comparison) {
  HashRule rule;
  int strategy;
  Oid left, right;
  if (!FindHashRule(comparison.column->vartype, &rule) || !op_in_opfamily(comparison.operation, rule.family))
    return false;
  get_op_opfamily_properties(comparison.operation, rule.family, false, &strategy, &left, &right);
  if (strategy != HTEqualStrategyNumber ||
      !IsTrustedEquality(rule, comparison.operation, get_opfamily_proc(rule.family, right, right, HASHSTANDARD_PROC)))
    return false;
  return !OidIsValid(comparison.collation) || comparison.collation == comparison.column->varcollid ||
         get_collation_isdeterministic(comparison.collation);
}

// Whether the operator compares by order, with a column whose ranges are followed.
bool IsRangeComparison(const Comparison &comparison) {
  // of texts it depends on the collation (prefixes.h)
  const RangeKind kind = RangeKindOf(comparison.column->vartype);
  if (kind == RangeKind::kNone || kind == RangeKind::kText || !IsTrustedOrder(comparison.operation)) return false;
  TypeCacheEntry *type = lookup_type_cache(comparison.column->vartype, TYPECACHE_BTREE_OPFAMILY);
  int strategy = get_op_opfamily_strategy(comparison.operation, type->btree_opf);
  return strategy != 0 && strategy != BTEqualStrategyNumber;
}

// Whether all columns that the node reads are this one, and an argument may take its place: coalesce($1, column).
bool MayGiveWayWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) return !equal(node, argument);
  return compat::WalkExpression(node, MayGiveWayWalker, argument);
}

bool MayGiveWay(Node *other, Var *column) {
  return (IsA(other, CoalesceExpr) || IsA(other, CaseExpr)) && !MayGiveWayWalker(other, column);
}

// Adds the column of "f(column) operation value" to those of which a range will count.
void AddOrderedColumn(const List *arguments, Oid operation, Index relation, ClauseColumns *columns) {
  if (list_length(arguments) != 2 || !IsTrustedOrder(operation)) return;
  for (int i = 0; i < 2; i++) {
    Var *column = FindOrderedArgument(static_cast<Node *>(list_nth(arguments, i)), relation);
    if (column == nullptr || ReadsColumnWalker(static_cast<Node *>(list_nth(arguments, 1 - i)), nullptr)) continue;
    if (HasOrder(operation)) columns->ranges = bms_add_member(columns->ranges, column->varattno);
    return;
  }
}

// Adds the column to those that the comparison will tell apart when its other side is known.
void AddComparedColumn(const List *arguments, Oid operation, Oid collation, Index relation, ClauseColumns *columns) {
  for (int i = 0; i < 2 && list_length(arguments) == 2; i++) {
    Var *converted = FindConvertedColumn(static_cast<Node *>(list_nth(arguments, i)), operation, collation, relation);
    if (converted == nullptr || ReadsColumnWalker(static_cast<Node *>(list_nth(arguments, 1 - i)), nullptr)) continue;
    columns->keys = bms_add_member(columns->keys, converted->varattno);
    return;
  }
  Comparison comparison;
  if (!AsComparison(arguments, operation, collation, relation, true, &comparison)) {
    AddOrderedColumn(arguments, operation, relation, columns);
    return;
  }
  int column = comparison.column->varattno;
  if (ReadsColumnWalker(comparison.other, nullptr)) {
    if (MayGiveWay(comparison.other, comparison.column) && IsHashableEquality(comparison))
      columns->optional = bms_add_member(columns->optional, column);
    return;
  }
  if (IsHashableEquality(comparison))
    columns->keys = bms_add_member(columns->keys, column);
  else if (!comparison.widened && IsRangeComparison(comparison))
    columns->ranges = bms_add_member(columns->ranges, column);
  else
    AddOrderedColumn(arguments, operation, relation, columns);
}

// What any of these may tell, if an argument chooses it.
ClauseColumns FindOptional(const List *choices, Index relation) {
  ClauseColumns columns = {nullptr, nullptr, nullptr};
  ListCell *cell;
  foreach (cell, choices) {
    const ClauseColumns found = FindColumns(static_cast<Node *>(lfirst(cell)), relation);
    columns.optional = bms_union(columns.optional, bms_union(found.keys, found.optional));
    columns.ranges = bms_union(columns.ranges, found.ranges);
  }
  return columns;
}

List *ResultsOf(const CaseExpr *choice) {
  List *results = list_make1(choice->defresult);
  ListCell *cell;
  foreach (cell, choice->args) results = lappend(results, lfirst_node(CaseWhen, cell)->result);
  return results;
}

Node *NormaliseMutator(Node *node, void *argument) {
  if (node == nullptr) return nullptr;
  Node *result = compat::MutateExpression(node, NormaliseMutator, argument);
  switch (nodeTag(result)) {
    case T_Var: {
      Var *column = reinterpret_cast<Var *>(result);
      Var *plain = makeVar(1, column->varattno, column->vartype, column->vartypmod, column->varcollid, 0);
      return reinterpret_cast<Node *>(plain);
    }
    case T_Const: reinterpret_cast<Const *>(result)->location = -1; break;
    case T_OpExpr: reinterpret_cast<OpExpr *>(result)->location = -1; break;
    case T_ScalarArrayOpExpr: reinterpret_cast<ScalarArrayOpExpr *>(result)->location = -1; break;
    case T_BoolExpr: reinterpret_cast<BoolExpr *>(result)->location = -1; break;
    case T_NullTest: reinterpret_cast<NullTest *>(result)->location = -1; break;
    case T_BooleanTest: reinterpret_cast<BooleanTest *>(result)->location = -1; break;
    case T_RelabelType: reinterpret_cast<RelabelType *>(result)->location = -1; break;
    case T_DistinctExpr:
    case T_NullIfExpr: reinterpret_cast<OpExpr *>(result)->location = -1; break;
    case T_ArrayExpr: reinterpret_cast<ArrayExpr *>(result)->location = -1; break;
    case T_Param: reinterpret_cast<Param *>(result)->location = -1; break;
    case T_FuncExpr: reinterpret_cast<FuncExpr *>(result)->location = -1; break;
    case T_CaseExpr: reinterpret_cast<CaseExpr *>(result)->location = -1; break;
    case T_CaseWhen: reinterpret_cast<CaseWhen *>(result)->location = -1; break;
    case T_CoalesceExpr: reinterpret_cast<CoalesceExpr *>(result)->location = -1; break;
    case T_Aggref: reinterpret_cast<Aggref *>(result)->location = -1; break;
    default: break;
  }
  return result;
}

}  // namespace

bool RestrictsToValues(Node *clause, Index relation, const KeyColumn &column, ValueSet *values) {
  values->count = 0;
  values->has_null = false;
  return AddValues(clause, relation, column, values);
}

bool RestrictsToRange(Node *clause, Index relation, const RangeColumn &column, List **memo, Range *range) {
  if (column.kind == RangeKind::kText) return RestrictsToTexts(clause, relation, column, &range->units);
  if (IsA(clause, OpExpr)) {
    OpExpr *expression = reinterpret_cast<OpExpr *>(clause);
    Comparison comparison;
    if (AsComparison(expression->args, expression->opno, expression->inputcollid, relation, false, &comparison) &&
        comparison.column->varattno == column.attribute) {
      Node *other = StripRelabel(comparison.other);
      if (!IsA(other, Const) || reinterpret_cast<Const *>(other)->constisnull) return false;
      Const *constant = reinterpret_cast<Const *>(other);
      if (NarrowRange(column, comparison.operation, exprType(comparison.other), constant->constvalue, &range->units))
        return true;
    }
  }
  const Preimage *found = PreimageOf(clause, relation, column.attribute, memo);
  if (found == nullptr) return false;
  range->units.low = Max(range->units.low, UnitOfRaw(column, found->low));
  range->units.high = Min(range->units.high, UnitOfRaw(column, found->high));
  range->below = Max(range->below, UnitOfRaw(column, found->fails_below));
  range->above = Min(range->above, UnitOfRaw(column, found->fails_above));
  return true;
}

AttrNumber ComparedKey(Node *own, Oid operation, Oid collation, Index relation) {
  Var *column = AsColumn(StripWidening(own), relation);
  if (column == nullptr) return 0;
  const Comparison comparison = {column, nullptr, operation, collation, StripRelabel(own) != StripWidening(own)};
  return IsHashableEquality(comparison) ? column->varattno : AttrNumber{0};
}

ClauseColumns FindColumns(Node *clause, Index relation) {
  check_stack_depth();
  ClauseColumns columns = {nullptr, nullptr, TextRangeColumn(clause, relation)};
  if (clause == nullptr) return columns;
  switch (nodeTag(clause)) {
    case T_RestrictInfo:
      return FindColumns(reinterpret_cast<Node *>(reinterpret_cast<RestrictInfo *>(clause)->clause), relation);
    case T_OpExpr: {
      OpExpr *expression = reinterpret_cast<OpExpr *>(clause);
      AddComparedColumn(expression->args, expression->opno, expression->inputcollid, relation, &columns);
      return columns;
    }
    case T_ScalarArrayOpExpr: {
      ScalarArrayOpExpr *expression = reinterpret_cast<ScalarArrayOpExpr *>(clause);
      Comparison comparison;
      if (expression->useOr &&
          AsComparison(expression->args, expression->opno, expression->inputcollid, relation, true, &comparison) &&
          comparison.other == lsecond(expression->args) && !ReadsColumnWalker(comparison.other, nullptr) &&
          IsHashableEquality(comparison))
        columns.keys = bms_add_member(columns.keys, comparison.column->varattno);
      else if (expression->useOr)
        AddOrderedColumn(expression->args, expression->opno, relation, &columns);
      return columns;
    }
    case T_RowCompareExpr: {
      RowCompareExpr *expression = reinterpret_cast<RowCompareExpr *>(clause);
      List *first = list_make2(linitial(expression->largs), linitial(expression->rargs));
      AddOrderedColumn(first, linitial_oid(expression->opnos), relation, &columns);
      return columns;
    }
    case T_CaseExpr: return FindOptional(ResultsOf(reinterpret_cast<CaseExpr *>(clause)), relation);
    case T_CoalesceExpr: return FindOptional(reinterpret_cast<CoalesceExpr *>(clause)->args, relation);
    case T_NullTest: {
      NullTest *test = reinterpret_cast<NullTest *>(clause);
      Var *tested = AsColumn(StripRelabel(reinterpret_cast<Node *>(test->arg)), relation);
      if (tested && test->nulltesttype == IS_NULL && !test->argisrow)
        columns.keys = bms_add_member(columns.keys, tested->varattno);
      return columns;
    }
    case T_BoolExpr: {
      BoolExpr *expression = reinterpret_cast<BoolExpr *>(clause);
      Node *negated = Negated(clause);
      if (negated) {
        if (IsA(negated, DistinctExpr)) {
          DistinctExpr *distinct = reinterpret_cast<DistinctExpr *>(negated);
          AddComparedColumn(distinct->args, distinct->opno, distinct->inputcollid, relation, &columns);
        }
        return columns;
      }
      bool first = true;
      ListCell *cell;
      foreach (cell, expression->args) {
        ClauseColumns arm = FindColumns(static_cast<Node *>(lfirst(cell)), relation);
        columns.ranges = bms_union(columns.ranges, arm.ranges);
        columns.optional = bms_union(columns.optional, bms_union(arm.keys, arm.optional));
        if (expression->boolop == AND_EXPR)
          columns.keys = bms_union(columns.keys, arm.keys);
        else
          columns.keys = first ? arm.keys : bms_intersect(columns.keys, arm.keys);
        first = false;
      }
      columns.optional = bms_difference(columns.optional, columns.keys);
      return columns;
    }
    default: return columns;
  }
}

Node *NormaliseClause(Node *clause, Index relation) { return NormaliseMutator(clause, nullptr); }

Bitmapset *UsedColumns(RelOptInfo *rel, bool *all) {
  Bitmapset *offset = nullptr;
  pull_varattnos(reinterpret_cast<Node *>(rel->reltarget->exprs), rel->relid, &offset);
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo)
    pull_varattnos(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), rel->relid, &offset);
  foreach (cell, rel->joininfo)
    pull_varattnos(reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause), rel->relid, &offset);
  Bitmapset *columns = nullptr;
  *all = false;
  int member = -1;
  while ((member = bms_next_member(offset, member)) >= 0) {
    int column = member + FirstLowInvalidHeapAttributeNumber;
    if (column == 0)
      *all = true;
    else if (column > 0)
      columns = bms_add_member(columns, column);
  }
  if (*all) columns = nullptr;
  return columns;
}

}  // namespace aggcache
