// Keeps no state but what zones' offsets are, which never changes.

#include "pg/base/server.h"

#include "pg/watch/monotone.h"

#include "pg/facts/function_facts.h"
#include "pg/watch/formats.h"

#include <cmath>

namespace aggcache {

namespace {

constexpr int64_t kDay = USECS_PER_DAY;

// ---- Time zones --------------------------------------------------------------------------------------------------

// How far a zone's clock has been put forward and back, at most, in microseconds.
int64_t SpreadOf(const pg_tz *zone) {
  struct KnownZone {
    const pg_tz *zone;
    int64_t spread;
  };
  static KnownZone known[16];  // zones are never freed
  static int next = 0;
  if (zone == nullptr) return 0;
  for (const KnownZone &other : known)
    if (other.zone == zone) return other.spread;
  long least = 0, greatest = 0;
  bool first = true;
  auto keep = [&](long offset) {
    least = first ? offset : Min(least, offset);
    greatest = first ? offset : Max(greatest, offset);
    first = false;
  };
  // From before there were zones until each rule that goes on for ever has been applied.
  constexpr pg_time_t kBegin = INT64CONST(-400) * 365 * SECS_PER_DAY, kEnd = INT64CONST(500) * 365 * SECS_PER_DAY;
  pg_time_t moment = kBegin;
  while (moment < kEnd) {
    long before, after;
    int before_summer, after_summer;
    pg_time_t boundary;
    const int found = pg_next_dst_boundary(&moment, &before, &before_summer, &boundary, &after, &after_summer, zone);
    if (found < 0) return 8 * kDay;  // nothing is known: offsets are less than a week
    keep(before);
    if (found == 0) break;
    keep(after);
    moment = boundary;
  }
  known[next] = {zone, (greatest - least) * USECS_PER_SEC};
  const int64_t spread = known[next].spread;
  next = (next + 1) % static_cast<int>(lengthof(known));
  return spread;
}

// Of the zone that a constant names in AT TIME ZONE.
bool SpreadOfNamed(Const *name, int64_t *spread) {
  char *word = TextDatumGetCString(name->constvalue);
  pg_tz *zone;
  if (strlen(word) > TZ_STRLEN_MAX || !compat::FindZone(word, &zone)) return false;
  *spread = SpreadOf(zone);
  return true;
}

// ---- Functions that keep an order -------------------------------------------------------------------------------

enum class Rule : uint8_t {
  kKeeps,           // in its first argument
  kZone,            // the same, by the session's zone
  kNamedZone,       // in its second argument, by the zone that the first names
  kOffset,          // in its second argument, by an offset
  kTruncates,       // in its second argument, to the unit that the first names
  kTruncatesIn,     // the same, by the session's zone
  kTruncatesNamed,  // the same, by the zone that the third names
  kBin,             // in its second argument, to steps of the first
  kFormats,         // in its first argument, by the order of bytes of the text in the format that the second names
  kFormatsIn,       // the same, by the session's zone
  kExtracts,        // of its second argument the part that the first names
  kExtractsIn,      // the same, by the session's zone
  kAdds,            // in either
  kSubtracts,       // in its first argument; against the order in its second
  kMultiplies,      // by a constant
  kDivides,         // by a constant
  kShifts,          // right
  kMoves,           // by an interval
  kMovesIn,         // the same, by the session's zone
};

struct KnownFunction {
  Oid function;
  Rule rule;
};

constexpr KnownFunction kKnown[] = {
    {F_DATE_TIMESTAMP, Rule::kKeeps},
    {F_TIMESTAMP_DATE, Rule::kKeeps},
    {F_TO_TIMESTAMP_FLOAT8, Rule::kKeeps},
    {F_TIMESTAMP_TIMESTAMP_INT4, Rule::kKeeps},
    {F_TIMESTAMPTZ_TIMESTAMPTZ_INT4, Rule::kKeeps},
    {F_INT4_INT2, Rule::kKeeps},
    {F_INT8_INT2, Rule::kKeeps},
    {F_INT8_INT4, Rule::kKeeps},
    {F_INT4_INT8, Rule::kKeeps},
    {F_INT2_INT4, Rule::kKeeps},
    {F_INT2_INT8, Rule::kKeeps},
    {F_NUMERIC_INT2, Rule::kKeeps},
    {F_NUMERIC_INT4, Rule::kKeeps},
    {F_NUMERIC_INT8, Rule::kKeeps},
    {F_NUMERIC_FLOAT8, Rule::kKeeps},
    {F_FLOAT8_INT2, Rule::kKeeps},
    {F_FLOAT8_INT4, Rule::kKeeps},
    {F_FLOAT8_INT8, Rule::kKeeps},
    {F_FLOAT8_NUMERIC, Rule::kKeeps},
    {F_INT4_NUMERIC, Rule::kKeeps},
    {F_INT8_NUMERIC, Rule::kKeeps},
    {F_INT4_FLOAT8, Rule::kKeeps},
    {F_INT8_FLOAT8, Rule::kKeeps},
    {F_FLOOR_NUMERIC, Rule::kKeeps},
    {F_CEIL_NUMERIC, Rule::kKeeps},
    {F_CEILING_NUMERIC, Rule::kKeeps},
    {F_ROUND_NUMERIC, Rule::kKeeps},
    {F_TRUNC_NUMERIC, Rule::kKeeps},
    {F_ROUND_NUMERIC_INT4, Rule::kKeeps},
    {F_TRUNC_NUMERIC_INT4, Rule::kKeeps},
    {F_FLOOR_FLOAT8, Rule::kKeeps},
    {F_CEIL_FLOAT8, Rule::kKeeps},
    {F_CEILING_FLOAT8, Rule::kKeeps},
    {F_ROUND_FLOAT8, Rule::kKeeps},
    {F_TRUNC_FLOAT8, Rule::kKeeps},
    {F_DATE_PLI, Rule::kKeeps},
    {F_DATE_MII, Rule::kKeeps},
    {F_DATE_TIMESTAMPTZ, Rule::kZone},
    {F_TIMESTAMPTZ_DATE, Rule::kZone},
    {F_TIMESTAMP_TIMESTAMPTZ, Rule::kZone},
    {F_TIMESTAMPTZ_TIMESTAMP, Rule::kZone},
    {F_TIMEZONE_TEXT_TIMESTAMP, Rule::kNamedZone},
    {F_TIMEZONE_TEXT_TIMESTAMPTZ, Rule::kNamedZone},
    {F_TIMEZONE_INTERVAL_TIMESTAMP, Rule::kOffset},
    {F_TIMEZONE_INTERVAL_TIMESTAMPTZ, Rule::kOffset},
    {F_DATE_TRUNC_TEXT_TIMESTAMP, Rule::kTruncates},
    {F_DATE_TRUNC_TEXT_TIMESTAMPTZ, Rule::kTruncatesIn},
    {F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT, Rule::kTruncatesNamed},
    {F_DATE_BIN_INTERVAL_TIMESTAMP_TIMESTAMP, Rule::kBin},
    {F_DATE_BIN_INTERVAL_TIMESTAMPTZ_TIMESTAMPTZ, Rule::kBin},
    {F_TO_CHAR_TIMESTAMP_TEXT, Rule::kFormats},
    {F_TO_CHAR_TIMESTAMPTZ_TEXT, Rule::kFormatsIn},
    {F_EXTRACT_TEXT_DATE, Rule::kExtracts},
    {F_EXTRACT_TEXT_TIMESTAMP, Rule::kExtracts},
    {F_EXTRACT_TEXT_TIMESTAMPTZ, Rule::kExtractsIn},
    {F_DATE_PART_TEXT_DATE, Rule::kExtractsIn},  // by way of timestamptz or timestamp
    {F_DATE_PART_TEXT_TIMESTAMP, Rule::kExtracts},
    {F_DATE_PART_TEXT_TIMESTAMPTZ, Rule::kExtractsIn},
    {F_EXTRACT_TEXT_INTERVAL, Rule::kExtracts},
    {F_DATE_PART_TEXT_INTERVAL, Rule::kExtracts},
    {F_TIMESTAMP_PL_INTERVAL, Rule::kMoves},
    {F_TIMESTAMP_MI_INTERVAL, Rule::kMoves},
    {F_DATE_PL_INTERVAL, Rule::kMoves},
    {F_DATE_MI_INTERVAL, Rule::kMoves},
    {F_TIMESTAMPTZ_PL_INTERVAL, Rule::kMovesIn},
    {F_TIMESTAMPTZ_MI_INTERVAL, Rule::kMovesIn},
    {F_TIMESTAMP_MI, Rule::kSubtracts},
    {F_TIMESTAMPTZ_MI, Rule::kSubtracts},
    {F_DATE_MI, Rule::kSubtracts},
    {F_INT2PL, Rule::kAdds},
    {F_INT4PL, Rule::kAdds},
    {F_INT8PL, Rule::kAdds},
    {F_INT24PL, Rule::kAdds},
    {F_INT42PL, Rule::kAdds},
    {F_INT28PL, Rule::kAdds},
    {F_INT82PL, Rule::kAdds},
    {F_INT48PL, Rule::kAdds},
    {F_INT84PL, Rule::kAdds},
    {F_FLOAT8PL, Rule::kAdds},
    {F_NUMERIC_ADD, Rule::kAdds},
    {F_INT2MI, Rule::kSubtracts},
    {F_INT4MI, Rule::kSubtracts},
    {F_INT8MI, Rule::kSubtracts},
    {F_INT24MI, Rule::kSubtracts},
    {F_INT42MI, Rule::kSubtracts},
    {F_INT28MI, Rule::kSubtracts},
    {F_INT82MI, Rule::kSubtracts},
    {F_INT48MI, Rule::kSubtracts},
    {F_INT84MI, Rule::kSubtracts},
    {F_FLOAT8MI, Rule::kSubtracts},
    {F_NUMERIC_SUB, Rule::kSubtracts},
    {F_INT2MUL, Rule::kMultiplies},
    {F_INT4MUL, Rule::kMultiplies},
    {F_INT8MUL, Rule::kMultiplies},
    {F_INT24MUL, Rule::kMultiplies},
    {F_INT42MUL, Rule::kMultiplies},
    {F_INT28MUL, Rule::kMultiplies},
    {F_INT82MUL, Rule::kMultiplies},
    {F_INT48MUL, Rule::kMultiplies},
    {F_INT84MUL, Rule::kMultiplies},
    {F_FLOAT8MUL, Rule::kMultiplies},
    {F_NUMERIC_MUL, Rule::kMultiplies},
    {F_INT2DIV, Rule::kDivides},
    {F_INT4DIV, Rule::kDivides},
    {F_INT8DIV, Rule::kDivides},
    {F_INT24DIV, Rule::kDivides},
    {F_INT42DIV, Rule::kDivides},
    {F_INT28DIV, Rule::kDivides},
    {F_INT82DIV, Rule::kDivides},
    {F_INT48DIV, Rule::kDivides},
    {F_INT84DIV, Rule::kDivides},
    {F_FLOAT8DIV, Rule::kDivides},
    {F_NUMERIC_DIV, Rule::kDivides},
    {F_NUMERIC_DIV_TRUNC, Rule::kDivides},
    {F_INT4SHR, Rule::kShifts},
    {F_INT8SHR, Rule::kShifts},
};

bool FindRule(Oid function, Rule *rule) {
  if (compat::IsAtLocal(function)) {
    *rule = Rule::kZone;
    return true;
  }
  for (const KnownFunction &known : kKnown)
    if (known.function == function) {
      *rule = known.rule;
      return true;
    }
  return false;
}

// -1, 0 or 1; 0 also for what is not finite.
int SignOf(const Const *constant) {
  double value;
  switch (constant->consttype) {
    case INT2OID: value = DatumGetInt16(constant->constvalue); break;
    case INT4OID: value = DatumGetInt32(constant->constvalue); break;
    case INT8OID: value = static_cast<double>(DatumGetInt64(constant->constvalue)); break;
    case FLOAT8OID: value = DatumGetFloat8(constant->constvalue); break;
    case NUMERICOID: {
      if (numeric_is_nan(DatumGetNumeric(constant->constvalue)) ||
          numeric_is_inf(DatumGetNumeric(constant->constvalue)))
        return 0;
      char *text = DatumGetCString(DirectFunctionCall1(numeric_out, constant->constvalue));
      return strspn(text, "-0.") == strlen(text) ? 0 : text[0] == '-' ? -1 : 1;
    }
    default: return 0;
  }
  return !std::isfinite(value) || value == 0 ? 0 : value < 0 ? -1 : 1;
}

bool IsFinite(const Const *constant) {
  switch (constant->consttype) {
    case FLOAT8OID: return std::isfinite(DatumGetFloat8(constant->constvalue));
    case NUMERICOID:
      return !numeric_is_nan(DatumGetNumeric(constant->constvalue)) &&
             !numeric_is_inf(DatumGetNumeric(constant->constvalue));
    default: return true;
  }
}

// Units of which a greater part means a later moment.
bool IsOrderedPart(const Const *unit) {
  static const char *const kParts[] = {"year",  "years",     "isoyear",    "decade",  "century",
                                       "epoch", "centuries", "millennium", "decades", "julian"};
  char *word = TextDatumGetCString(unit->constvalue);
  for (const char *part : kParts)
    if (pg_strcasecmp(word, part) == 0) return true;
  return false;
}

// What is known of a call's arguments: which one is of the column, and the others, which must be constants.
struct Call {
  List *arguments;
  Index relation;
  bool known;  // else constants are not there yet, and any would do
  int at;      // of the one that is of the column
  Var **column;
  Order *order;

