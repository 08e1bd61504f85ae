// Values are kept as they lie in memory; FingerprintRowType says who can read them. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/result_bytes.h"

namespace aggcache {

uint64_t FingerprintRowType(const ResultShape &shape) {
  uint64_t fingerprint = hash_combine64(compat::kMajorVersion, MAXIMUM_ALIGNOF << 8 | sizeof(Datum));
  auto mix = [&](uint64_t number) { fingerprint = hash_combine64(fingerprint, number); };
  mix(shape.type);
  mix(static_cast<uint64_t>(shape.returns_set) << 1 | static_cast<uint64_t>(shape.returns_tuple));
  mix(static_cast<uint64_t>(static_cast<uint16_t>(shape.length)) << 1 | static_cast<uint64_t>(shape.by_value));
  for (int i = 0; shape.descriptor != nullptr && i < shape.descriptor->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(shape.descriptor, i);
    mix(static_cast<uint64_t>(column->atttypid) << 32 | static_cast<uint32_t>(column->atttypmod));
    mix(static_cast<uint64_t>(static_cast<uint16_t>(column->attlen)) << 16 |
        static_cast<uint64_t>(static_cast<unsigned char>(column->attalign)) << 8 |
        static_cast<uint64_t>(column->attbyval) << 1 | static_cast<uint64_t>(column->attisdropped));
  }
  return fingerprint;
}

namespace {

constexpr char kOtherRows[] = "function return row and query-specified return row do not match";

void RefuseRows(const char *detail) {
  ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("%s", kOtherRows), errdetail("%s", detail)));
}

}  // namespace

void RequireRowType(const ResultShape &shape, TupleDesc expected) {
  TupleDesc returned = shape.descriptor;
  if (returned->natts != expected->natts)
    RefuseRows(
        psprintf("Returned row contains %d attributes, but query expects %d.", returned->natts, expected->natts));
  for (int i = 0; i < expected->natts; i++) {
    Form_pg_attribute from = TupleDescAttr(returned, i), to = TupleDescAttr(expected, i);
    if (to->attisdropped) {
      if (from->attlen != to->attlen || from->attalign != to->attalign)
        RefuseRows(psprintf("Physical storage mismatch on dropped attribute at ordinal position %d.", i + 1));
      continue;
    }
    // In a row, binary compatible types are laid out alike.
    if (from->attisdropped || !IsBinaryCoercible(from->atttypid, to->atttypid))
      RefuseRows(psprintf("Returned type %s at ordinal position %d, but query expects %s.",
                          from->attisdropped ? "-" : format_type_be(from->atttypid), i + 1,
                          format_type_be(to->atttypid)));
  }
}

void RequireCurrentRowType(const ResultShape &shape, FunctionCallInfo fcinfo) {
  if (!shape.returns_tuple || shape.type == RECORDOID) return;
  // A function in FROM has its rows read as the query expects them.
  auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  if (shape.returns_set && (info->allowedModes & SFRM_Materialize_Preferred) != 0) return;
  if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(shape.type)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("type with OID %u does not exist", shape.type)));
  TupleDesc now = lookup_rowtype_tupdesc_noerror(getBaseType(shape.type), -1, true);
  bool same = now != nullptr && now->natts == shape.descriptor->natts;
  for (int i = 0; same && i < now->natts; i++) {
    Form_pg_attribute then = TupleDescAttr(shape.descriptor, i), attribute = TupleDescAttr(now, i);
    same = then->atttypid == attribute->atttypid && then->attlen == attribute->attlen &&
           then->attisdropped == attribute->attisdropped;
  }
  if (now) ReleaseTupleDesc(now);
  if (!same) RefuseRows(psprintf("Row type %s was changed while the statement ran.", format_type_be(shape.type)));
}

ResultBytes EncodeScalar(const ResultShape &shape, Datum value, bool is_null, Size limit) {
  ResultBytes bytes = {nullptr, sizeof(int64), false};
  if (is_null) {
    bytes.data = static_cast<char *>(palloc0(bytes.size));
    *reinterpret_cast<int64 *>(bytes.data) = 1;
    return bytes;
  }
  if (shape.by_value) {
    bytes.size += sizeof(Datum);
    bytes.data = static_cast<char *>(palloc0(bytes.size));
    *reinterpret_cast<Datum *>(bytes.data + sizeof(int64)) = value;
    return bytes;
  }
  if (shape.length == -1) value = PointerGetDatum(PG_DETOAST_DATUM(value));
  Size length = datumGetSize(value, false, shape.length);
  bytes.size += length;
  if (bytes.size > limit) {
    bytes.too_large = true;
    return bytes;
  }
  bytes.data = static_cast<char *>(palloc0(bytes.size));
  memcpy(bytes.data + sizeof(int64), DatumGetPointer(value), length);
  return bytes;
}

ResultBytes EncodeRows(const ResultShape &shape, Tuplestorestate *rows, Size limit) {
  // Measured first: no memory is taken for what turns out to be too large.
  ResultBytes bytes = {nullptr, sizeof(int64), false};
  TupleTableSlot *slot = MakeSingleTupleTableSlot(shape.descriptor, &TTSOpsMinimalTuple);
  bool should_free;
  while (!bytes.too_large && tuplestore_gettupleslot(rows, true, false, slot)) {
    MinimalTuple row = ExecFetchSlotMinimalTuple(slot, &should_free);
    bytes.size += MAXALIGN(row->t_len);
    bytes.too_large = bytes.size > limit;
    if (should_free) heap_free_minimal_tuple(row);
  }
  tuplestore_rescan(rows);
  if (!bytes.too_large) {
    bytes.data = static_cast<char *>(
        MemoryContextAllocExtended(CurrentMemoryContext, bytes.size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
    int64 count = 0;
    char *at = bytes.data + sizeof(count);
    while (tuplestore_gettupleslot(rows, true, false, slot)) {
      MinimalTuple row = ExecFetchSlotMinimalTuple(slot, &should_free);
      memcpy(at, row, row->t_len);
      at += MAXALIGN(row->t_len);
      count++;
      if (should_free) heap_free_minimal_tuple(row);
    }
    memcpy(bytes.data, &count, sizeof(count));
    tuplestore_rescan(rows);
  }
  ExecDropSingleTupleTableSlot(slot);
  return bytes;
}

Datum DecodeScalar(const ResultShape &shape, const char *data, Size size, bool *is_null) {
  *is_null = *reinterpret_cast<const int64 *>(data) != 0;
  if (*is_null) return Datum{0};
  if (shape.by_value) return *reinterpret_cast<const Datum *>(data + sizeof(int64));
  Size length = size - sizeof(int64);
  const char *value = data + sizeof(int64);
  if (shape.returns_tuple) {
    // What a row's header says of its type is made anew: the type modifier of an anonymous one is another one in every
    // session, and some builds of PostgreSQL keep a version there. The bytes are this session's own copy.
    HeapTupleData row;
    memset(&row, 0, sizeof(row));
    row.t_len = static_cast<uint32>(length);
    row.t_data = reinterpret_cast<HeapTupleHeader>(const_cast<char *>(value));
    memset(row.t_data, 0, offsetof(HeapTupleHeaderData, t_infomask2));
    return heap_copy_tuple_as_datum(&row, shape.descriptor);
  }
  char *copy = static_cast<char *>(palloc(length));
  memcpy(copy, value, length);
  return PointerGetDatum(copy);
}

}  // namespace aggcache
