// aggcache.mget(): the calls of a cached function for many arguments, in one statement.
//
// In PostgreSQL's executor a function on the inner side of LATERAL learns its next arguments when it is called with
// them, so that each call that finds its result in Redis waits for a reply of its own. Here all arguments are known:
// the values of a batch of calls are asked for at once, and then the calls are made, each as any other call and under
// the same snapshot. Only the bytes come earlier; whether they may be used is decided in the call.

#include "pg/base/server.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/call/key.h"
#include "pg/call/return_rows.h"
#include "pg/redis/ahead.h"
#include "pg/redis/settings.h"
#include "pg/sql/described_call.h"
#include "pg/sql/inspection.h"

namespace aggcache {

namespace {

struct ManyCalls {
  DescribedCall described;  // the latest of them
  FunctionRow row;
  int count;       // of calls
  Datum **values;  // of each argument, of all calls
  bool **nulls;
  // How the results are returned.
  TupleDesc descriptor;  // of the function's rows
  int column_count;      // of them, those not dropped
  int *columns;          // their places among all
  bool is_set;
  bool is_tuple;
};

// ---- Arguments ---------------------------------------------------------------------------------------------------

// Puts the elements of one array where those of its argument belong.
void TakeArray(ManyCalls *calls, int argument, Datum array, bool is_null, Oid type) {
  Arguments *arguments = &calls->described.arguments;
  Oid element = arguments->given_types[argument] = get_base_element_type(type);
  if (!OidIsValid(element))
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH),
             errmsg("argument %d of mget is of type %s, which is not an array", argument + 2, format_type_be(type))));
  int count = 0;
  if (!is_null) {
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(element, &length, &by_value, &alignment);
    deconstruct_array(DatumGetArrayTypeP(array), element, length, by_value, alignment, &calls->values[argument],
                      &calls->nulls[argument], &count);
  }
  if (argument > 0 && count != calls->count)
    ereport(ERROR,
            (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("the arrays are of different lengths"),
             errdetail("The first has %d elements, that of argument %d has %d.", calls->count, argument + 1, count)));
  calls->count = count;
}

void TakeArrays(FunctionCallInfo fcinfo, ManyCalls *calls) {
  Datum *arrays;
  Oid *types;
  bool *nulls;
  const int given = extract_variadic_args(fcinfo, 1, false, &arrays, &types, &nulls);
  if (given <= 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no arguments are given"),
                    errhint("Give an array for each argument of the function.")));
  if (given > FUNC_MAX_ARGS)
    ereport(ERROR, (errcode(ERRCODE_TOO_MANY_ARGUMENTS),
                    errmsg("cannot pass more than %d arguments to a function", FUNC_MAX_ARGS)));
  calls->values = static_cast<Datum **>(palloc0(sizeof(Datum *) * FUNC_MAX_ARGS));
  calls->nulls = static_cast<bool **>(palloc0(sizeof(bool *) * FUNC_MAX_ARGS));
  calls->described.arguments.given = given;
  for (int i = 0; i < given; i++) TakeArray(calls, i, arrays[i], nulls[i], types[i]);
}

// Makes the arguments of all calls those of the function.
void MakeAllArguments(ManyCalls *calls) {
  DescribedCall *described = &calls->described;
  Arguments *arguments = &described->arguments;
  PrepareArguments(arguments);
  for (int i = arguments->given; i < arguments->count; i++) {
    calls->values[i] = static_cast<Datum *>(palloc_extended(sizeof(Datum) * calls->count, MCXT_ALLOC_HUGE));
    calls->nulls[i] = static_cast<bool *>(palloc_extended(sizeof(bool) * calls->count, MCXT_ALLOC_HUGE));
  }
  const int most = Max(1, arguments->count);
  described->values = static_cast<Datum *>(palloc(sizeof(Datum) * most));
  described->nulls = static_cast<bool *>(palloc(sizeof(bool) * most));
  for (int call = 0; call < calls->count; call++) {
    CHECK_FOR_INTERRUPTS();
    for (int i = 0; i < arguments->given; i++) {
      described->values[i] = calls->values[i][call];
      described->nulls[i] = calls->nulls[i][call];
    }
    MakeArguments(*arguments, described->values, described->nulls, described->values, described->nulls);
    for (int i = 0; i < arguments->count; i++) {
      calls->values[i][call] = described->values[i];
      calls->nulls[i][call] = described->nulls[i];
    }
  }
  EndArguments(arguments);
}

bool SkipsNull(const ManyCalls &calls, int call) {
  const Arguments &arguments = calls.described.arguments;
  for (int i = 0; arguments.strict && i < arguments.count; i++)
    if (calls.nulls[i][call]) return true;
  return false;
}

