// A miss in steps over one struct: lock, plan, run, store. What it makes lies in a memory context of its own, which
// goes at the one exit; an error drops it with the call's memory. Keeps no state.

#include "pg/base/server.h"

#include "pg/call/compute.h"

#include "pg/base/attempt.h"
#include "pg/base/settings.h"
#include "pg/body/result_bytes.h"
#include "pg/body/result_times.h"
#include "pg/body/sources.h"
#include "pg/call/call_report.h"
#include "pg/call/collection.h"
#include "pg/call/key.h"
#include "pg/call/store.h"
#include "pg/facts/partitions.h"
#include "pg/keep/answer.h"
#include "pg/keep/known_calls.h"
#include "pg/watch/approximate.h"
#include "pg/watch/dependencies.h"
#include "pg/write/catalog_commits.h"
#include "pg/write/serializable.h"

extern "C" {
#include "portability/instr_time.h"
}

namespace aggcache {

namespace {

// Runs the plan, which may read tables of that environment, into a tuplestore made in `context`.
Tuplestorestate *Run(const Definition *definition, PlannedStmt *plan, ParamListInfo parameters, ::Snapshot snapshot,
                     MemoryContext context, QueryEnvironment *environment) {
  const ResultShape &shape = definition->result;
  MemoryContext outer = MemoryContextSwitchTo(context);
  // Read from the start a second time, to be stored.
  Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
  MemoryContextSwitchTo(outer);
  DestReceiver *receiver = CreateTuplestoreDestReceiver();
  SetTuplestoreDestReceiverParams(receiver, rows, context, true, nullptr, nullptr);
  QueryDesc *query = CreateQueryDesc(plan, definition->source, snapshot, nullptr, receiver, parameters, environment, 0);
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

// ---- A miss, step by step ----------------------------------------------------------------------------------------

// What is done for one call, in `context`; what outlives it is in `outer`.
struct Computation {
  Definition *definition;
  FunctionCallInfo fcinfo;
  FunctionStatistics *statistics;  // may be NULL
  MemoryContext outer;
  MemoryContext context;
  bool opens;  // writes are to keep the result current from now on
  KeptAnswer kept;
  bool plan_is_known;  // it is that of a kept answer, which was found without planning
  bool settled;        // no catalogs were in the middle of a change that counts for the function
  ParamListInfo parameters;
  PlannedStmt *plan;
  Dependencies dependencies;
  Collection collection;
  Result result;
  Computed computed;
};

bool AreCatalogsSettledFor(const Definition *definition) {
  const bool reads_catalogs = definition->hides_privileges || definition->reads_names;
  return !reads_catalogs || CatalogsAreSettled();
}

// Locks what the body reads, and makes sure that the definition is what it was.
Obstacle LockForComputation(Computation *work) {
  Definition *definition = work->definition;
  LockSources(definition, true);
  if (definition->valid) AcquireRewriteLocks(static_cast<Query *>(copyObjectImpl(definition->query)), true, false);
  if (!definition->valid || !ArePartsCurrent(definition) || !definition->valid)
    return Because(Reason::kChangedMeanwhile);
  work->settled = AreCatalogsSettledFor(definition);
  return Because(definition->valid ? Reason::kNone : Reason::kChangedMeanwhile);
}

Obstacle PlanComputation(Computation *work) {
  work->plan = PlanOrGiveUp(work->definition, work->parameters, &work->dependencies);
  if (work->plan == nullptr) return Because(Reason::kNotPlanned);
  const Obstacle inexact = Because(Reason::kApproximateIndex, FindApproximateIndex(work->definition, work->plan));
  if (inexact) return {inexact.reason, MemoryContextStrdup(work->outer, inexact.words)};
  AddWholeTables(work->definition, &work->dependencies);
  return Because(Reason::kNone);
}

// Asks for an answer from what writers have kept. As for hits, a SERIALIZABLE transaction shows what it would have
// read, and then asks once more.
template <class Ask>
bool AskForKept(Computation *work, Ask ask) {
  if (!ask()) return false;
  if (!work->kept.current || !IsolationIsSerializable()) return true;
  EndAnswer(&work->kept);
  work->kept.plan = nullptr;
  work->kept.why = "the transaction is SERIALIZABLE, and a conflict might not be seen";
  return ShowSerializableReads(work->definition, work->result.snapshot) && work->definition->valid && ask();
}

// Answers without planning, as a hit without locks, if that can be.
bool AnswerKnownCall(Computation *work) {
  const bool found = AskForKept(
      work, [work]() { return AnswerAtOnce(work->definition, work->parameters, work->result.snapshot, &work->kept); });
  if (!found) return false;
  work->plan = work->kept.plan;
  work->dependencies.complete = true;
  work->settled = AreCatalogsSettledFor(work->definition);
  return true;
}

// Puts the answer together from what writers keep, or so that they keep it from now on, in place of the plan.
void PlanFromGroups(Computation *work) {
  work->kept = {};
  const bool found = AskForKept(work, [work]() {
    return AnswerFromGroups(work->definition, work->dependencies, work->parameters, work->result.snapshot, work->opens,
                            &work->kept);
  });
  if (found) work->plan = work->kept.plan;
}

// Runs the plan; the result's bytes and, of no set, its value are made of its rows. Errors of the body are raised.
void RunComputation(Computation *work, const instr_time &start) {
  const ResultShape &shape = work->definition->result;
  Computed *computed = &work->computed;
  Result *result = &work->result;
  ErrorContextCallback callback;
  BeginCallContext(work->definition, &callback);
  if (!work->plan_is_known) PlanFromGroups(work);
  computed->current = work->kept.groups && work->kept.current;
  computed->changes = work->kept.changes;
  computed->rows = Run(work->definition, work->plan, work->parameters, result->snapshot,
                       shape.returns_set ? RowsContext(work->fcinfo) : work->context, work->kept.groups);
  EndAnswer(&work->kept);
  instr_time end;
  INSTR_TIME_SET_CURRENT(end);
  INSTR_TIME_SUBTRACT(end, start);
  result->cost_ns = static_cast<uint64_t>(INSTR_TIME_GET_DOUBLE(end) * 1e9);
  error_context_stack = callback.previous;

  const Size limit = static_cast<Size>(settings::max_entry_size_kb) * 1024;
  if (shape.returns_set) {
    result->bytes = EncodeRows(shape, computed->rows, limit);
    return;
  }
  TakeSingle(shape, DescriptorOf(shape), computed->rows, work->outer, computed);
  tuplestore_end(computed->rows);
  computed->rows = nullptr;
  result->bytes = EncodeScalar(shape, computed->value, computed->is_null, limit);
}

// Why the result must not be stored, whatever the store says; NULL if it may be. Static text.
const char *FindStoringObstacle(const Computation &work) {
  static char spoiled[sizeof(work.collection.text)];
  if (!work.definition->valid) return SentenceOf(Reason::kChangedMeanwhile);
  if (!work.dependencies.complete) return "planning found a relation that the analysis had not";
  if (!work.settled) return "functions or privileges were being changed";
  if (work.collection.spoiled == nullptr) return nullptr;
  strlcpy(spoiled, work.collection.spoiled, sizeof(spoiled));
  return spoiled;
}

void CountComputation(const Computation &work, bool stored) {
  FunctionStatistics *statistics = work.statistics;
  if (statistics == nullptr) return;
  shared::Count(statistics->compute_ns, work.result.cost_ns);
  // One that is raised at the same time may be lost: it only guides how much is asked for at once.
  if (work.result.bytes.size > statistics->largest.load(std::memory_order_relaxed))
    statistics->largest.store(work.result.bytes.size, std::memory_order_relaxed);
  shared::Count(stored ? statistics->stores : statistics->rejected_stores);
}

// Stores the result if it may be, and tells the result around it what this one rests on.
void StoreComputation(Computation *work) {
  Result *result = &work->result;
  Collection *own = &work->collection;
  if (work->plan_is_known) {
    result->stamps = const_cast<Stamp *>(work->kept.stamps);
    result->stamp_count = work->kept.stamp_count;
  } else {
    result->stamp_count = AllStamps(work->definition, work->dependencies, own, &result->stamps);
    if (work->kept.plan && work->kept.about.size > 0)
      RememberCall(work->definition, work->kept.about, result->stamps, result->stamp_count);
  }
  result->end = own->expires_at;
  result->expires_at = EndOfResult(TimeOfResult(work->definition, false), own->expires_at);
  const char *unsound = FindStoringObstacle(*work);
  const char *not_stored = unsound ? unsound : Store(result, work->statistics);
  // What the outer result rests on does not depend on whether this one was stored.
  if (own->spoiled == nullptr) own->spoiled = unsound;
  EndCollection(own, result->stamps, result->stamp_count, result->expires_at);
  ReportComputed(result->cost_ns, result->bytes.size, not_stored);
  ReportNotKept(work->computed.current ? nullptr : work->kept.why);
  CountComputation(*work, not_stored == nullptr);
}

}  // namespace

Computed Compute(Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden, const Key &key,
                 FunctionStatistics *statistics, CallResult missed) {
  Computation work;
  memset(static_cast<void *>(&work), 0, sizeof(work));
  work.computed.is_null = true;
  if (IsInParallelMode()) {
    work.computed.obstacle = Because(Reason::kParallelMiss);
    return work.computed;
  }
  work.definition = definition;
  work.fcinfo = fcinfo;
  work.statistics = statistics;
  work.opens = settings::keep_current == settings::kKeepOn || missed == CallResult::kChanged;
  work.outer = CurrentMemoryContext;
  work.context = AllocSetContextCreate(work.outer, "aggcache computation", ALLOCSET_DEFAULT_SIZES);
  work.result.definition = definition;
  work.result.key = &key;
  work.result.snapshot = GetActiveSnapshot();
  MemoryContextSwitchTo(work.context);

  instr_time start;
  INSTR_TIME_SET_CURRENT(start);
  work.parameters = CallParameters(definition, fcinfo, hidden);
  work.plan_is_known = AnswerKnownCall(&work);
  if (!work.plan_is_known) work.computed.obstacle = LockForComputation(&work);
  if (!work.computed.obstacle) {
    BeginCollection(&work.collection, work.result.snapshot, work.context);
    if (!work.plan_is_known) work.computed.obstacle = PlanComputation(&work);
    if (work.computed.obstacle) {
      DropCollection(&work.collection);
    } else {
      RunComputation(&work, start);
      StoreComputation(&work);
    }
  }
  MemoryContextSwitchTo(work.outer);
  MemoryContextDelete(work.context);
  return work.computed;
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
  Computed computed = {Because(Reason::kNone), Datum{0}, true, nullptr, false, 0};
  const ResultShape &shape = definition->result;
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = AllocSetContextCreate(outer, "aggcache computation", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(context);
  ErrorContextCallback callback;
  BeginCallContext(definition, &callback);
  computed.rows = Run(definition, plan, LazyParameters(definition, fcinfo, hidden), GetActiveSnapshot(),
                      shape.returns_set ? RowsContext(fcinfo) : context, nullptr);
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
