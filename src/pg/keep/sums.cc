// Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/sums.h"

#include "core/ledger.h"
#include "pg/keep/decimals.h"

namespace aggcache {

namespace {

// ---- The key of a group --------------------------------------------------------------------------------------------

constexpr uint32_t kMaxKey = 8192;

void Append(unsigned char *key, uint32_t *size, const void *bytes, uint32_t count) {
  memcpy(key + *size, bytes, count);
  *size += count;
}

// Adds a value; false if it is too long.
bool AppendValue(Oid type, const NullableDatum &value, unsigned char *key, uint32_t *size) {
  int16 length;
  bool by_value;
  get_typlenbyval(type, &length, &by_value);
  if (*size + 16 > kMaxKey) return false;
  key[(*size)++] = value.isnull;
  if (value.isnull) return true;
  if (by_value) {
    // as a row holds it: a datum may have other bits besides
    char bytes[sizeof(Datum)];
    store_att_byval(bytes, value.value, length);
    Append(key, size, bytes, static_cast<uint32_t>(length));
  } else if (length > 0) {
    if (*size + static_cast<uint32_t>(length) > kMaxKey) return false;
    Append(key, size, DatumGetPointer(value.value), static_cast<uint32_t>(length));
  } else {
    struct varlena *packed = PG_DETOAST_DATUM_PACKED(value.value);
    const uint32_t bytes = VARSIZE_ANY_EXHDR(packed);
    if (bytes > kMaxKey - 16 || *size + 4 + bytes > kMaxKey) return false;
    Append(key, size, &bytes, sizeof(bytes));
    Append(key, size, VARDATA_ANY(packed), bytes);
  }
  return true;
}

bool MakeKey(const Program *program, const RowValues &row, unsigned char *key, uint32_t *size) {
  *size = 0;
  int i = 0;
  ListCell *cell;
  foreach (cell, program->groups)
    if (!AppendValue(exprType(static_cast<Node *>(lfirst(cell))), row.groups[i++], key, size)) return false;
  return true;
}

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
    case SumKind::kNumber: AddSigned(words, 1, sign); return true;
    case SumKind::kTruth: AddSigned(DatumGetBool(value) ? &words[0] : &words[1], 1, sign); return true;
    case SumKind::kBits:
      AddSigned(words, 1, sign);
      words[1] ^= static_cast<uint64_t>(WholeOf(type, value));
      return true;
    case SumKind::kNarrow:
    case SumKind::kWide: {
      AddSigned(words, 1, sign);
      uint64_t number[2] = {static_cast<uint64_t>(WholeOf(type, value)), 0};
      number[1] = static_cast<int64_t>(number[0]) < 0 ? ~uint64_t{0} : 0;
      AddWords(&words[1], number, aggregate.kind == SumKind::kWide ? 2 : 1, sign < 0);
      return true;
    }
    case SumKind::kNumeric:
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

// ---- Finishing -----------------------------------------------------------------------------------------------------

const NullableDatum kNull = {Datum{0}, true};

NullableDatum NotNull(Datum value) { return {value, false}; }

Datum Ratio(Datum sum, uint64_t count) {
  return DirectFunctionCall2(numeric_div, sum, NumericGetDatum(int64_to_numeric(static_cast<int64>(count))));
}

bool IsAverage(Oid aggregate) {
  switch (aggregate) {
    case F_AVG_INT2:
    case F_AVG_INT4:
    case F_AVG_INT8:
    case F_AVG_NUMERIC: return true;
    default: return false;
  }
}

Datum SpecialNumeric(const char *text) {
  return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

NullableDatum FinishNumeric(const KeptAggregate &aggregate, const uint64_t *words) {
  const uint64_t count = words[0], nan = words[1], above = words[2], below = words[3];
  if (count + nan + above + below == 0) return kNull;
  if (nan > 0 || (above > 0 && below > 0)) return NotNull(SpecialNumeric("NaN"));
  if (above > 0) return NotNull(SpecialNumeric("Infinity"));
  if (below > 0) return NotNull(SpecialNumeric("-Infinity"));
  int scale = aggregate.scale;
  if (aggregate.kind == SumKind::kNumeric)
    for (scale = kNumericScales - 1; scale > 0 && words[8 + scale] == 0;) scale--;
  const Datum sum = FromDecimal(&words[4], scale);
  return NotNull(IsAverage(aggregate.call->aggfnoid) ? Ratio(sum, count) : sum);
}

Datum BitsOf(Oid type, uint64_t bits) {
  switch (type) {
    case INT2OID: return Int16GetDatum(static_cast<int16>(bits));
    case INT4OID: return Int32GetDatum(static_cast<int32>(bits));
    default: return Int64GetDatum(static_cast<int64>(bits));
  }
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

bool AddRow(const Program *program, Sum *sum, const RowValues &row, bool away, GroupIndex *index) {
  unsigned char key[kMaxKey];
  uint32_t key_size;
  if (!MakeKey(program, row, key, &key_size)) return false;
  uint64_t *words = GroupWords(program, sum, key, key_size, index);
  if (words == nullptr) return false;
  const int64_t sign = away ? -1 : 1;
  AddSigned(words, 1, sign);
  for (int i = 0; i < program->aggregate_count; i++) {
    const KeptAggregate &aggregate = program->aggregates[i];
    if (!row.counts[i] || (aggregate.argument && row.arguments[i].isnull)) continue;
    if (!AddValue(aggregate, row.arguments[i].value, sign, words + aggregate.words)) return false;
  }
  return true;
}

NullableDatum FinishAggregate(const KeptAggregate &aggregate, const uint64_t *words) {
  const uint64_t count = words[0];
  const bool average = IsAverage(aggregate.call->aggfnoid);
  switch (aggregate.kind) {
    case SumKind::kNumber: return NotNull(Int64GetDatum(static_cast<int64>(count)));
    case SumKind::kNarrow:
      if (count == 0) return kNull;
      if (!average) return NotNull(Int64GetDatum(static_cast<int64>(words[1])));
      return NotNull(Ratio(NumericGetDatum(int64_to_numeric(static_cast<int64>(words[1]))), count));
    case SumKind::kWide:
      if (count == 0) return kNull;
      return NotNull(average ? Ratio(FromWide(&words[1]), count) : FromWide(&words[1]));
    case SumKind::kNumeric:
    case SumKind::kScaled: return FinishNumeric(aggregate, words);
    case SumKind::kTruth:
      if (words[0] + words[1] == 0) return kNull;
      return NotNull(BoolGetDatum(aggregate.call->aggfnoid == F_BOOL_OR ? words[0] > 0 : words[1] == 0));
    case SumKind::kBits:
      if (count == 0) return kNull;
      return NotNull(BitsOf(aggregate.call->aggtype, words[1]));
  }
  return kNull;
}

void ReadGroup(const Program *program, const unsigned char *key, NullableDatum *groups) {
  int i = 0;
  ListCell *cell;
  foreach (cell, program->groups) {
    int16 length;
    bool by_value;
    get_typlenbyval(exprType(static_cast<Node *>(lfirst(cell))), &length, &by_value);
    NullableDatum *group = &groups[i++];
    *group = kNull;
    if (*key++) continue;
    group->isnull = false;
    uint32_t size = static_cast<uint32_t>(length);
    if (by_value) {
      alignas(sizeof(Datum)) char bytes[sizeof(Datum)];
      memcpy(bytes, key, size);
      group->value = fetch_att(bytes, true, length);
      key += size;
      continue;
    }
    if (length < 0) {
      memcpy(&size, key, sizeof(size));
      key += sizeof(size);
    }
    const uint32_t header = length < 0 ? VARHDRSZ : 0;
    char *copy = static_cast<char *>(palloc(header + size));
    if (length < 0) SET_VARSIZE(copy, header + size);
    memcpy(copy + header, key, size);
    key += size;
    group->value = PointerGetDatum(copy);
  }
}

}  // namespace aggcache
