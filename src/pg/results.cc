#include "pg/server.h"

#include "pg/results.h"

namespace aggcache {

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
  StringInfoData text;
  initStringInfo(&text);
  int64 count = 0;
  appendBinaryStringInfo(&text, reinterpret_cast<char *>(&count), sizeof(count));
  TupleTableSlot *slot = MakeSingleTupleTableSlot(shape.descriptor, &TTSOpsMinimalTuple);
  bool too_large = false;
  while (!too_large && tuplestore_gettupleslot(rows, true, false, slot)) {
    bool should_free;
    MinimalTuple row = ExecFetchSlotMinimalTuple(slot, &should_free);
    static const char padding[MAXIMUM_ALIGNOF] = {0};
    Size padded = MAXALIGN(row->t_len);
    if (text.len + padded > limit) {
      too_large = true;
    } else {
      appendBinaryStringInfo(&text, reinterpret_cast<char *>(row), static_cast<int>(row->t_len));
      appendBinaryStringInfo(&text, padding, static_cast<int>(padded - row->t_len));
      count++;
    }
    if (should_free) heap_free_minimal_tuple(row);
  }
  ExecDropSingleTupleTableSlot(slot);
  tuplestore_rescan(rows);
  memcpy(text.data, &count, sizeof(count));
  return ResultBytes{text.data, static_cast<Size>(text.len), too_large};
}

Datum DecodeScalar(const ResultShape &shape, const char *data, Size size, bool *is_null) {
  *is_null = *reinterpret_cast<const int64 *>(data) != 0;
  if (*is_null) return Datum{0};
  if (shape.by_value) return *reinterpret_cast<const Datum *>(data + sizeof(int64));
  Size length = size - sizeof(int64);
  char *copy = static_cast<char *>(palloc(length));
  memcpy(copy, data + sizeof(int64), length);
  // The type modifier of an anonymous row type is another one in every session.
  if (shape.returns_tuple && shape.type == RECORDOID)
    HeapTupleHeaderSetTypMod(reinterpret_cast<HeapTupleHeader>(copy), shape.descriptor->tdtypmod);
  return PointerGetDatum(copy);
}

void ReturnTuplestore(const ResultShape &shape, Tuplestorestate *rows, ReturnSetInfo *info) {
  info->returnMode = SFRM_Materialize;
  info->setResult = rows;
  // What the caller expects is what the function declares, so it need not be compared. Of anonymous rows it may know
  // nothing.
  info->setDesc = nullptr;
  if (shape.type == RECORDOID) {
    MemoryContext outer = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
    info->setDesc = CreateTupleDescCopy(shape.descriptor);
    MemoryContextSwitchTo(outer);
  }
}

void ReturnRows(const ResultShape &shape, const char *data, ReturnSetInfo *info) {
  int64 count = *reinterpret_cast<const int64 *>(data);
  MemoryContext outer = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
  Tuplestorestate *rows = tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
  if (count > 0) {
    TupleTableSlot *slot =
        MakeSingleTupleTableSlot(info->expectedDesc ? info->expectedDesc : shape.descriptor, &TTSOpsMinimalTuple);
    const char *at = data + sizeof(int64);
    for (int64 i = 0; i < count; i++) {
      auto *row = reinterpret_cast<MinimalTuple>(const_cast<char *>(at));
      ExecStoreMinimalTuple(row, slot, false);
      tuplestore_puttupleslot(rows, slot);
      at += MAXALIGN(row->t_len);
    }
    ExecDropSingleTupleTableSlot(slot);
  }
  MemoryContextSwitchTo(outer);
  ReturnTuplestore(shape, rows, info);
}

}  // namespace aggcache
