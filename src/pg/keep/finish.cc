// Final steps are PostgreSQL's own functions, which get the states that their aggregates would have reached. States
// without a type of their own are handed over as parallel workers hand them over. Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/finish.h"

#include "pg/keep/decimals.h"

namespace aggcache {

namespace {

const NullableDatum kNull = {Datum{0}, true};

NullableDatum NotNull(Datum value) { return {value, false}; }

Datum WholeNumeric(uint64_t number) { return NumericGetDatum(int64_to_numeric(static_cast<int64>(number))); }

Datum Ratio(Datum sum, uint64_t count) { return DirectFunctionCall2(numeric_div, sum, WholeNumeric(count)); }

bool IsAverage(Oid aggregate) {
  switch (aggregate) {
    case F_AVG_INT2:
    case F_AVG_INT4:
    case F_AVG_INT8:
    case F_AVG_NUMERIC:
    case F_AVG_INTERVAL: return true;
    default: return false;
  }
}

Datum SpecialNumeric(const char *text) {
  return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

// ---- Numerics: how many values are finite, NaN, Infinity, -Infinity; 4 words of their sum; how many by scale -------

// The most digits behind the point that a value shows.
int LargestScale(const KeptAggregate &aggregate, const uint64_t *words) {
  int scale = aggregate.scale;
  if (aggregate.kind != SumKind::kScaled)
    for (scale = kNumericScales - 1; scale > 0 && words[8 + scale] == 0;) scale--;
  return scale;
}

NullableDatum FinishNumeric(const KeptAggregate &aggregate, const uint64_t *words) {
  const uint64_t count = words[0], nan = words[1], above = words[2], below = words[3];
  if (count + nan + above + below == 0) return kNull;
  if (nan > 0 || (above > 0 && below > 0)) return NotNull(SpecialNumeric("NaN"));
  if (above > 0) return NotNull(SpecialNumeric("Infinity"));
  if (below > 0) return NotNull(SpecialNumeric("-Infinity"));
  const Datum sum = FromDecimal(&words[4], LargestScale(aggregate, words));
  return NotNull(IsAverage(aggregate.call->aggfnoid) ? Ratio(sum, count) : sum);
}

// ---- Variance and kin ----------------------------------------------------------------------------------------------

// As a variable of numeric.c in the state of an aggregate: digits, weight, sign and scale in 4 bytes each, then the
// digits in 2 bytes; what numeric_send writes has 2 bytes for all of them.
void AppendVariable(StringInfo state, Datum numeric) {
  bytea *sent = DatumGetByteaPP(DirectFunctionCall1(numeric_send, numeric));
  StringInfoData read;
  initStringInfo(&read);
  appendBinaryStringInfo(&read, VARDATA_ANY(sent), static_cast<int>(VARSIZE_ANY_EXHDR(sent)));
  const int digits = static_cast<int>(pq_getmsgint(&read, 2));
  pq_sendint32(state, static_cast<uint32>(digits));
  pq_sendint32(state, static_cast<uint32>(static_cast<int16>(pq_getmsgint(&read, 2))));  // the weight has a sign
  for (int i = 0; i < 2; i++) pq_sendint32(state, pq_getmsgint(&read, 2));
  for (int i = 0; i < digits; i++) pq_sendint16(state, static_cast<uint16>(pq_getmsgint(&read, 2)));
}

struct FinalFunctions {
  PGFunction deserialize, population_variance, sample_variance, population_deviation, sample_deviation;
};

PGFunction FinalOf(Oid aggregate, const FinalFunctions &functions) {
  switch (aggregate) {
    case F_VAR_POP_INT2:
    case F_VAR_POP_INT4:
    case F_VAR_POP_INT8:
    case F_VAR_POP_NUMERIC: return functions.population_variance;
    case F_STDDEV_POP_INT2:
    case F_STDDEV_POP_INT4:
    case F_STDDEV_POP_INT8:
    case F_STDDEV_POP_NUMERIC: return functions.population_deviation;
    case F_STDDEV_INT2:
    case F_STDDEV_INT4:
    case F_STDDEV_INT8:
    case F_STDDEV_NUMERIC:
    case F_STDDEV_SAMP_INT2:
    case F_STDDEV_SAMP_INT4:
    case F_STDDEV_SAMP_INT8:
    case F_STDDEV_SAMP_NUMERIC: return functions.sample_deviation;
    default: return functions.sample_variance;
  }
}

// Calls what only an aggregate may call.
NullableDatum CallAsAggregate(PGFunction function, Datum argument) {
  LOCAL_FCINFO(call, 2);
  InitFunctionCallInfoData(*call, nullptr, 2, InvalidOid, reinterpret_cast<Node *>(makeNode(AggState)), nullptr);
  call->args[0] = {argument, false};
  call->args[1] = {Datum{0}, false};
  const Datum value = function(call);
  return {value, call->isnull};
}

NullableDatum FinishState(const KeptAggregate &aggregate, StringInfo state, const FinalFunctions &functions) {
  bytea *bytes = reinterpret_cast<bytea *>(palloc(static_cast<Size>(VARHDRSZ + state->len)));
  SET_VARSIZE(bytes, VARHDRSZ + state->len);
  memcpy(VARDATA(bytes), state->data, static_cast<Size>(state->len));
  const NullableDatum built = CallAsAggregate(functions.deserialize, PointerGetDatum(bytes));
  return CallAsAggregate(FinalOf(aggregate.call->aggfnoid, functions), built.value);
}

// How many; sum; sum of squares; then, unless it is of `narrow` numbers, the largest scale, how many values have it,
// how many are NaN, Infinity, -Infinity.
NullableDatum FinishSquares(const KeptAggregate &aggregate, uint64_t count, Datum sum, Datum squares, int scale,
                            const uint64_t *special) {
  static const FinalFunctions narrow = {numeric_poly_deserialize, numeric_poly_var_pop, numeric_poly_var_samp,
                                        numeric_poly_stddev_pop, numeric_poly_stddev_samp};
  static const FinalFunctions wide = {numeric_deserialize, numeric_var_pop, numeric_var_samp, numeric_stddev_pop,
                                      numeric_stddev_samp};
  StringInfoData state;
  initStringInfo(&state);
  pq_sendint64(&state, count);
  AppendVariable(&state, sum);
  AppendVariable(&state, squares);
  if (aggregate.kind == SumKind::kNarrowSquares) return FinishState(aggregate, &state, narrow);
  pq_sendint32(&state, static_cast<uint32>(scale));
  pq_sendint64(&state, count);
  for (int i = 0; i < 3; i++) pq_sendint64(&state, special ? special[i] : 0);
  return FinishState(aggregate, &state, wide);
}

NullableDatum FinishNumericSquares(const KeptAggregate &aggregate, const uint64_t *words) {
  if (words[0] + words[1] + words[2] + words[3] == 0) return kNull;
  const int scale = LargestScale(aggregate, words);
  return FinishSquares(aggregate, words[0], FromDecimal(&words[4], scale),
                       FromDecimal(&words[8 + kNumericScales], Min(2 * scale, kDecimalDigits)), scale, &words[1]);
}

// ---- What may run over ---------------------------------------------------------------------------------------------

// Whether all sums of some of the numbers are smaller: two words are the sum of their absolute values.
bool IsBelow(const uint64_t *absolute, uint64_t limit) { return absolute[1] == 0 && absolute[0] < limit; }

bool FinishInterval(const KeptAggregate &aggregate, const uint64_t *words, NullableDatum *value) {
  *value = kNull;
  if (words[0] == 0) return true;
  // at the limit itself there is infinity, since PostgreSQL 17
  if (words[5] >= PG_INT32_MAX || words[6] >= PG_INT32_MAX || !IsBelow(&words[7], PG_INT64_MAX)) return false;
  auto *sum = static_cast<Interval *>(palloc(sizeof(Interval)));
  sum->month = static_cast<int32>(words[1]);
  sum->day = static_cast<int32>(words[2]);
  sum->time = static_cast<TimeOffset>(words[3]);
  *value = NotNull(IsAverage(aggregate.call->aggfnoid)
                       ? DirectFunctionCall2(interval_div, IntervalPGetDatum(sum),
                                             Float8GetDatum(static_cast<double>(static_cast<int64>(words[0]))))
                       : IntervalPGetDatum(sum));
  return true;
}

bool FinishMoney(const uint64_t *words, NullableDatum *value) {
  *value = words[0] == 0 ? kNull : NotNull(Int64GetDatum(static_cast<int64>(words[1])));
  return IsBelow(&words[2], PG_INT64_MAX);
}

Datum BitsOf(Oid type, uint64_t bits) {
  switch (type) {
    case INT2OID: return Int16GetDatum(static_cast<int16>(bits));
    case INT4OID: return Int32GetDatum(static_cast<int32>(bits));
    default: return Int64GetDatum(static_cast<int64>(bits));
  }
}

// Of the kinds that always have a value, or null.
NullableDatum FinishPlain(const KeptAggregate &aggregate, const uint64_t *words) {
  const uint64_t count = words[0];
  const bool average = IsAverage(aggregate.call->aggfnoid);
  if (aggregate.kind == SumKind::kNumber) return NotNull(Int64GetDatum(static_cast<int64>(count)));
  if (aggregate.kind == SumKind::kTruth) {
    if (words[0] + words[1] == 0) return kNull;
    return NotNull(BoolGetDatum(aggregate.call->aggfnoid == F_BOOL_OR ? words[0] > 0 : words[1] == 0));
  }
  if (aggregate.kind == SumKind::kNumeric || aggregate.kind == SumKind::kScaled) return FinishNumeric(aggregate, words);
  if (aggregate.kind == SumKind::kNumericSquares) return FinishNumericSquares(aggregate, words);
  if (count == 0) return kNull;
  switch (aggregate.kind) {
    case SumKind::kNarrow:
      return NotNull(average ? Ratio(WholeNumeric(words[1]), count) : Int64GetDatum(static_cast<int64>(words[1])));
    case SumKind::kWide: {
      const Datum sum = FromWhole(&words[1], 2);
      return NotNull(average ? Ratio(sum, count) : sum);
    }
    case SumKind::kNarrowSquares:
      return FinishSquares(aggregate, count, FromWhole(&words[1], 1), FromWhole(&words[2], 2), 0, nullptr);
    case SumKind::kWideSquares:
      return FinishSquares(aggregate, count, FromWhole(&words[1], 2), FromWhole(&words[3], 4), 0, nullptr);
    case SumKind::kBits: return NotNull(BitsOf(aggregate.call->aggtype, words[1]));
    default: return kNull;
  }
}

}  // namespace

bool FinishAggregate(const KeptAggregate &aggregate, const uint64_t *words, NullableDatum *value) {
  if (aggregate.kind == SumKind::kInterval) return FinishInterval(aggregate, words, value);
  if (aggregate.kind == SumKind::kMoney) return FinishMoney(words, value);
  *value = FinishPlain(aggregate, words);
  return true;
}

}  // namespace aggcache
