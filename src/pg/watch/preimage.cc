// Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/preimage.h"

#include "pg/base/attempt.h"
#include "pg/facts/collations.h"
#include "pg/watch/monotone.h"

namespace aggcache {

namespace {

constexpr int64_t kDay = USECS_PER_DAY;

Node *ColumnMutator(Node *node, void *argument) {
  if (node == nullptr) return nullptr;
  if (!IsA(node, Var)) return compat::MutateExpression(node, ColumnMutator, argument);
  auto *column = reinterpret_cast<Var *>(node);
  auto *value = makeNode(CaseTestExpr);
  value->typeId = column->vartype;
  value->typeMod = column->vartypmod;
  value->collation = column->varcollid;
  return reinterpret_cast<Node *>(value);
}

// Evaluates a comparison for values of the column.
struct Evaluation {
  ExprState *state;
  ExprContext *context;
  Oid type;
  bool mirrored;  // the value's sign is turned before

  Datum ToDatum(int64_t value) const {
    switch (type) {
      case INT2OID: return Int16GetDatum(static_cast<int16>(value));
      case INT4OID: return Int32GetDatum(static_cast<int32>(value));
      case DATEOID: return DateADTGetDatum(static_cast<DateADT>(value));
      default: return Int64GetDatum(value);  // int8, and both of timestamps
    }
  }

  // The values that are tried: from -limit to limit.
  int64_t Limit() const {
    switch (type) {
      case INT2OID: return PG_INT16_MAX;
      case INT4OID: return PG_INT32_MAX;
      case INT8OID: return PG_INT64_MAX - 1;
      case DATEOID: return int64_t{1990} * 365;
      default: return int64_t{1990} * 365 * kDay;  // years 10 to 3990 or so, about the year 2000
    }
  }
};

enum class Answer : uint8_t { kFalse, kTrue, kFailed };

// Built-in functions of the list above keep nothing that an error would have to release, so no subtransaction is
// needed. What they raise is about the value.
Answer Ask(const Evaluation &evaluation, int64_t value) {
  Answer answer = Answer::kFailed;
  MemoryContext outer = CurrentMemoryContext;
  PG_TRY();
  {
    evaluation.context->caseValue_datum = evaluation.ToDatum(evaluation.mirrored ? -value : value);
    evaluation.context->caseValue_isNull = false;
    bool is_null;
    const Datum result = ExecEvalExprSwitchContext(evaluation.state, evaluation.context, &is_null);
    if (!is_null) answer = DatumGetBool(result) ? Answer::kTrue : Answer::kFalse;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(outer);
    ErrorData *error = CopyErrorData();
    if (IsInterruption(error)) PG_RE_THROW();
    FlushErrorState();
  }
  PG_END_TRY();
  ResetExprContext(evaluation.context);
  return answer;
}

// The value furthest from zero in this direction at which there is an answer. REQUIRES: there is one at zero.
int64_t FindAnswered(const Evaluation &evaluation, int64_t limit) {
  if (Ask(evaluation, limit) != Answer::kFailed) return limit;
  int64_t answered = 0, failed = limit;
  while (Max(answered, failed) - Min(answered, failed) > 1) {
    const int64_t at = answered + (failed - answered) / 2;
    (Ask(evaluation, at) == Answer::kFailed ? failed : answered) = at;
  }
  return answered;
}

// For a comparison that holds from some value on: the least value from which on it may hold; kFirstUnit if it holds for
// all that are tried, which are those from `no` to `yes`.
int64_t FindBegin(const Evaluation &evaluation, int64_t no, int64_t yes, int64_t slack) {
  if (Ask(evaluation, no) != Answer::kFalse) return kFirstUnit;
  // Beyond what is tried it may hold.
  if (Ask(evaluation, yes) != Answer::kTrue) {
    no = yes;
  } else {
    while (no + 1 < yes) {
      const int64_t at = no / 2 + yes / 2 + (no % 2 + yes % 2) / 2;
      (Ask(evaluation, at) == Answer::kTrue ? yes : no) = at;
    }
  }
  return no < PG_INT64_MIN + slack ? kFirstUnit : no + 1 - slack;
}

// "expression operation constant", where the operation orders. False if nothing can be said.
bool NarrowByOrder(OpExpr *clause, bool begins, const Var *column, int64_t slack, Preimage *range) {
  Node *copy = ColumnMutator(reinterpret_cast<Node *>(clause), nullptr);
  Evaluation evaluation;
  evaluation.type = getBaseType(column->vartype);
  evaluation.mirrored = false;
  evaluation.context = CreateStandaloneExprContext();
  evaluation.state = ExecInitExpr(expression_planner(reinterpret_cast<Expr *>(copy)), nullptr);
  const bool is_time = RangeKindOf(evaluation.type) != RangeKind::kInteger;
  const bool answers = Ask(evaluation, 0) != Answer::kFailed;
  if (answers) {
    const int64_t limit = evaluation.Limit();
    const int64_t low = FindAnswered(evaluation, -limit), high = FindAnswered(evaluation, limit);
    if (is_time || low > -limit) range->fails_below = Max(range->fails_below, low);
    if (is_time || high < limit) range->fails_above = Min(range->fails_above, high);
    const int64_t units = evaluation.type == DATEOID ? (slack + kDay - 1) / kDay : slack;
    evaluation.mirrored = !begins;
    const int64_t begin = begins ? FindBegin(evaluation, low, high, units) : FindBegin(evaluation, -high, -low, units);
    if (begin != kFirstUnit && begins) range->low = Max(range->low, begin);
    if (begin != kFirstUnit && !begins) range->high = Min(range->high, -begin);
  }
  FreeExprContext(evaluation.context, true);
  return answers;
}

// The least and the greatest element of an array, by the order of its type under the collation; false if there is none.
// REQUIRES: there is an order.
bool FindExtremes(const Const *array, Oid collation, Datum *least, Datum *greatest) {
  ArrayType *elements = DatumGetArrayTypeP(array->constvalue);
  TypeCacheEntry *type = lookup_type_cache(ARR_ELEMTYPE(elements), TYPECACHE_CMP_PROC_FINFO);
  Datum *items;
  bool *nulls;
  int count, found = 0;
  deconstruct_array(elements, type->type_id, type->typlen, type->typbyval, type->typalign, &items, &nulls, &count);
  for (int i = 0; i < count; i++) {
    if (nulls[i]) continue;
    auto compare = [&](Datum other) {
      return DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, collation, items[i], other));
    };
    if (found == 0 || compare(*least) < 0) *least = items[i];
    if (found == 0 || compare(*greatest) > 0) *greatest = items[i];
    found++;
  }
  return found > 0;
}

