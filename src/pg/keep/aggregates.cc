// Goes by the numbers of PostgreSQL's own aggregates. Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/aggregates.h"

#include "pg/facts/function_facts.h"
#include "pg/watch/predicates.h"

namespace aggcache {

namespace {

// The scale that all values of an expression have but NaN; -1 if they may have several.
int ScaleOf(Node *expression) {
  if (!IsA(expression, Var)) return -1;
  const int32 modifier = reinterpret_cast<Var *>(expression)->vartypmod;
  if (modifier < static_cast<int32>(VARHDRSZ)) return -1;
  // bits of the modifier as numeric.c packs them: an 11-bit signed scale
  const int scale = (((modifier - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
  return scale >= 0 && scale < kNumericScales ? scale : -1;
}

// What is added up: numbers by any order.
bool KindOf(Oid aggregate, SumKind *kind) {
  switch (aggregate) {
    case F_COUNT_:
    case F_COUNT_ANY: *kind = SumKind::kNumber; return true;
    case F_SUM_INT2:
    case F_SUM_INT4:
    case F_AVG_INT2:
    case F_AVG_INT4: *kind = SumKind::kNarrow; return true;
    case F_SUM_INT8:
    case F_AVG_INT8: *kind = SumKind::kWide; return true;
    case F_SUM_NUMERIC:
    case F_AVG_NUMERIC: *kind = SumKind::kNumeric; return true;
    case F_VARIANCE_INT2:
    case F_VARIANCE_INT4:
    case F_VAR_SAMP_INT2:
    case F_VAR_SAMP_INT4:
    case F_VAR_POP_INT2:
    case F_VAR_POP_INT4:
    case F_STDDEV_INT2:
    case F_STDDEV_INT4:
    case F_STDDEV_SAMP_INT2:
    case F_STDDEV_SAMP_INT4:
    case F_STDDEV_POP_INT2:
    case F_STDDEV_POP_INT4: *kind = SumKind::kNarrowSquares; return true;
    case F_VARIANCE_INT8:
    case F_VAR_SAMP_INT8:
    case F_VAR_POP_INT8:
    case F_STDDEV_INT8:
    case F_STDDEV_SAMP_INT8:
    case F_STDDEV_POP_INT8: *kind = SumKind::kWideSquares; return true;
    case F_VARIANCE_NUMERIC:
    case F_VAR_SAMP_NUMERIC:
    case F_VAR_POP_NUMERIC:
    case F_STDDEV_NUMERIC:
    case F_STDDEV_SAMP_NUMERIC:
    case F_STDDEV_POP_NUMERIC: *kind = SumKind::kNumericSquares; return true;
    case F_SUM_INTERVAL:
    case F_AVG_INTERVAL: *kind = SumKind::kInterval; return true;
    case F_SUM_MONEY: *kind = SumKind::kMoney; return true;
    case F_BOOL_AND:
    case F_BOOL_OR:
    case F_EVERY: *kind = SumKind::kTruth; return true;
    case F_BIT_XOR_INT2:
    case F_BIT_XOR_INT4:
    case F_BIT_XOR_INT8: *kind = SumKind::kBits; return true;
    default: return false;
  }
}

// Whether it is PostgreSQL's min or max of some type, and by which operator: InvalidOid if not.
Oid OperatorOfExtreme(Oid aggregate) {
  SumKind kind;
  if (!IsBuiltIn(aggregate) || KindOf(aggregate, &kind)) return InvalidOid;
  HeapTuple row = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
  if (!HeapTupleIsValid(row)) return InvalidOid;
  const Oid sort_operator = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(row))->aggsortop;
  ReleaseSysCache(row);
  return sort_operator;
}

// What min and max compare by; false if it is not PostgreSQL's own order of the type.
bool FindOrder(Oid sort_operator, Oid *comparison, bool *greatest, Oid *equality) {
  Oid family, type;
  if (!compat::FindOrdering(sort_operator, &family, &type, greatest) || !IsBuiltIn(family)) return false;
  *comparison = get_opfamily_proc(family, type, type, BTORDER_PROC);
  *equality = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
  return OidIsValid(*comparison) && IsBuiltIn(*comparison) && OidIsValid(*equality);
}

Node *ArgumentOf(const Aggref *call) {
  return call->aggstar ? nullptr : reinterpret_cast<Node *>(linitial_node(TargetEntry, call->args)->expr);
}

// Of an aggregate that rests on its values, which it compares by a collation.
const char *FindObstacleInValues(const Aggref *call, Oid equality, Oid collation) {
  const Oid type = exprType(ArgumentOf(call));
  return IsEqualByBytes(type, collation, equality)
             ? nullptr
             : psprintf("values of type %s can be equal and yet look different", format_type_be(type));
}

}  // namespace

const FieldKind *FieldsOf(SumKind kind, int *count) {
  constexpr FieldKind one = FieldKind::kOneWord, two = FieldKind::kTwoWords, four = FieldKind::kFourWords;
  static const FieldKind number[] = {one};
  static const FieldKind narrow[] = {one, one};
  static const FieldKind wide[] = {one, two};
  static const FieldKind narrow_squares[] = {one, one, two};
  static const FieldKind wide_squares[] = {one, two, four};
  static const FieldKind scaled[] = {one, one, one, one, four};
  static const FieldKind interval[] = {one, one, one, two, one, one, two};
  static const FieldKind money[] = {one, one, two};
  static const FieldKind bits[] = {one, FieldKind::kBits};
  static FieldKind numeric[lengthof(scaled) + kNumericScales + 1];
  switch (kind) {
    case SumKind::kNumber:
    case SumKind::kExtreme:
    case SumKind::kDistinct: *count = lengthof(number); return number;
    case SumKind::kNarrow:
    case SumKind::kTruth: *count = lengthof(narrow); return narrow;
    case SumKind::kWide: *count = lengthof(wide); return wide;
    case SumKind::kNarrowSquares: *count = lengthof(narrow_squares); return narrow_squares;
    case SumKind::kWideSquares: *count = lengthof(wide_squares); return wide_squares;
    case SumKind::kScaled: *count = lengthof(scaled); return scaled;
    case SumKind::kInterval: *count = lengthof(interval); return interval;
    case SumKind::kMoney: *count = lengthof(money); return money;
    case SumKind::kBits: *count = lengthof(bits); return bits;
    case SumKind::kNumeric:
    case SumKind::kNumericSquares: break;
  }
  memcpy(numeric, scaled, sizeof(scaled));
  for (int i = 0; i < kNumericScales; i++) numeric[lengthof(scaled) + i] = one;
  numeric[lengthof(scaled) + kNumericScales] = four;
  *count = lengthof(numeric) - (kind == SumKind::kNumeric);
  return numeric;
}

KeptAggregate DescribeAggregate(const Aggref *call) {
  KeptAggregate aggregate;
  memset(&aggregate, 0, sizeof(aggregate));
  aggregate.call = call;
  aggregate.filter = call->aggfilter;
  aggregate.argument = reinterpret_cast<Expr *>(ArgumentOf(call));
  if (!KindOf(call->aggfnoid, &aggregate.kind)) {
    Oid equality;
    aggregate.kind = SumKind::kExtreme;
    (void)FindOrder(OperatorOfExtreme(call->aggfnoid), &aggregate.comparison, &aggregate.greatest, &equality);
  } else if (call->aggdistinct) {
    aggregate.kind = SumKind::kDistinct;
  } else if (aggregate.kind == SumKind::kNumeric) {
    const int scale = ScaleOf(reinterpret_cast<Node *>(aggregate.argument));
    if (scale >= 0) {
      aggregate.kind = SumKind::kScaled;
      aggregate.scale = scale;
    }
  }
  return aggregate;
}

const char *FindObstacleInAggregate(const Aggref *call, bool *may_fail) {
  const char *name = get_func_name(call->aggfnoid);
  SumKind kind;
  const char *why = nullptr;
  if (call->agglevelsup > 0 || call->aggorder) return psprintf("aggregate %s has ORDER BY", name);
  const bool adds = KindOf(call->aggfnoid, &kind);
  const Oid sort_operator = adds ? InvalidOid : OperatorOfExtreme(call->aggfnoid);
  if (!adds) {
    Oid comparison, equality;
    bool greatest;
    if (!OidIsValid(sort_operator) || !FindOrder(sort_operator, &comparison, &greatest, &equality))
      return psprintf("aggregate %s is not kept", name);
    why = FindObstacleInValues(call, equality, call->inputcollid);
  } else if (call->aggdistinct) {
    if (call->aggfnoid != F_COUNT_ANY) return psprintf("aggregate %s has DISTINCT", name);
    why = FindObstacleInValues(call, linitial_node(SortGroupClause, call->aggdistinct)->eqop,
                               exprCollation(ArgumentOf(call)));
  }
  if (why) return why;
  if (!IsRowLocal(reinterpret_cast<Node *>(call->aggfilter), 1, may_fail) || !IsRowLocal(ArgumentOf(call), 1, may_fail))
    return psprintf("an argument or FILTER of %s is no expression that writers can evaluate", name);
  return nullptr;
}

bool MindsNoTies(Oid function, int frame) {
  switch (function) {
    case F_RANK_:
    case F_DENSE_RANK_:
    case F_PERCENT_RANK_:
    case F_CUME_DIST_: return true;
    default: break;
  }
  SumKind kind;
  if (!KindOf(function, &kind) || kind == SumKind::kInterval || kind == SumKind::kMoney) return false;  // may overflow
  return (frame & FRAMEOPTION_ROWS) == 0 && (frame & (FRAMEOPTION_EXCLUDE_CURRENT_ROW | FRAMEOPTION_EXCLUDE_TIES)) == 0;
}

bool IsEqualByBytes(Oid type, Oid collation, Oid equality) {
  const Oid base = getBaseType(type);
  // what PostgreSQL says of these is not so in some releases, or not of the bytes that are here
  if (base == INTERVALOID || base == BPCHAROID || base == NAMEOID) return false;
  TypeCacheEntry *entry = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
  if (!OidIsValid(entry->btree_opf) || !IsBuiltIn(entry->btree_opf) || entry->eq_opr != equality) return false;
  const Oid support =
      get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, BTEQUALIMAGE_PROC);
  return OidIsValid(support) && IsBuiltIn(support) &&
         DatumGetBool(OidFunctionCall1Coll(support, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

}  // namespace aggcache
