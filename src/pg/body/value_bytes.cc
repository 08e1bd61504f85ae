// Each kind of value as PostgreSQL's own functions read it (utils/adt): what they take for granted is checked.

#include "pg/base/server.h"

#include "pg/body/value_bytes.h"

extern "C" {
#include "access/toast_compression.h"
#include "catalog/pg_enum.h"
#include "common/pg_lzcompress.h"
#include "utils/array.h"
#include "utils/inet.h"
#include "utils/jsonb.h"
#include "utils/rangetypes.h"
#include "utils/varbit.h"
}

#ifdef USE_LZ4
#include <lz4.h>
#endif

namespace aggcache {

namespace {

bool IsEnumValue(Oid type, Oid value) {
  HeapTuple row = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
  if (!HeapTupleIsValid(row)) return false;
  const bool is_of_type = reinterpret_cast<Form_pg_enum>(GETSTRUCT(row))->enumtypid == type;
  ReleaseSysCache(row);
  return is_of_type;
}

bool IsTimeOfDay(int64 time) { return time >= 0 && time <= USECS_PER_DAY; }

// In the encoding of the database, by which its functions step from character to character.
bool IsText(const char *bytes, Size size) {
  return size <= MaxAllocSize && pg_verify_mbstr(GetDatabaseEncoding(), bytes, static_cast<int>(size), true);
}

// Whether bytes of a type that has a fixed length and is passed by reference are a value.
bool IsFixedLengthValue(const ValueCheck &check, const char *bytes) {
  switch (check.kind) {
    case ValueKind::kAny: return true;
    case ValueKind::kName: return memchr(bytes, '\0', NAMEDATALEN) != nullptr && IsText(bytes, strlen(bytes));
    case ValueKind::kTimeTz: {
      const auto *time = reinterpret_cast<const TimeTzADT *>(bytes);
      return IsTimeOfDay(time->time) && time->zone > -TZDISP_LIMIT && time->zone < TZDISP_LIMIT;
    }
    default: return false;
  }
}

// ---- Varlenas ----------------------------------------------------------------------------------------------------

// The value of a varlena without its header.
struct Body {
  const char *bytes;
  Size size;
};

// A digit or a header of a numeric, which need not be aligned.
uint16 ShortAt(const Body &body, Size index) {
  uint16 number;
  memcpy(&number, body.bytes + index * sizeof(number), sizeof(number));
  return number;
}

// The format is that of utils/adt/numeric.c: a header of two bytes (short, or NaN and infinities) or four, then digits
// to the base of 10000, the first and the last of which are not zero.
bool IsNumeric(const Body &body) {
  if (body.size < sizeof(uint16) || body.size % sizeof(uint16) != 0) return false;
  const Size count = body.size / sizeof(uint16);
  const uint16 header = ShortAt(body, 0);
  if ((header & 0xC000) == 0xC000) return count == 1 && (header == 0xC000 || header == 0xD000 || header == 0xF000);
  const bool is_short = (header & 0x8000) != 0;
  const Size first = is_short ? 1 : 2;
  if (count < first) return false;
  if (count == first) {
    // zero has no sign and no weight
    return is_short ? (header & 0x207F) == 0 : (header & 0xC000) == 0 && ShortAt(body, 1) == 0;
  }
  for (Size i = first; i < count; i++)
    if (ShortAt(body, i) >= 10000) return false;
  return ShortAt(body, first) != 0 && ShortAt(body, count - 1) != 0;
}

bool IsBits(const Body &body) {
  if (body.size < sizeof(int32)) return false;
  int32 bits;
  memcpy(&bits, body.bytes, sizeof(bits));
  const Size bytes = body.size - sizeof(int32);
  if (bits < 0 || bytes != (static_cast<Size>(bits) + BITS_PER_BYTE - 1) / BITS_PER_BYTE) return false;
  // those behind the last bit are zero
  const int spare = static_cast<int>(bytes * BITS_PER_BYTE - static_cast<Size>(bits));
  return bytes == 0 || (body.bytes[body.size - 1] & ((1 << spare) - 1)) == 0;
}

bool IsInet(const Body &body) {
  constexpr Size kAddress = offsetof(inet_struct, ipaddr);
  if (body.size < kAddress) return false;
  const auto *inet = reinterpret_cast<const inet_struct *>(body.bytes);
  if (inet->family == PGSQL_AF_INET) return body.size == kAddress + 4 && inet->bits <= 32;
  return inet->family == PGSQL_AF_INET6 && body.size == kAddress + 16 && inet->bits <= 128;
}

// Of a varlena that is whole: the header's length is that of the value, and it is no pointer.
bool UnpackVarlena(const char *value, const char *end, Body *body, Size *taken) {
  if (value >= end || VARATT_IS_1B_E(value)) return false;
  const auto room = static_cast<Size>(end - value);
  if (VARATT_IS_1B(value)) {
    *taken = VARSIZE_1B(value);
    if (*taken < VARHDRSZ_SHORT || *taken > room) return false;
    *body = {value + VARHDRSZ_SHORT, *taken - VARHDRSZ_SHORT};
    return true;
  }
  if (reinterpret_cast<uintptr_t>(value) % ALIGNOF_INT != 0 || room < VARHDRSZ) return false;
  *taken = VARSIZE_4B(value);
  if (*taken < VARHDRSZ || *taken > room) return false;
  *body = {value + VARHDRSZ, *taken - VARHDRSZ};
  return true;
}

// ---- jsonb -------------------------------------------------------------------------------------------------------

bool IsJsonbContainer(const char *bytes, Size size, bool is_root);

// The value of an entry that takes the bytes from `begin` to `end` of the container's data, which are aligned.
bool IsJsonbValue(JEntry entry, const char *data, Size begin, Size end) {
  const Size aligned = INTALIGN(begin);
  switch (entry & JENTRY_TYPEMASK) {
    case JENTRY_ISSTRING: return IsText(data + begin, end - begin);
    case JENTRY_ISNUMERIC: {
      Body body;
      Size taken;
      return aligned < end && !VARATT_IS_4B_C(data + aligned) &&
             UnpackVarlena(data + aligned, data + end, &body, &taken) && taken == end - aligned && IsNumeric(body);
    }
    case JENTRY_ISBOOL_FALSE:
    case JENTRY_ISBOOL_TRUE:
    case JENTRY_ISNULL: return begin == end;
    case JENTRY_ISCONTAINER: return aligned < end && IsJsonbContainer(data + aligned, end - aligned, false);
    default: return false;
  }
}

// utils/jsonb.h: a header, an entry for each element or each key and then each value, and their data. An entry says
// where its data end, or how long they are, and they begin where those of the entry before end.
bool IsJsonbContainer(const char *bytes, Size size, bool is_root) {
  if (size < sizeof(uint32) || stack_is_too_deep()) return false;
  const auto *container = reinterpret_cast<const JsonbContainer *>(bytes);
  const Size count = container->header & JB_CMASK;
  const uint32 flags = container->header & ~JB_CMASK;
  const bool is_object = flags == JB_FOBJECT, is_scalar = flags == (JB_FARRAY | JB_FSCALAR);
  if (!is_object && flags != JB_FARRAY && !(is_scalar && is_root && count == 1)) return false;
  const Size entries = is_object ? 2 * count : count;
  const Size head = sizeof(uint32) + entries * sizeof(JEntry);
  if (head > size) return false;
  const char *data = bytes + head;
  Size begin = 0;
  for (Size i = 0; i < entries; i++) {
    const JEntry entry = container->children[i];
    const Size end = JBE_OFFLENFLD(entry) + (JBE_HAS_OFF(entry) ? 0 : begin);
    if (end < begin || end > size - head) return false;
    if (is_object && i < count && !JBE_ISSTRING(entry)) return false;
    if (is_scalar && JBE_ISCONTAINER(entry)) return false;
    if (!IsJsonbValue(entry, data, begin, end)) return false;
    begin = end;
  }
  return begin == size - head;
}

// ---- Arrays and ranges, uncompressed, with a long header, aligned ------------------------------------------------

bool IsArray(const ValueCheck &check, const char *bytes, Size size) {
  if (size < sizeof(ArrayType)) return false;
  auto *array = reinterpret_cast<ArrayType *>(const_cast<char *>(bytes));
  const int dimensions = ARR_NDIM(array);
  if (dimensions < 0 || dimensions > MAXDIM || ARR_ELEMTYPE(array) != check.type) return false;
  const Size head = ARR_OVERHEAD_NONULLS(dimensions);
  if (size < head) return false;
  if (dimensions == 0) return array->dataoffset == 0 && size - head < MAXIMUM_ALIGNOF;
  int64 count = 1;
  for (int i = 0; i < dimensions; i++) {
    int32 bound;
    count *= ARR_DIMS(array)[i];
    if (ARR_DIMS(array)[i] <= 0 || count > static_cast<int64>(MaxArraySize) ||
        pg_add_s32_overflow(ARR_LBOUND(array)[i], ARR_DIMS(array)[i], &bound))
      return false;
  }
  const char *at = bytes + head;
  const char *end = bytes + size;
  const bits8 *nulls = nullptr;
  if (array->dataoffset != 0) {
    const Size data = ARR_OVERHEAD_WITHNULLS(dimensions, count);
    if (array->dataoffset < 0 || static_cast<Size>(array->dataoffset) != data || data > size) return false;
    at = bytes + data;
    nulls = ARR_NULLBITMAP(array);
  }
  for (int64 i = 0; i < count; i++) {
    if (nulls != nullptr && att_isnull(i, nulls)) continue;
    if (!TakeValue(*check.element, &at, end, false)) return false;
  }
  return end - at < MAXIMUM_ALIGNOF;
}

bool IsRange(const ValueCheck &check, const char *bytes, Size size) {
  if (size < sizeof(RangeType) + 1) return false;
  if (RangeTypeGetOid(reinterpret_cast<const RangeType *>(bytes)) != check.type) return false;
  const char *at = bytes + sizeof(RangeType);
  const char *end = bytes + size - 1;
  const auto flags = static_cast<unsigned char>(*end);
  if ((flags & (RANGE_LB_NULL | RANGE_UB_NULL | RANGE_CONTAIN_EMPTY)) != 0) return false;
  if (RANGE_HAS_LBOUND(flags) && !TakeValue(*check.element, &at, end, true)) return false;
  if (RANGE_HAS_UBOUND(flags) && !TakeValue(*check.element, &at, end, true)) return false;
  return at == end;
}

// Whether the bytes behind a header are a value, of a type whose values may lie anywhere.
bool IsBody(const ValueCheck &check, const Body &body) {
  switch (check.kind) {
    case ValueKind::kBytes: return true;
    case ValueKind::kText: return IsText(body.bytes, body.size);
    case ValueKind::kNumeric: return IsNumeric(body);
    case ValueKind::kBits: return IsBits(body);
    case ValueKind::kInet: return IsInet(body);
    default: return false;
  }
}

bool NeedsAlignment(ValueKind kind) {
  return kind == ValueKind::kJsonb || kind == ValueKind::kArray || kind == ValueKind::kRange;
}

// A varlena that begins at a multiple of MAXALIGN and has a long header.
bool IsWhole(const ValueCheck &check, const char *bytes, Size size) {
  switch (check.kind) {
    case ValueKind::kJsonb: return IsJsonbContainer(bytes + VARHDRSZ, size - VARHDRSZ, true);
    case ValueKind::kArray: return IsArray(check, bytes, size);
    case ValueKind::kRange: return IsRange(check, bytes, size);
    default: return IsBody(check, {bytes + VARHDRSZ, size - VARHDRSZ});
  }
}

// As many bytes as the value takes with a long header, or NULL.
char *MakeVarlena(Size size) {
  if (size > MaxAllocSize - VARHDRSZ) return nullptr;
  auto *room = static_cast<char *>(palloc_extended(VARHDRSZ + size, MCXT_ALLOC_NO_OOM));
  if (room != nullptr) SET_VARSIZE(room, VARHDRSZ + size);
  return room;
}

// Columns of tables may be compressed where they are. What comes out is what whoever reads the value gets; NULL: it
// would get an error.
char *Decompress(const char *value, Size size) {
  if (size < VARHDRSZ_COMPRESSED) return nullptr;
  const Size source_size = size - VARHDRSZ_COMPRESSED;
  const Size raw_size = VARDATA_COMPRESSED_GET_EXTSIZE(value);
  // More than that no byte can become, of either method.
  if (raw_size / 255 > source_size) return nullptr;
  char *raw = MakeVarlena(raw_size);
  if (raw == nullptr) return nullptr;
  const char *source = value + VARHDRSZ_COMPRESSED;
  int32 made = -1;
  const auto method = VARDATA_COMPRESSED_GET_COMPRESS_METHOD(value);
  if (method == TOAST_PGLZ_COMPRESSION_ID)
    made = pglz_decompress(source, static_cast<int32>(source_size), raw + VARHDRSZ, static_cast<int32>(raw_size), true);
#ifdef USE_LZ4
  if (method == TOAST_LZ4_COMPRESSION_ID)
    made = LZ4_decompress_safe(source, raw + VARHDRSZ, static_cast<int>(source_size), static_cast<int>(raw_size));
#endif
  if (made == static_cast<int32>(raw_size)) return raw;
  pfree(raw);
  return nullptr;
}

// Whether a varlena begins there, in any form that it can have in a row; *taken is how many bytes it takes.
bool IsVarlena(const ValueCheck &check, const char *value, const char *end, Size *taken) {
  Body body;
  if (!UnpackVarlena(value, end, &body, taken)) return false;
  char *copy = nullptr;
  if (!VARATT_IS_1B(value) && VARATT_IS_4B_C(value)) {
    copy = Decompress(value, *taken);
    if (copy == nullptr) return false;
  } else if (!NeedsAlignment(check.kind)) {
    return IsBody(check, body);
  } else if (VARATT_IS_1B(value) || reinterpret_cast<uintptr_t>(value) % MAXIMUM_ALIGNOF != 0) {
    // as it will be when it is read; the type's own alignment can be less
    copy = MakeVarlena(body.size);
    if (copy == nullptr) return false;
    memcpy(copy + VARHDRSZ, body.bytes, body.size);
  }
  const char *whole = copy != nullptr ? copy : value;
  const bool is_value = IsWhole(check, whole, VARSIZE_4B(whole));
  if (copy != nullptr) pfree(copy);
  return is_value;
}

}  // namespace

bool IsDatum(const ValueCheck &check, Datum value) {
  // A datum is what is read from a row: nothing else is in its upper bytes.
  int64 bytes = 0;
  store_att_byval(&bytes, value, check.length);
  if (fetch_att(reinterpret_cast<char *>(&bytes), true, check.length) != value) return false;
  switch (check.kind) {
    case ValueKind::kAny: return true;
    case ValueKind::kBool: return value == BoolGetDatum(false) || value == BoolGetDatum(true);
    case ValueKind::kDate: {
      const DateADT date = DatumGetDateADT(value);
      return DATE_NOT_FINITE(date) || IS_VALID_DATE(date);
    }
    case ValueKind::kTime: return IsTimeOfDay(DatumGetTimeADT(value));
    case ValueKind::kTimestamp: {
      const Timestamp timestamp = DatumGetTimestamp(value);
      return TIMESTAMP_NOT_FINITE(timestamp) || IS_VALID_TIMESTAMP(timestamp);
    }
    case ValueKind::kEnum: return IsEnumValue(check.type, DatumGetObjectId(value));
    default: return false;
  }
}

bool TakeValue(const ValueCheck &check, const char **at, const char *end, bool packs) {
  const char *value = *at;
  if (check.kind == ValueKind::kUnknown || value >= end) return false;
  if (!packs || check.length != -1 || *value == 0)
    value = reinterpret_cast<const char *>(att_align_nominal(reinterpret_cast<uintptr_t>(value), check.alignment));
  if (value >= end) return false;
  auto taken = static_cast<Size>(check.length);
  if (check.length == -1) {
    if (!IsVarlena(check, value, end, &taken)) return false;
  } else if (check.length <= 0 || static_cast<Size>(end - value) < taken) {
    return false;
  } else if (check.by_value ? !IsDatum(check, fetch_att(value, true, check.length))
                            : !IsFixedLengthValue(check, value)) {
    return false;
  }
  *at = value + taken;
  return true;
}

}  // namespace aggcache