  bool Find() {
    int found = -1;
    for (int i = 0; i < list_length(arguments); i++) {
      Node *argument = static_cast<Node *>(list_nth(arguments, i));
      if (contain_var_clause(argument)) {
        if (found >= 0) return false;
        found = i;
      } else if (known && (!IsA(argument, Const) || reinterpret_cast<Const *>(argument)->constisnull)) {
        return false;
      }
    }
    at = found;
    return found >= 0 && FindOrder(static_cast<Node *>(list_nth(arguments, found)), relation, known, column, order);
  }

  Const *Constant(int i) const { return static_cast<Const *>(list_nth(arguments, i)); }
};

// What conversions by a zone whose clock is put forward and back so far do to an order.
void AddSpread(Order *order, int64_t spread) {
  order->slack += 2 * spread;
  if (order->steps && spread > 0) order->slack += kDay;
}

void AddTruncation(Order *order, const Const *unit) {
  char *word = TextDatumGetCString(unit->constvalue);
  // longer ones lie further apart than any zone's clock is put back
  static const char *const kLong[] = {"week", "month", "quarter", "year", "decade", "century", "millennium"};
  for (const char *known : kLong)
    if (pg_strcasecmp(word, known) == 0) return;
  order->steps = true;
}

// Applies the rule; `call` has found the order of the argument.
bool ApplyRule(Rule rule, Oid function, const Call &call) {
  Order *order = call.order;
  switch (rule) {
    case Rule::kKeeps:
      if (call.at != 0) return false;
      if (function == F_DATE_TIMESTAMP) order->steps = true;
      return true;
    case Rule::kZone:
      if (call.at != 0) return false;
      AddSpread(order, SpreadOf(session_timezone));
      if (function == F_DATE_TIMESTAMPTZ) order->steps = true;
      return true;
    case Rule::kNamedZone: {
      if (call.at != 1) return false;
      int64_t spread = 0;
      if (call.known && !SpreadOfNamed(call.Constant(0), &spread)) return false;
      AddSpread(order, spread);
      return true;
    }
    case Rule::kOffset: return call.at == 1;
    case Rule::kTruncates:
    case Rule::kTruncatesIn:
    case Rule::kTruncatesNamed: {
      if (call.at != 1) return false;
      if (!call.known) return true;
      AddTruncation(order, call.Constant(0));
      int64_t spread = 0;
      if (rule == Rule::kTruncatesIn) spread = SpreadOf(session_timezone);
      if (rule == Rule::kTruncatesNamed && !SpreadOfNamed(call.Constant(2), &spread)) return false;
      AddSpread(order, spread);
      return true;
    }
    case Rule::kBin: {
      if (call.at != 1) return false;
      if (!call.known) return true;
      const Interval *stride = DatumGetIntervalP(call.Constant(0)->constvalue);
      const int64_t step = stride->day * kDay + stride->time;
      if (stride->month != 0 || step <= 0 || step > 4000 * kDay) return false;
      if (step >= 7 * kDay) return true;  // as of weeks
      order->steps = true;
      if (step > kDay) order->slack += step;
      return true;
    }
    case Rule::kFormats:
    case Rule::kFormatsIn: {
      if (call.at != 0) return false;
      if (!call.known) return true;
      if (rule == Rule::kFormatsIn) AddSpread(order, SpreadOf(session_timezone));
      return IsOrderedFormat(TextDatumGetCString(call.Constant(1)->constvalue));
    }
    case Rule::kExtracts:
    case Rule::kExtractsIn: {
      if (call.at != 1) return false;
      if (!call.known) return true;
      if (!IsOrderedPart(call.Constant(0))) return false;
      if (function == F_EXTRACT_TEXT_INTERVAL || function == F_DATE_PART_TEXT_INTERVAL)
        return pg_strcasecmp(TextDatumGetCString(call.Constant(0)->constvalue), "epoch") == 0;
      if (rule == Rule::kExtractsIn) AddSpread(order, SpreadOf(session_timezone));
      return true;
    }
    case Rule::kAdds: return !call.known || IsFinite(call.Constant(1 - call.at));
    case Rule::kSubtracts:
      if (call.known && !IsFinite(call.Constant(1 - call.at))) return false;
      if (call.at == 1) order->direction = -order->direction;
      return true;
    case Rule::kMultiplies:
    case Rule::kDivides: {
      if (rule == Rule::kDivides && call.at != 0) return false;
      const int sign = call.known ? SignOf(call.Constant(1 - call.at)) : 1;
      order->direction *= sign;
      return sign != 0;
    }
    case Rule::kShifts: {
      if (call.at != 0) return false;
      const int most = function == F_INT4SHR ? 31 : 63;
      return !call.known ||
             (DatumGetInt32(call.Constant(1)->constvalue) >= 0 && DatumGetInt32(call.Constant(1)->constvalue) <= most);
    }
    case Rule::kMoves:
    case Rule::kMovesIn: {
      if (call.at != 0) return false;
      if (!call.known) return true;
      // The last days of a month may all become the last one of a shorter month, with their times of day.
      if (DatumGetIntervalP(call.Constant(1)->constvalue)->month != 0) order->slack += 4 * kDay;
      if (rule == Rule::kMovesIn) AddSpread(order, SpreadOf(session_timezone));
      return true;
    }
  }
  return false;
}

}  // namespace

bool FindOrder(Node *node, Index relation, bool known, Var **column, Order *order) {
  check_stack_depth();
  Oid function = InvalidOid;
  List *arguments = NIL;
  switch (nodeTag(node)) {
    case T_Var: {
      auto *found = reinterpret_cast<Var *>(node);
      if (found->varno != static_cast<int>(relation) || found->varlevelsup != 0 || found->varattno <= 0) return false;
      *column = found;
      *order = {1, 0, getBaseType(found->vartype) == DATEOID};
      return true;
    }
    case T_RelabelType:
      return FindOrder(reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg), relation, known, column,
                       order);
    case T_FuncExpr:
      function = reinterpret_cast<FuncExpr *>(node)->funcid;
      arguments = reinterpret_cast<FuncExpr *>(node)->args;
      break;
    case T_OpExpr:
      function = get_opcode(reinterpret_cast<OpExpr *>(node)->opno);
      arguments = reinterpret_cast<OpExpr *>(node)->args;
      break;
    default: return false;
  }
  Rule rule;
  if (!FindRule(function, &rule)) return false;
  Call call = {arguments, relation, known, -1, column, order};
  return call.Find() && ApplyRule(rule, function, call);
}

