#include "pg/base/server.h"

#include "pg/call/compute.h"

#include "pg/base/attempt.h"
#include "pg/base/settings.h"
#include "pg/body/result_bytes.h"
#include "pg/body/result_times.h"
#include "pg/body/sources.h"
#include "pg/call/collection.h"
#include "pg/call/key.h"
#include "pg/call/last_call.h"
#include "pg/call/lookup.h"
#include "pg/facts/partitions.h"
#include "pg/watch/approximate.h"
#include "pg/watch/dependencies.h"
#include "pg/write/catalog_commits.h"

extern "C" {
#include "portability/instr_time.h"
}

namespace aggcache {

namespace {

// Runs the plan into a tuplestore made in `context`.
Tuplestorestate *Run(const Definition *definition, PlannedStmt *plan, ParamListInfo parameters, ::Snapshot snapshot,
                     MemoryContext context) {
  const ResultShape &shape = definition->result;
  MemoryContext outer = MemoryContextSwitchTo(context);
  // Read from the start a second time, to be stored.
  Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
  MemoryContextSwitchTo(outer);
  DestReceiver *receiver = CreateTuplestoreDestReceiver();
  SetTuplestoreDestReceiverParams(receiver, rows, context, true, nullptr, nullptr);
  QueryDesc *query = CreateQueryDesc(plan, definition->source, snapshot, nullptr, receiver, parameters, nullptr, 0);
  // As for SQL functions: of a function that returns no set only the first row is asked for.
  compat::ExecutorStartRun(query, shape.returns_set ? 0 : 1);
  ExecutorFinish(query);
  ExecutorEnd(query);
  FreeQueryDesc(query);
  receiver->rDestroy(receiver);
  return rows;
}

// The first row as a datum, in the current memory context.
void TakeSingle(const ResultShape &shape, TupleDesc descriptor, Tuplestorestate *rows, MemoryContext context,
                Computed *computed) {
  TupleTableSlot *slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
  computed->is_null = true;
  computed->value = Datum{0};
  if (tuplestore_gettupleslot(rows, true, false, slot)) {
    if (shape.returns_tuple) {
      computed->is_null = false;
      MemoryContext outer = MemoryContextSwitchTo(context);
      computed->value = ExecFetchSlotHeapTupleDatum(slot);
      MemoryContextSwitchTo(outer);
    } else {
      computed->value = slot_getattr(slot, 1, &computed->is_null);
      if (!computed->is_null) {
        MemoryContext outer = MemoryContextSwitchTo(context);
        computed->value = datumCopy(computed->value, shape.by_value, shape.length);
        MemoryContextSwitchTo(outer);
      }
    }
  }
  ExecDropSingleTupleTableSlot(slot);
}

// Plans with the actual arguments. That can fail where the plain function would not, because what is constant is
// computed whether it is needed or not (10 / $1 beside $1 <> 0): NULL then, and the plain function decides whether
// there is an error.
struct Planning {
  const Definition *definition;
  ParamListInfo parameters;
  Dependencies *dependencies;
  PlannedStmt *plan;
};

void PlanTried(void *argument) {
  auto *planning = static_cast<Planning *>(argument);
  planning->plan = PlanWithDependencies(planning->definition, planning->parameters, planning->dependencies);
}

PlannedStmt *PlanOrGiveUp(const Definition *definition, ParamListInfo parameters, Dependencies *dependencies) {
  Planning planning = {definition, parameters, dependencies, nullptr};
  return Attempt(Attempts::kCall, PlanTried, &planning) ? nullptr : planning.plan;
}

// Why the result is not stored, or NULL. The last word of its collection is kept in static memory.
const char *StoreResult(const Definition *definition, const Key &key, const ResultBytes &bytes,
                        const Dependencies &dependencies, const Collection &own, bool settled, Stamp *stamps,
                        int stamp_count, ::Snapshot snapshot, int64_t *expires_at, uint64_t cost_ns,
                        FunctionStatistics *statistics) {
  static char spoiled[sizeof(own.text)];
  *expires_at = EndOfResult(TimeOfResult(definition, false), own.expires_at);
  if (!definition->valid) return SentenceOf(Reason::kChangedMeanwhile);
  if (!dependencies.complete) return "planning found a relation that the analysis had not";
  if (!settled) return "functions or privileges were being changed";
  if (own.spoiled) {
    strlcpy(spoiled, own.spoiled, sizeof(spoiled));
    return spoiled;
  }
  return Store(definition, key, bytes, stamps, stamp_count, snapshot, own.expires_at, expires_at, cost_ns, statistics);
}

void AddCallContext(void *name) { errcontext("cached function %s", static_cast<const char *>(name)); }

// Errors tell of the function until `error_context_stack` is callback->previous again.
void BeginCallContext(const Definition *definition, ErrorContextCallback *callback) {
  callback->callback = AddCallContext;
  callback->arg = const_cast<char *>(definition->name);
  callback->previous = error_context_stack;
  error_context_stack = callback;
}

// By oid: a relation may be gone by the time that the lock is granted. Taking the locks accepts what has changed, and
// from then on the relations stay as they are. Partitions are locked by planning, as far as they are read.
void LockSources(const Definition *definition, bool only_valid) {
  for (int i = 0; i < definition->relation_count; i++)
    if ((definition->valid || !only_valid) && definition->relations[i].role == SourceRole::kNamed)
      LockRelationOid(definition->relations[i].relation, AccessShareLock);
}

TupleDesc DescriptorOf(const ResultShape &shape) {
  if (shape.descriptor) return shape.descriptor;
  TupleDesc descriptor = CreateTemplateTupleDesc(1);
  TupleDescInitEntry(descriptor, 1, "result", shape.type, -1, 0);
  return descriptor;
}

// Where the rows of a set are kept until the executor has taken them.
MemoryContext RowsContext(FunctionCallInfo fcinfo) {
  return reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo)->econtext->ecxt_per_query_memory;
}

void RequireUnchangedSources(const Definition *definition) {
  const char *changed = definition->valid ? nullptr : FindChangedSource(definition);
  if (changed == nullptr) return;
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("relation \"%s\" was changed while a statement called cached function %s", changed, definition->name),
           errdetail("The statement began with the function as it was before."), errhint("Run the statement again.")));
}

}  // namespace

