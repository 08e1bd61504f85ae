// Makes tuplestores of the bytes of a result. Keeps who takes rows one by one, if anybody does.

#include "pg/base/server.h"

#include "pg/call/return_rows.h"

namespace aggcache {

namespace {

const RowTaker *row_taker = nullptr;

bool IsTaker(const ReturnSetInfo *info) { return row_taker != nullptr && row_taker->info == info; }

void HandOutRows(const char *data, int64 count) {
  const char *at = data + sizeof(int64);
  for (int64 i = 0; i < count; i++) {
    auto *row = reinterpret_cast<MinimalTuple>(const_cast<char *>(at));
    row_taker->take(row_taker->context, row);
    at += MAXALIGN(row->t_len);
  }
}

}  // namespace

const RowTaker *SetRowTaker(const RowTaker *taker) {
  const RowTaker *before = row_taker;
  row_taker = taker;
  return before;
}

void ReturnTuplestore(const ResultShape &shape, Tuplestorestate *rows, ReturnSetInfo *info) {
  if (IsTaker(info)) row_taker->expect(row_taker->context, shape.descriptor);
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
  if (IsTaker(info)) {
    row_taker->expect(row_taker->context, shape.descriptor);
    HandOutRows(data, count);
    info->returnMode = SFRM_Materialize;
    info->setResult = nullptr;
    return;
  }
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