void SetCall(const ManyCalls &calls, int call, FunctionCallInfo fcinfo) {
  for (int i = 0; i < calls.described.arguments.count; i++) {
    fcinfo->args[i].value = calls.values[i][call];
    fcinfo->args[i].isnull = calls.nulls[i][call];
  }
}

// ---- Reading ahead -----------------------------------------------------------------------------------------------

struct Batch {
  ManyCalls *calls;
  int begin;
  int end;
};

bool IsInSharedMemory(const Key &key) {
  LWLockAcquire(shared::PartitionLock(key.hash), LW_SHARED);
  const bool found = static_cast<bool>(shared::store.Find(key));
  LWLockRelease(shared::PartitionLock(key.hash));
  return found;
}

// Puts the hashes of the keys that may be in Redis into hashes[]; returns how many.
int HashKeys(const Batch &batch, Definition *definition, uint64_t *hashes) {
  const ManyCalls &calls = *batch.calls;
  int count = 0;
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  InitFunctionCallInfoData(*fcinfo, nullptr, static_cast<short>(calls.described.arguments.count),
                           calls.described.arguments.collation, nullptr, nullptr);
  for (int call = batch.begin; call < batch.end; call++) {
    if (SkipsNull(calls, call)) continue;
    SetCall(calls, call, fcinfo);
    if (definition->hidden_count > 0 && !EvaluateHiddenParameters(definition, fcinfo, calls.described.hidden)) continue;
    const Key key = BuildKey(definition, fcinfo, calls.described.hidden);
    if (key.bytes == nullptr) continue;  // too large to be cached
    if (settings::store == kTiered && IsInSharedMemory(key)) continue;
    hashes[count++] = key.hash;
  }
  return count;
}

// Asks for the values of a batch. Runs with the role and the settings of the calls.
void AskForBatch(void *context) {
  auto *batch = static_cast<Batch *>(context);
  // Found anew, for calls within bodies may have looked for others since.
  if (settings::store == kShared || FindDefinitionOf(&batch->calls->described)) return;
  Definition *definition = batch->calls->described.definition;
  uint64_t hashes[kMostAhead];
  int count;
  definition->pins++;
  PG_TRY();
  { count = HashKeys(*batch, definition, hashes); }
  PG_FINALLY();
  { definition->pins--; }
  PG_END_TRY();
  // One alone can as well be asked for when it is called.
  if (count > 1) ReadAhead(definition, hashes, count);
}

// ---- Calling -----------------------------------------------------------------------------------------------------

// Where the rows of all calls go: the number of the call, and the function's columns.
struct Output {
  const ManyCalls *calls;
  Tuplestorestate *rows;
  TupleDesc descriptor;
  Datum *values;
  bool *nulls;
  const int *columns;        // of the function's rows, which go where; see ManyCalls
  TupleTableSlot *slot;      // of the function's rows
  TupleTableSlot *out_slot;  // of those with the number
  int call;                  // the one whose rows come
};

void PutRow(const Output &output, int call) {
  output.values[0] = Int64GetDatum(call + 1);
  output.nulls[0] = false;
  tuplestore_putvalues(output.rows, output.descriptor, output.values, output.nulls);
}

// The row in output.slot.
void PutSlot(const Output &output, int call) {
  slot_getallattrs(output.slot);
  for (int i = 0; i < output.descriptor->natts - 1; i++) {
    output.values[i + 1] = output.slot->tts_values[output.columns[i]];
    output.nulls[i + 1] = output.slot->tts_isnull[output.columns[i]];
  }
  PutRow(output, call);
  ExecClearTuple(output.slot);
}

// The row type can have been altered since the statement began.
void RequireLayout(const ManyCalls &calls, TupleDesc rows) {
  const TupleDesc expected = calls.descriptor;
  bool fits = rows->natts == expected->natts;
  for (int i = 0; fits && i < rows->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(rows, i), wanted = TupleDescAttr(expected, i);
    fits = column->attisdropped == wanted->attisdropped && column->attlen == wanted->attlen &&
           column->attbyval == wanted->attbyval && column->attalign == wanted->attalign &&
           (column->attisdropped || column->atttypid == wanted->atttypid);
  }
  if (!fits)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("function return row and query-specified return row do not match"),
                    errdetail("The row type of function %s was changed meanwhile.",
                              format_procedure(calls.described.arguments.function))));
}

void ExpectRows(void *context, TupleDesc rows) {
  const auto &output = *static_cast<const Output *>(context);
  RequireLayout(*output.calls, rows);
}

