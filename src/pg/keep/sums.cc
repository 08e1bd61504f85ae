// Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/sums.h"

#include "core/ledger.h"
#include "pg/keep/decimals.h"
#include "pg/keep/values.h"

namespace aggcache {

namespace {

// ---- Adding --------------------------------------------------------------------------------------------------------

bool AddNumeric(const KeptAggregate &aggregate, Datum value, int64_t sign, uint64_t *words) {
  uint64_t decimal[4];
  int scale;
  switch (ToDecimal(value, decimal, &scale)) {
    case DecimalKind::kTooLarge: return false;
    case DecimalKind::kNan: AddSigned(&words[1], 1, sign); return true;
    case DecimalKind::kInfinity: AddSigned(&words[2], 1, sign); return true;
    case DecimalKind::kMinusInfinity: AddSigned(&words[3], 1, sign); return true;
    case DecimalKind::kFinite: break;
  }
  AddSigned(&words[0], 1, sign);
  AddWords(&words[4], decimal, 4, sign < 0);
  if (aggregate.kind == SumKind::kScaled) return scale == aggregate.scale;
  AddSigned(&words[8 + scale], 1, sign);
  if (aggregate.kind == SumKind::kNumeric) return true;
  uint64_t square[4];
  if (!SquareOf(decimal, square)) return false;
  AddWords(&words[8 + kNumericScales], square, 4, sign < 0);
  return true;
}

uint64_t Absolute(int64_t number) {
  return number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
}

// Adds a number that is not negative, or takes it away.
void AddUnsigned(uint64_t *words, int count, uint64_t number, int64_t sign) {
  const uint64_t extended[2] = {number, 0};
  AddWords(words, extended, count, sign < 0);
}

void AddSquare(int64_t number, int64_t sign, uint64_t *words, int count) {
  const unsigned __int128 square = static_cast<unsigned __int128>(Absolute(number)) * Absolute(number);
  const uint64_t extended[4] = {static_cast<uint64_t>(square), static_cast<uint64_t>(square >> 64), 0, 0};
  AddWords(words, extended, count, sign < 0);
}

// False: it is infinite.
bool AddInterval(const Interval *span, int64_t sign, uint64_t *words) {
#ifdef INTERVAL_NOT_FINITE
  if (INTERVAL_NOT_FINITE(span)) return false;
#endif
  AddSigned(&words[0], 1, sign);
  AddSigned(&words[1], 1, sign * span->month);
  AddSigned(&words[2], 1, sign * span->day);
  const auto time = static_cast<uint64_t>(span->time);
  const uint64_t extended[2] = {time, span->time < 0 ? ~uint64_t{0} : 0};
  AddWords(&words[3], extended, 2, sign < 0);
  AddUnsigned(&words[5], 1, Absolute(span->month), sign);
  AddUnsigned(&words[6], 1, Absolute(span->day), sign);
  AddUnsigned(&words[7], 2, Absolute(span->time), sign);
  return true;
}

// A whole number, of whatever width.
int64_t WholeOf(Oid type, Datum value) {
  switch (type) {
    case INT2OID: return DatumGetInt16(value);
    case INT4OID: return DatumGetInt32(value);
    default: return DatumGetInt64(value);
  }
}

bool AddValue(const KeptAggregate &aggregate, Datum value, int64_t sign, uint64_t *words) {
  const Oid type = aggregate.argument ? exprType(reinterpret_cast<Node *>(aggregate.argument)) : InvalidOid;
  switch (aggregate.kind) {
    case SumKind::kNumber:
    case SumKind::kExtreme:
    case SumKind::kDistinct: AddSigned(words, 1, sign); return true;
    case SumKind::kTruth: AddSigned(DatumGetBool(value) ? &words[0] : &words[1], 1, sign); return true;
    case SumKind::kBits:
      AddSigned(words, 1, sign);
      words[1] ^= static_cast<uint64_t>(WholeOf(type, value));
      return true;
    case SumKind::kNarrow:
    case SumKind::kWide:
    case SumKind::kNarrowSquares:
    case SumKind::kWideSquares: {
      const int64_t number = WholeOf(type, value);
      const int count = aggregate.kind == SumKind::kNarrow || aggregate.kind == SumKind::kNarrowSquares ? 1 : 2;
      AddSigned(words, 1, sign);
      const uint64_t extended[2] = {static_cast<uint64_t>(number), number < 0 ? ~uint64_t{0} : 0};
      AddWords(&words[1], extended, count, sign < 0);
      if (aggregate.kind == SumKind::kNarrowSquares) AddSquare(number, sign, &words[2], 2);
      if (aggregate.kind == SumKind::kWideSquares) AddSquare(number, sign, &words[3], 4);
      return true;
    }
    case SumKind::kInterval: return AddInterval(DatumGetIntervalP(value), sign, words);
    case SumKind::kMoney:
      AddSigned(&words[0], 1, sign);
      AddWords(&words[1], reinterpret_cast<const uint64_t *>(&value), 1, sign < 0);
      AddUnsigned(&words[2], 2, Absolute(DatumGetInt64(value)), sign);
      return true;
    case SumKind::kNumeric:
    case SumKind::kNumericSquares:
    case SumKind::kScaled: return AddNumeric(aggregate, value, sign, words);
  }
  return false;
}

// The words of a group, in a sum that is made larger if need be; NULL if it would be too large.
uint64_t *GroupWords(const Program *program, Sum *sum, const unsigned char *key, uint32_t key_size, GroupIndex *index) {
  for (;;) {
    uint64_t *words = FindGroup(program->shape, sum->bytes, &sum->size, sum->room, key, key_size, index);
    if (words || sum->room >= kMaxContribution) return words;
    sum->room = Min(kMaxContribution, sum->room * 2);
    sum->bytes = static_cast<unsigned char *>(repalloc(sum->bytes, sum->room));
  }
}

// Whether a value is too long for a key, however it is stored.
bool IsTooLong(const KeptAggregate &aggregate, Datum value) {
  return get_typlen(exprType(reinterpret_cast<Node *>(aggregate.argument))) == -1 &&
         toast_raw_datum_size(value) > kMaxKey;
}

}  // namespace

RowValues *MakeRowValues(const Program *program) {
  auto *row = static_cast<RowValues *>(palloc(sizeof(RowValues)));
  row->groups = static_cast<NullableDatum *>(palloc0(sizeof(NullableDatum) * Max(1, list_length(program->groups))));
  row->arguments = static_cast<NullableDatum *>(palloc0(sizeof(NullableDatum) * Max(1, program->aggregate_count)));
  row->counts = static_cast<bool *>(palloc0(sizeof(bool) * Max(1, program->aggregate_count)));
  return row;
}

void BeginSum(const Program *program, Sum *sum) {
  sum->room = 1024;
  sum->bytes = static_cast<unsigned char *>(palloc(sum->room));
  sum->size = EmptyContribution(program->shape, sum->bytes, sum->room);
}

bool AddRow(const Program *program, Sum *sum, const RowValues &row, bool away, GroupIndex *index, BaseValues *noted) {
  unsigned char key[kMaxKey];
  uint32_t key_size;
  if (!MakeGroupKey(program, row.groups, key, &key_size)) return false;
  uint64_t *words = GroupWords(program, sum, key, key_size, index);
  if (words == nullptr) return false;
  const int64_t sign = away ? -1 : 1;
  AddSigned(words, 1, sign);
  auto counts = [&](int i) { return row.counts[i] && !(program->aggregates[i].argument && row.arguments[i].isnull); };
  for (int i = 0; i < program->aggregate_count; i++)
    if (counts(i) &&
        !AddValue(program->aggregates[i], row.arguments[i].value, sign, words + program->aggregates[i].words))
      return false;
  if (!program->has_values) return true;
  const auto place = static_cast<uint32_t>(reinterpret_cast<unsigned char *>(words) - sum->bytes);
  for (int i = 0; i < program->aggregate_count; i++) {
    if (!HasValues(program->aggregates[i].kind) || !counts(i)) continue;
    if (IsTooLong(program->aggregates[i], row.arguments[i].value)) return false;
    if (noted && program->aggregates[i].kind == SumKind::kExtreme)
      NoteValue(noted, place, key, key_size, i, row.arguments[i].value);
    else if (!AddToValue(program, sum, key, key_size, i, kValue, row.arguments[i].value, sign, index))
      return false;
  }
  return true;
}

bool AddToValue(const Program *program, Sum *sum, const unsigned char *group, uint32_t group_size, int aggregate,
                ValueMark mark, Datum value, int64 rows, GroupIndex *index) {
  unsigned char key[kMaxKey];
  uint32_t key_size = group_size;
  memcpy(key, group, group_size);
  if (!ExtendToValue(program, aggregate, mark, value, key, &key_size)) return false;
  uint64_t *words = GroupWords(program, sum, key, key_size, index);
  if (words) AddSigned(words, 1, rows);
  return words != nullptr;
}

}  // namespace aggcache
