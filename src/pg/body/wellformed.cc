// Which types can be checked, and the walk over rows and columns. Within a value: value_bytes.cc.

#include "pg/base/server.h"

#include "pg/body/wellformed.h"

#include "pg/body/value_bytes.h"

namespace aggcache {

namespace {

ValueKind KindOfBuiltIn(Oid type) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case OIDOID:
    case CHAROID:
    case CASHOID:
    case XIDOID:
    case XID8OID:
    case CIDOID:
    case PG_LSNOID:
    case UUIDOID:
    case INTERVALOID:
    case MACADDROID:
    case MACADDR8OID:
    case POINTOID:
    case LSEGOID:
    case BOXOID:
    case LINEOID:
    case CIRCLEOID:
    case REGCLASSOID:
    case REGTYPEOID:
    case REGPROCOID:
    case REGPROCEDUREOID:
    case REGOPEROID:
    case REGOPERATOROID:
    case REGROLEOID:
    case REGNAMESPACEOID:
    case REGCOLLATIONOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID: return ValueKind::kAny;
    case BOOLOID: return ValueKind::kBool;
    case DATEOID: return ValueKind::kDate;
    case TIMEOID: return ValueKind::kTime;
    case TIMETZOID: return ValueKind::kTimeTz;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: return ValueKind::kTimestamp;
    case NAMEOID: return ValueKind::kName;
    case BYTEAOID: return ValueKind::kBytes;
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case JSONOID: return ValueKind::kText;
    case NUMERICOID: return ValueKind::kNumeric;
    case BITOID:
    case VARBITOID: return ValueKind::kBits;
    case INETOID:
    case CIDROID: return ValueKind::kInet;
    case JSONBOID: return ValueKind::kJsonb;
    default: return ValueKind::kUnknown;
  }
}

ValueCheck CheckOf(Oid declared);

// Has the elements or bounds checked, if that can be done; else the check stays kUnknown.
void LookInto(ValueCheck *check, ValueKind kind, Oid type, Oid element) {
  auto *inner = static_cast<ValueCheck *>(palloc(sizeof(ValueCheck)));
  *inner = CheckOf(element);
  if (inner->kind == ValueKind::kUnknown) return;
  check->kind = kind;
  check->type = type;
  check->element = inner;
}

ValueCheck CheckOf(Oid declared) {
  const Oid type = getBaseType(declared);
  ValueCheck check = {};
  get_typlenbyvalalign(type, &check.length, &check.by_value, &check.alignment);
  check.kind = KindOfBuiltIn(type);
  // These two are arrays that are read as if they had one dimension, whatever they say.
  if (check.kind != ValueKind::kUnknown || type == INT2VECTOROID || type == OIDVECTOROID) return check;
  const Oid element = get_element_type(type);
  if (OidIsValid(element)) {
    LookInto(&check, ValueKind::kArray, element, element);
    return check;
  }
  switch (get_typtype(type)) {
    case TYPTYPE_ENUM:
      check.kind = ValueKind::kEnum;
      check.type = type;
      break;
    case TYPTYPE_RANGE: LookInto(&check, ValueKind::kRange, type, get_range_subtype(type)); break;
    default: break;
  }
  return check;
}

// A row, as its header would be in a table; of a minimal tuple the part before t_infomask2 is somewhere else.
bool IsRow(const ResultChecks &checks, HeapTupleHeader header, Size size) {
  if (size < SizeofHeapTupleHeader) return false;
  const int count = HeapTupleHeaderGetNatts(header);
  const bool has_nulls = (header->t_infomask & HEAP_HASNULL) != 0;
  if (count > checks.count || (header->t_infomask & (HEAP_HASEXTERNAL | HEAP_HASOID_OLD)) != 0) return false;
  const Size offset = MAXALIGN(SizeofHeapTupleHeader + (has_nulls ? BITMAPLEN(count) : 0));
  if (header->t_hoff != offset || offset > size) return false;
  const char *at = reinterpret_cast<const char *>(header) + offset;
  const char *end = reinterpret_cast<const char *>(header) + size;
  for (int i = 0; i < count; i++) {
    if (has_nulls && att_isnull(i, header->t_bits)) continue;
    const ValueCheck &check = checks.values[i];
    // Without this flag offsets of earlier rows are taken for those of this one.
    if (check.length < 0 && (header->t_infomask & HEAP_HASVARWIDTH) == 0) return false;
    if (!TakeValue(check, &at, end, true)) return false;
  }
  return end - at < MAXIMUM_ALIGNOF;
}