void PutValue(const ManyCalls &calls, const Output &output, int call, Datum value, bool is_null) {
  if (!calls.is_tuple) {
    output.values[1] = value;
    output.nulls[1] = is_null;
  } else if (is_null) {
    for (int i = 1; i <= calls.column_count; i++) output.nulls[i] = true;
  } else {
    HeapTupleHeader header = DatumGetHeapTupleHeader(value);
    TupleDesc type = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    RequireLayout(calls, type);
    ReleaseTupleDesc(type);
    HeapTupleData tuple;
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    ItemPointerSetInvalid(&tuple.t_self);
    tuple.t_tableOid = InvalidOid;
    tuple.t_data = header;
    ExecForceStoreHeapTuple(&tuple, output.slot, false);
    PutSlot(output, call);
    return;
  }
  PutRow(output, call);
}

void PutSet(const Output &output, int call, Tuplestorestate *set) {
  while (tuplestore_gettupleslot(set, true, false, output.slot)) PutSlot(output, call);
  tuplestore_end(set);
}

// A row of a hit. The number before its columns moves them by 8 bytes, and no column is aligned to more: so a row
// without nulls can be put together without taking it apart.
void PutHitRow(void *context, MinimalTuple row) {
  const auto &output = *static_cast<const Output *>(context);
  if ((row->t_infomask & HEAP_HASNULL) != 0 || row->t_hoff != MAXALIGN(SizeofHeapTupleHeader) ||
      HeapTupleHeaderGetNatts(row) != output.descriptor->natts - 1) {
    ExecStoreMinimalTuple(row, output.slot, false);
    PutSlot(output, output.call);
    return;
  }
  static_assert(MAXIMUM_ALIGNOF == sizeof(int64), "as said above");
  constexpr Size header = MAXALIGN(SizeofHeapTupleHeader) - MINIMAL_TUPLE_OFFSET;
  auto *numbered = static_cast<MinimalTuple>(palloc(row->t_len + sizeof(int64)));
  const int64 number = output.call + 1;
  char *bytes = reinterpret_cast<char *>(numbered);
  memcpy(bytes, row, header);
  memcpy(bytes + header, &number, sizeof(number));
  memcpy(bytes + header + sizeof(number), reinterpret_cast<char *>(row) + header, row->t_len - header);
  numbered->t_len += sizeof(number);
  HeapTupleHeaderSetNatts(numbered, output.descriptor->natts);
  ExecStoreMinimalTuple(numbered, output.out_slot, false);
  tuplestore_puttupleslot(output.rows, output.out_slot);
  ExecClearTuple(output.out_slot);
}

void CallOne(const ManyCalls &calls, Output *output, int call, FunctionCallInfo fcinfo) {
  output->call = call;
  if (SkipsNull(calls, call)) {
    if (!calls.is_set) PutValue(calls, *output, call, Datum{0}, true);
    return;
  }
  auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  for (bool more = true; more;) {
    SetCall(calls, call, fcinfo);
    if (info) {
      info->isDone = ExprSingleResult;
      info->returnMode = SFRM_ValuePerCall;
      info->setResult = nullptr;
      info->setDesc = nullptr;
    }
    fcinfo->isnull = false;
    Datum value = FunctionCallInvoke(fcinfo);
    if (info && info->returnMode == SFRM_Materialize) {
      if (info->setDesc) RequireLayout(calls, info->setDesc);
      if (info->setResult) PutSet(*output, call, info->setResult);
      return;
    }
    if (info == nullptr || info->isDone != ExprEndResult) PutValue(calls, *output, call, value, fcinfo->isnull);
    more = info && info->isDone == ExprMultipleResult;
  }
}

// How many calls make a batch: as many as their values can be expected to come within a timeout. They are no larger
// than the largest that the server has computed since it started, as Redis has none from before.
constexpr uint64_t kBytesAhead = 2 * 1024 * 1024;

int BatchSize(Oid function) {
  const FunctionStatistics *statistics = shared::state ? shared::StatisticsOfFunction(function) : nullptr;
  if (statistics == nullptr) return 1;
  const uint64_t largest = Max(uint64_t{1}, statistics->largest.load(std::memory_order_relaxed));
  return static_cast<int>(Max(uint64_t{1}, Min(static_cast<uint64_t>(kMostAhead), kBytesAhead / largest)));
}

void CallAll(ManyCalls *calls, Output *output) {
  FmgrInfo function;
  fmgr_info(calls->described.arguments.function, &function);
  function.fn_expr = reinterpret_cast<Node *>(ExpressionOf(calls->described));
  ExprContext *context = CreateStandaloneExprContext();
  ReturnSetInfo info;
  memset(static_cast<void *>(&info), 0, sizeof(info));
  info.type = T_ReturnSetInfo;
  info.econtext = context;
  info.expectedDesc = calls->descriptor;
  info.allowedModes = SFRM_ValuePerCall | SFRM_Materialize | SFRM_Materialize_Preferred;
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  InitFunctionCallInfoData(*fcinfo, &function, static_cast<short>(calls->described.arguments.count),
                           calls->described.arguments.collation, nullptr,
                           calls->is_set ? reinterpret_cast<Node *>(&info) : nullptr);
  const RowTaker taker = {&info, ExpectRows, PutHitRow, output};
  (void)SetRowTaker(&taker);
  const int size = BatchSize(calls->described.arguments.function);
  for (int begin = 0; begin < calls->count; begin += size) {
    Batch batch = {calls, begin, begin + Min(calls->count - begin, size)};
    RunAsCalled(calls->row, AskForBatch, &batch);
    for (int call = begin; call < batch.end; call++) {
      CHECK_FOR_INTERRUPTS();
      MemoryContext outer = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
      CallOne(*calls, output, call, fcinfo);
      MemoryContextSwitchTo(outer);
      ResetExprContext(context);
    }
  }
  FreeExprContext(context, true);
}