// Texts are found by the order of their bytes. Under most collations they are equal as bytes are; what comes before
// what is another matter. Sets *collation to that order.
bool FollowsBytes(Oid operation, Oid *collation) {
  Oid family;
  int strategy;
  if (!FindOrdering(operation, &family, &strategy) || family != TEXT_BTREE_FAM_OID) return false;
  const bool follows = strategy == BTEqualStrategyNumber ? EqualsByBytes(*collation)
                                                         : OidIsValid(*collation) && OrdersByBytes(*collation);
  *collation = C_COLLATION_OID;
  return follows;
}

// "expression operation constant", of an operator of PostgreSQL's that orders or is the equality of an order.
bool NarrowByComparison(Node *expression, Oid operation, Oid collation, Const *constant, Index relation,
                        AttrNumber attribute, Preimage *range) {
  Var *column = nullptr;
  Order order;
  if (!IsTrustedOrder(operation) || !FindOrder(expression, relation, true, &column, &order) ||
      column->varattno != attribute)
    return false;
  const RangeKind kind = RangeKindOf(column->vartype);
  if (kind != RangeKind::kInteger && kind != RangeKind::kDate && kind != RangeKind::kTimestamp) return false;
  if (constant->constisnull) return false;
  Oid left, right;
  op_input_types(operation, &left, &right);
  AddComparison(left, right, &order);
  if (OidIsValid(get_typcollation(left)) && (left != TEXTOID || !FollowsBytes(operation, &collation))) return false;
  static const int kStrategies[] = {BTGreaterEqualStrategyNumber, BTLessEqualStrategyNumber};
  int strategy;
  Oid family;
  if (!FindOrdering(operation, &family, &strategy)) return false;
  bool narrowed = false;
  for (const int wanted : kStrategies) {
    Oid comparison = operation;
    if (strategy == BTEqualStrategyNumber)
      comparison = OrderOfEquality(operation, wanted);
    else if ((strategy >= BTGreaterEqualStrategyNumber) != (wanted == BTGreaterEqualStrategyNumber))
      continue;
    if (!OidIsValid(comparison)) continue;
    auto *clause =
        reinterpret_cast<OpExpr *>(make_opclause(comparison, BOOLOID, false, reinterpret_cast<Expr *>(expression),
                                                 reinterpret_cast<Expr *>(constant), InvalidOid, collation));
    set_opfuncid(clause);
    const bool begins = (wanted == BTGreaterEqualStrategyNumber) == (order.direction > 0);
    if (!NarrowByOrder(clause, begins, column, order.slack, range)) return false;
    narrowed = true;
  }
  return narrowed;
}