bool IsRowDatum(const ResultShape &shape, const char *value, Size size) {
  auto *header = reinterpret_cast<HeapTupleHeader>(const_cast<char *>(value));
  // The rest of what the header says of the type is set when the value is decoded.
  return IsRow(*shape.checks, header, size) && HeapTupleHeaderGetTypeId(header) == shape.descriptor->tdtypeid;
}

// Whether bytes are a result of one value.
bool IsScalar(const ResultShape &shape, const char *data, Size size, bool proven) {
  const int64 is_null = *reinterpret_cast<const int64 *>(data);
  if (is_null != 0) return is_null == 1 && size == sizeof(int64);
  const Size length = size - sizeof(int64);
  const char *value = data + sizeof(int64);
  const char *end = data + size;
  if (shape.by_value) {
    if (length != sizeof(Datum)) return false;
    return proven || IsDatum(shape.checks->values[0], *reinterpret_cast<const Datum *>(value));
  }
  if (shape.length > 0 && length != static_cast<Size>(shape.length)) return false;
  if (shape.length == -2 && (length == 0 || memchr(value, '\0', length) != end - 1)) return false;
  if (shape.length == -1) {
    // uncompressed and not a pointer to elsewhere
    if (length < 1 || VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value)) return false;
    if (!VARATT_IS_1B(value) && length < VARHDRSZ) return false;
    if (VARSIZE_ANY(value) != length) return false;
  }
  if (shape.returns_tuple && (length < SizeofHeapTupleHeader || !VARATT_IS_4B(value))) return false;
  if (proven) return true;
  if (shape.returns_tuple) return IsRowDatum(shape, value, length);
  return TakeValue(shape.checks->values[0], &value, end, false) && value == end;
}

}  // namespace

const ResultChecks *MakeResultChecks(const ResultShape &shape) {
  const int count = shape.descriptor != nullptr ? shape.descriptor->natts : 1;
  auto *checks = static_cast<ResultChecks *>(palloc0(offsetof(ResultChecks, values) + sizeof(ValueCheck) * count));
  checks->complete = true;
  checks->count = count;
  for (int i = 0; i < count; i++) {
    Oid type = shape.type;
    if (shape.descriptor != nullptr) {
      // A dropped column is always null; kUnknown refuses anything else.
      if (TupleDescAttr(shape.descriptor, i)->attisdropped) continue;
      type = TupleDescAttr(shape.descriptor, i)->atttypid;
    }
    if (OidIsValid(type)) checks->values[i] = CheckOf(type);
    if (checks->values[i].kind == ValueKind::kUnknown) checks->complete = false;
  }
  return checks;
}

bool IsWellFormed(const ResultShape &shape, const char *data, Size size, bool proven) {
  if (size < sizeof(int64)) return false;
  if (!shape.returns_set) return IsScalar(shape, data, size, proven);
  const int64 count = *reinterpret_cast<const int64 *>(data);
  Size at = sizeof(int64);
  if (count < 0) return false;
  for (int64 i = 0; i < count; i++) {
    if (size - at < MAXALIGN(SizeofMinimalTupleHeader)) return false;
    auto *row = reinterpret_cast<MinimalTuple>(const_cast<char *>(data + at));
    const Size length = row->t_len;
    if (length < SizeofMinimalTupleHeader || MAXALIGN(length) > size - at) return false;
    if (shape.descriptor && HeapTupleHeaderGetNatts(row) > shape.descriptor->natts) return false;
    auto *header = reinterpret_cast<HeapTupleHeader>(const_cast<char *>(data + at) - MINIMAL_TUPLE_OFFSET);
    if (!proven && !IsRow(*shape.checks, header, length + MINIMAL_TUPLE_OFFSET)) return false;
    at += MAXALIGN(length);
  }
  return at == size;
}

}  // namespace aggcache