// ---- The shape of the result -------------------------------------------------------------------------------------

char *ColumnList(const ManyCalls &calls) {
  StringInfoData list;
  initStringInfo(&list);
  appendStringInfoString(&list, "ordinality bigint");
  for (int i = 0; i < calls.column_count; i++) {
    Form_pg_attribute column = TupleDescAttr(calls.descriptor, calls.columns[i]);
    appendStringInfo(&list, ", %s %s", quote_identifier(NameStr(column->attname)),
                     format_type_with_typemod(column->atttypid, column->atttypmod));
  }
  return list.data;
}

void ShapeRows(ManyCalls *calls) {
  FuncExpr *expression = ExpressionOf(calls->described);
  calls->is_set = expression->funcretset;
  Oid type;
  TypeFuncClass kind = get_expr_result_type(reinterpret_cast<Node *>(expression), &type, &calls->descriptor);
  calls->is_tuple = kind == TYPEFUNC_COMPOSITE;
  if (kind == TYPEFUNC_SCALAR) {
    calls->descriptor = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(calls->descriptor, 1, "result", type, -1, 0);
  } else if (!calls->is_tuple) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("mget cannot call function %s", format_procedure(calls->described.arguments.function)),
                    errdetail("What columns its rows have is known only to the query that calls it.")));
  }
  calls->columns = static_cast<int *>(palloc(sizeof(int) * Max(1, calls->descriptor->natts)));
  for (int i = 0; i < calls->descriptor->natts; i++)
    if (!TupleDescAttr(calls->descriptor, i)->attisdropped) calls->columns[calls->column_count++] = i;
}

void CheckColumns(const ManyCalls &calls, TupleDesc expected) {
  bool fits = expected->natts == calls.column_count + 1 && TupleDescAttr(expected, 0)->atttypid == INT8OID;
  for (int i = 0; fits && i < calls.column_count; i++)
    fits = TupleDescAttr(expected, i + 1)->atttypid == TupleDescAttr(calls.descriptor, calls.columns[i])->atttypid;
  if (!fits)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("the column definition list does not fit function %s",
                           format_procedure(calls.described.arguments.function)),
                    errhint("The list is (%s).", ColumnList(calls))));
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_mget);
PGDLLEXPORT Datum aggcache_mget(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  if (PG_ARGISNULL(0)) return Datum{0};
  auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  ManyCalls calls;
  memset(static_cast<void *>(&calls), 0, sizeof(calls));
  // No lock on the function is taken that would bring it: whether it was dropped since the statement began.
  AcceptInvalidationMessages();
  Oid function = calls.described.arguments.function = PG_GETARG_OID(0);
  calls.row = RequireCached(function);
  if (!compat::CanExecute(function, GetUserId()))
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
  InvokeFunctionExecuteHook(function);
  TakeArrays(fcinfo, &calls);
  if (calls.count == 0) return Datum{0};
  MakeAllArguments(&calls);
  ShapeRows(&calls);
  CheckColumns(calls, info->setDesc);
  Output output;
  output.calls = &calls;
  output.rows = info->setResult;
  output.columns = calls.columns;
  output.descriptor = info->setDesc;
  output.values = static_cast<Datum *>(palloc(sizeof(Datum) * info->setDesc->natts));
  output.nulls = static_cast<bool *>(palloc(sizeof(bool) * info->setDesc->natts));
  output.slot = MakeSingleTupleTableSlot(calls.descriptor, &TTSOpsMinimalTuple);
  output.out_slot = MakeSingleTupleTableSlot(output.descriptor, &TTSOpsMinimalTuple);
  output.call = 0;
  const RowTaker *outer_taker = SetRowTaker(nullptr);
  PG_TRY();
  { CallAll(&calls, &output); }
  PG_FINALLY();
  {
    (void)SetRowTaker(outer_taker);
    EndReadAhead();
  }
  PG_END_TRY();
  ExecDropSingleTupleTableSlot(output.slot);
  ExecDropSingleTupleTableSlot(output.out_slot);
  return Datum{0};
}
}