Computed Compute(Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden, const Key &key,
                 FunctionStatistics *statistics) {
  Computed computed = {Because(Reason::kNone), Datum{0}, true, nullptr};
  if (IsInParallelMode()) {
    computed.obstacle = Because(Reason::kParallelMiss);
    return computed;
  }
  const ResultShape &shape = definition->result;
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = AllocSetContextCreate(outer, "aggcache computation", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  ::Snapshot snapshot = GetActiveSnapshot();

  LockSources(definition, true);
  if (definition->valid) AcquireRewriteLocks(static_cast<Query *>(copyObjectImpl(definition->query)), true, false);
  if (!definition->valid || !ArePartsCurrent(definition) || !definition->valid) {
    computed.obstacle = Because(Reason::kChangedMeanwhile);
    MemoryContextSwitchTo(outer);
    MemoryContextDelete(context);
    return computed;
  }
  bool settled = !definition->hides_privileges || CatalogsAreSettled();
  if (!definition->valid) {
    computed.obstacle = Because(Reason::kChangedMeanwhile);
    MemoryContextSwitchTo(outer);
    MemoryContextDelete(context);
    return computed;
  }
  Collection own;
  BeginCollection(&own, snapshot, context);
  instr_time start, end;
  INSTR_TIME_SET_CURRENT(start);
  ParamListInfo parameters = CallParameters(definition, fcinfo, hidden);
  Dependencies dependencies;
  PlannedStmt *plan = PlanOrGiveUp(definition, parameters, &dependencies);
  computed.obstacle =
      plan ? Because(Reason::kApproximateIndex, FindApproximateIndex(definition, plan)) : Because(Reason::kNotPlanned);
  if (computed.obstacle) {
    if (computed.obstacle.words) computed.obstacle.words = MemoryContextStrdup(outer, computed.obstacle.words);
    collection = own.outer;
    MemoryContextSwitchTo(outer);
    MemoryContextDelete(context);
    return computed;
  }
  AddWholeTables(definition, &dependencies);
  ErrorContextCallback callback;
  BeginCallContext(definition, &callback);
  computed.rows = Run(definition, plan, parameters, snapshot, shape.returns_set ? RowsContext(fcinfo) : context);
  INSTR_TIME_SET_CURRENT(end);
  INSTR_TIME_SUBTRACT(end, start);
  uint64_t cost_ns = static_cast<uint64_t>(INSTR_TIME_GET_DOUBLE(end) * 1e9);
  error_context_stack = callback.previous;

  Size limit = static_cast<Size>(settings::max_entry_size_kb) * 1024;
  ResultBytes bytes;
  if (shape.returns_set) {
    bytes = EncodeRows(shape, computed.rows, limit);
  } else {
    TakeSingle(shape, DescriptorOf(shape), computed.rows, outer, &computed);
    bytes = EncodeScalar(shape, computed.value, computed.is_null, limit);
  }
  Stamp *stamps;
  int stamp_count = AllStamps(definition, dependencies, &own, &stamps);
  int64_t expires_at;
  const char *not_stored = StoreResult(definition, key, bytes, dependencies, own, settled, stamps, stamp_count,
                                       snapshot, &expires_at, cost_ns, statistics);
  // What the outer result rests on does not depend on whether this one was stored.
  if (own.spoiled == nullptr && (!definition->valid || !dependencies.complete || !settled)) own.spoiled = not_stored;
  EndCollection(&own, stamps, stamp_count, expires_at);
  last_call.cost_ns = cost_ns;
  last_call.size = static_cast<uint32_t>(bytes.size);
  last_call.stored = not_stored == nullptr;
  last_call.not_stored = not_stored;
  if (statistics) {
    shared::Count(statistics->compute_ns, cost_ns);
    // One that is raised at the same time may be lost: it only guides how much is asked for at once.
    if (bytes.size > statistics->largest.load(std::memory_order_relaxed))
      statistics->largest.store(bytes.size, std::memory_order_relaxed);
    shared::Count(not_stored ? statistics->rejected_stores : statistics->stores);
  }
  if (!shape.returns_set) {
    tuplestore_end(computed.rows);
    computed.rows = nullptr;
  }
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(context);
  return computed;
}

PlannedStmt *PlanBody(const Definition *definition, bool former) {
  MemoryContext outer = CurrentMemoryContext;
  LockSources(definition, false);
  if (!former && !definition->valid) return nullptr;
  MemoryContext context = AllocSetContextCreate(outer, "aggcache planning", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  RequireUnchangedSources(definition);
  auto *query = static_cast<Query *>(copyObjectImpl(definition->query));
  AcquireRewriteLocks(query, true, false);
  PlannedStmt *plan = pg_plan_query(query, definition->source, 0, nullptr);
  MemoryContextSwitchTo(outer);
  plan = static_cast<PlannedStmt *>(copyObjectImpl(plan));
  MemoryContextDelete(context);
  return plan;
}

Computed RunBody(const Definition *definition, PlannedStmt *plan, FunctionCallInfo fcinfo, HiddenValues *hidden) {
  Computed computed = {Because(Reason::kNone), Datum{0}, true, nullptr};
  const ResultShape &shape = definition->result;
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = AllocSetContextCreate(outer, "aggcache computation", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  ErrorContextCallback callback;
  BeginCallContext(definition, &callback);
  computed.rows = Run(definition, plan, LazyParameters(definition, fcinfo, hidden), GetActiveSnapshot(),
                      shape.returns_set ? RowsContext(fcinfo) : context);
  if (!shape.returns_set) {
    TakeSingle(shape, DescriptorOf(shape), computed.rows, outer, &computed);
    tuplestore_end(computed.rows);
    computed.rows = nullptr;
  }
  error_context_stack = callback.previous;
  MemoryContextSwitchTo(outer);
  MemoryContextDelete(context);
  return computed;
}

}  // namespace aggcache