Const *AsConstant(Node *node) {
  while (node && IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node && IsA(node, Const) ? reinterpret_cast<Const *>(node) : nullptr;
}

bool NarrowByOperator(OpExpr *clause, Index relation, AttrNumber attribute, Preimage *range) {
  if (list_length(clause->args) != 2) return false;
  for (int i = 0; i < 2; i++) {
    Const *constant = AsConstant(static_cast<Node *>(list_nth(clause->args, 1 - i)));
    if (constant == nullptr) continue;
    const Oid operation = i == 0 ? clause->opno : get_commutator(clause->opno);
    return OidIsValid(operation) && NarrowByComparison(static_cast<Node *>(list_nth(clause->args, i)), operation,
                                                       clause->inputcollid, constant, relation, attribute, range);
  }
  return false;
}

// expression = ANY (array): from the least to the greatest element.
bool NarrowByArray(ScalarArrayOpExpr *clause, Index relation, AttrNumber attribute, Preimage *range) {
  Const *array = AsConstant(static_cast<Node *>(lsecond(clause->args)));
  if (!clause->useOr || array == nullptr || array->constisnull || !IsTrustedOrder(clause->opno)) return false;
  Oid type = get_element_type(getBaseType(array->consttype));
  if (!OidIsValid(type) || !OidIsValid(lookup_type_cache(type, TYPECACHE_CMP_PROC)->cmp_proc)) return false;
  const Oid from = OrderOfEquality(clause->opno, BTGreaterEqualStrategyNumber);
  const Oid to = OrderOfEquality(clause->opno, BTLessEqualStrategyNumber);
  if (!OidIsValid(from) || !OidIsValid(to)) return false;
  Oid collation = clause->inputcollid;
  if (type == TEXTOID && !FollowsBytes(clause->opno, &collation)) return false;
  Datum least, greatest;
  if (!FindExtremes(array, collation, &least, &greatest)) {
    Var *column = FindOrderedArgument(static_cast<Node *>(linitial(clause->args)), relation);
    if (column == nullptr || column->varattno != attribute) return false;
    range->low = 1;  // nothing equals any of no elements
    range->high = 0;
    return true;
  }
  int16 length;
  bool by_value;
  get_typlenbyval(type, &length, &by_value);
  Node *expression = static_cast<Node *>(linitial(clause->args));
  Const *low = makeConst(type, -1, InvalidOid, length, least, false, by_value);
  Const *high = makeConst(type, -1, InvalidOid, length, greatest, false, by_value);
  return NarrowByComparison(expression, from, collation, low, relation, attribute, range) &&
         NarrowByComparison(expression, to, collation, high, relation, attribute, range);
}

// (a, b) < (x, y): a is at most x.
bool NarrowByRow(RowCompareExpr *clause, Index relation, AttrNumber attribute, Preimage *range) {
  int strategy;
  Oid left, right;
  const Oid family = linitial_oid(clause->opfamilies);
  get_op_opfamily_properties(linitial_oid(clause->opnos), family, false, &strategy, &left, &right);
  const bool less = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
  const Oid operation =
      get_opfamily_member(family, left, right, less ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber);
  if (!OidIsValid(operation)) return false;
  auto *comparison = reinterpret_cast<OpExpr *>(
      make_opclause(operation, BOOLOID, false, static_cast<Expr *>(linitial(clause->largs)),
                    static_cast<Expr *>(linitial(clause->rargs)), InvalidOid, linitial_oid(clause->inputcollids)));
  return NarrowByOperator(comparison, relation, attribute, range);
}

bool NarrowToPreimage(Node *clause, Index relation, AttrNumber attribute, Preimage *range) {
  switch (nodeTag(clause)) {
    case T_OpExpr: return NarrowByOperator(reinterpret_cast<OpExpr *>(clause), relation, attribute, range);
    case T_ScalarArrayOpExpr:
      return NarrowByArray(reinterpret_cast<ScalarArrayOpExpr *>(clause), relation, attribute, range);
    case T_RowCompareExpr: return NarrowByRow(reinterpret_cast<RowCompareExpr *>(clause), relation, attribute, range);
    default: return false;
  }
}

// What was found of a clause, for all watches.
struct FoundPreimage {
  Node *clause;
  AttrNumber attribute;
  bool narrows;
  Preimage range;
};

}  // namespace

const Preimage *PreimageOf(Node *clause, Index relation, AttrNumber attribute, List **memo) {
  ListCell *cell;
  foreach (cell, *memo) {
    auto *found = static_cast<FoundPreimage *>(lfirst(cell));
    if (found->clause == clause && found->attribute == attribute) return found->narrows ? &found->range : nullptr;
  }
  auto *found = static_cast<FoundPreimage *>(palloc(sizeof(FoundPreimage)));
  *found = {clause, attribute, false, kAnyValue};
  found->narrows = NarrowToPreimage(clause, relation, attribute, &found->range);
  *memo = lappend(*memo, found);
  return found->narrows ? &found->range : nullptr;
}

}  // namespace aggcache