void AddComparison(Oid left, Oid right, Order *order) {
  if (left != right && (left == TIMESTAMPTZOID || right == TIMESTAMPTZOID))
    AddSpread(order, SpreadOf(session_timezone));
}

bool HasOrder(Oid operation) {
  Oid family;
  int strategy;
  return OidIsValid(operation) && FindOrdering(operation, &family, &strategy);
}

bool IsLess(Oid operation) {
  Oid family;
  int strategy;
  return OidIsValid(operation) && FindOrdering(operation, &family, &strategy) && strategy < BTEqualStrategyNumber;
}

bool FindOrdering(Oid operation, Oid *family, int *strategy) {
  CatCList *rows = SearchSysCacheList1(AMOPOPID, ObjectIdGetDatum(operation));
  bool found = false;
  for (int i = 0; i < rows->n_members && !found; i++) {
    auto *row = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&rows->members[i]->tuple));
    found = row->amopmethod == BTREE_AM_OID && IsBuiltIn(row->amopfamily) && row->amoppurpose == AMOP_SEARCH;
    *family = row->amopfamily;
    *strategy = row->amopstrategy;
  }
  ReleaseCatCacheList(rows);
  return found;
}

Oid OrderOfEquality(Oid equality, int strategy) {
  Oid family, left, right;
  int own;
  if (!FindOrdering(equality, &family, &own) || own != BTEqualStrategyNumber) return InvalidOid;
  op_input_types(equality, &left, &right);
  return get_opfamily_member(family, left, right, strategy);
}

Var *FindOrderedArgument(Node *expression, Index relation) {
  Var *column = nullptr;
  Order order;
  if (!FindOrder(expression, relation, false, &column, &order)) return nullptr;
  switch (RangeKindOf(column->vartype)) {
    case RangeKind::kInteger:
    case RangeKind::kDate:
    case RangeKind::kTimestamp: return column;
    // there is no next numeric to halve an interval with
    case RangeKind::kNumeric: return IsA(expression, Var) ? column : nullptr;
    default: return nullptr;
  }
}

}  // namespace aggcache
