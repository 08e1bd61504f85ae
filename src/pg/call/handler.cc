// The call handler of the language cached_sql: what happens when a cached function is called.
//
// Everything that cannot use the cache goes to PostgreSQL's own handler of SQL functions, which gives the plain answer,
// or the plain error, in the plain way.

#include "pg/base/server.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/body/definition_cache.h"
#include "pg/body/privileges.h"
#include "pg/call/call_report.h"
#include "pg/call/collection.h"
#include "pg/call/compute.h"
#include "pg/call/decision.h"
#include "pg/call/hidden_values.h"
#include "pg/call/key.h"
#include "pg/call/lookup.h"
#include "pg/call/return_rows.h"
#include "pg/call/single_flight.h"
#include "pg/redis/ahead.h"
#include "pg/redis/gate.h"
#include "pg/redis/session.h"
#include "pg/redis/settings.h"
#include "pg/write/blame.h"
#include "pg/write/serializable.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

// A statement as a call site can tell it: calls of one statement come under one snapshot. Statements that no change
// lies between may count as one.
struct Statement {
  LocalTransactionId transaction;
  TransactionId xmin;
  TransactionId xmax;
  CommandId command;
};

// State of one call site, kept in FmgrInfo.fn_extra.
struct CallSite {
  FmgrInfo plain;          // the same function, for PostgreSQL's handler
  bool plain_running;      // that handler is handing out a set row by row
  Definition *definition;  // pinned; NULL before the first call
  // What the calls of the latest statement have seen.
  Statement statement;
  SubTransactionId subtransaction;  // in which its definition was found
  bool answered;                    // by the definition
  bool answered_plainly;            // by that handler
  bool locked;                      // the relations, or it was tried
  Oid row_locked;                   // the relation whose rows it hands out, if it is locked
  SubTransactionId row_lock;        // in which
  PlannedStmt *plan;                // of the definition's body for any arguments; NULL until it is needed
  MemoryContext plan_context;
  const Definition *fitting;       // whose rows were found to be what the caller expects
  FunctionStatistics *statistics;  // may be NULL
  MemoryContextCallback end;
};

Datum CallPlain(FunctionCallInfo fcinfo, CallSite *site) {
  FmgrInfo *own = fcinfo->flinfo;
  fcinfo->flinfo = &site->plain;
  site->answered_plainly = true;
  Datum result;
  PG_TRY();
  { result = fmgr_sql(fcinfo); }
  PG_CATCH();
  {
    fcinfo->flinfo = own;
    ReportBegin(own->fn_oid);
    PG_RE_THROW();
  }
  PG_END_TRY();
  fcinfo->flinfo = own;
  auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  site->plain_running =
      info && IsA(info, ReturnSetInfo) && info->returnMode == SFRM_ValuePerCall && info->isDone == ExprMultipleResult;
  return result;
}

// Hands over what was computed.
Datum ReturnComputed(FunctionCallInfo fcinfo, const Definition *definition, const Computed &computed) {
  if (definition->result.returns_set) {
    ReturnTuplestore(definition->result, computed.rows, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    fcinfo->isnull = true;
    return Datum{0};
  }
  fcinfo->isnull = computed.is_null;
  return computed.value;
}

bool IsSameStatement(const CallSite *site, ::Snapshot snapshot) {
  const Statement &then = site->statement;
  return then.transaction == compat::CurrentLocalTransaction() && then.xmin == snapshot->xmin &&
         then.xmax == snapshot->xmax && then.command == snapshot->curcid;
}

void ForgetPlan(CallSite *site) {
  if (site->plan_context) MemoryContextDelete(site->plan_context);
  site->plan_context = nullptr;
  site->plan = nullptr;
}

// Runs the body without the cache. Where hidden parameters have been looked at already, or the function may have become
// another one since the statement got its first answer, that is not what PostgreSQL's handler would do. Without an
// answer so far the handler does it, with the function and the tables as they are now.
Datum RunUncached(FunctionCallInfo fcinfo, CallSite *site, HiddenValues *hidden) {
  Definition *definition = site->definition;
  if (hidden && definition->hidden_count == 0) hidden = nullptr;
  const bool changed = site->answered && !IsCurrentDefinition(definition) && ActiveSnapshotSet() &&
                       IsSameStatement(site, GetActiveSnapshot());
  if (hidden == nullptr && !changed) return CallPlain(fcinfo, site);
  HiddenValues none = {nullptr, 0, nullptr};
  if (hidden == nullptr) {
    hidden = &none;
    none.values = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * Max(1, definition->hidden_count)));
  }
  if (site->plan == nullptr) {
    ForgetPlan(site);
    site->plan_context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "aggcache plan", ALLOCSET_SMALL_SIZES);
    MemoryContext outer = MemoryContextSwitchTo(site->plan_context);
    site->plan = PlanBody(definition, site->answered);
    MemoryContextSwitchTo(outer);
    if (site->plan == nullptr) return CallPlain(fcinfo, site);
  }
  site->answered = true;
  Computed computed;
  PG_TRY();
  { computed = RunBody(definition, site->plan, fcinfo, hidden); }
  PG_CATCH();
  {
    ReportBegin(fcinfo->flinfo->fn_oid);
    PG_RE_THROW();
  }
  PG_END_TRY();
  return ReturnComputed(fcinfo, definition, computed);
}

Datum CallUncached(FunctionCallInfo fcinfo, CallSite *site, const Obstacle &obstacle, HiddenValues *hidden = nullptr) {
  const CallResult result = ResultOf(obstacle.reason);
  ReportBegin(fcinfo->flinfo->fn_oid);
  ReportEndInWords(result, obstacle.Sentence());
  if (site->statistics) shared::Count(site->statistics->calls[static_cast<int>(result)]);
  SpoilCollection(fcinfo->flinfo->fn_oid, LatestCall().reason);
  // calls within the body tell of themselves
  const CallReport told = LatestCall();
  Datum value = RunUncached(fcinfo, site, hidden);
  ReportAgain(told);
  return value;
}

void ForgetDefinition(void *site) {
  Definition *definition = static_cast<CallSite *>(site)->definition;
  if (definition) definition->pins--;
}

CallSite *NewCallSite(FmgrInfo *function) {
  auto *site = static_cast<CallSite *>(MemoryContextAllocZero(function->fn_mcxt, sizeof(CallSite)));
  site->plain = *function;
  site->plain.fn_extra = nullptr;
  if (shared::state) site->statistics = shared::StatisticsOfFunction(function->fn_oid);
  site->end.func = ForgetDefinition;
  site->end.arg = site;
  MemoryContextRegisterResetCallback(function->fn_mcxt, &site->end);
  function->fn_extra = site;
  return site;
}

// ---- One statement, one definition -------------------------------------------------------------------------------
//
// The plain function parses its body once for a statement and keeps its locks, so that a statement never answers with
// two bodies. A hit takes no lock. So the site keeps the definition that it began the statement with, also when it is
// not valid any more: its key still finds what it found, as replacing a function or a view changes no row, and its
// analysed body can be run as long as the tables have their columns.
//
// A statement's first call owes no lock: its answer is that of a query which ended just now. From the second call on
// the statement would show that the relations may change while it runs, so it takes the locks that the plain function
// has, once, unless that means to wait.
//
// Rows of a table's own type outlive the call: the caller reads them by the type as it is then. So whoever hands them
// out holds the lock that keeps the type as it is, from the first call on, and waits for it as the plain function does.

void BeginStatement(CallSite *site, ::Snapshot snapshot) {
  site->statement = {compat::CurrentLocalTransaction(), snapshot->xmin, snapshot->xmax, snapshot->curcid};
  site->answered = site->answered_plainly = site->locked = false;
  site->row_locked = InvalidOid;
  ForgetPlan(site);
}

// Which accepts invalidation messages.
void LockRelations(CallSite *site) {
  site->locked = true;
  const Definition *definition = site->definition;
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].role == SourceRole::kNamed)
      (void)ConditionalLockRelationOid(definition->relations[i].relation, AccessShareLock);
}

// Locks the relation whose rows are handed out. False: there is none, or it is locked. Accepts invalidation messages.
bool LockRowType(CallSite *site) {
  const Oid relation = site->definition->row_relation;
  if (!OidIsValid(relation) || (site->row_locked == relation && SubTransactionIsActive(site->row_lock))) return false;
  LockRelationOid(relation, AccessShareLock);
  site->row_locked = relation;
  site->row_lock = GetCurrentSubTransactionId();
  return true;
}

void Bind(FunctionCallInfo fcinfo, CallSite *site) {
  Definition *found = FindDefinition(fcinfo);
  found->pins++;
  ForgetDefinition(site);
  site->definition = found;
  site->fitting = nullptr;
  ForgetPlan(site);
  site->subtransaction = GetCurrentSubTransactionId();
}

// Finds the definition for this call. False: the statement was answered otherwise so far, and has to be on.
bool FindOwn(FunctionCallInfo fcinfo, CallSite *site) {
  // What a lock on the relations would bring: replaced definitions, grants, policies, disabled triggers.
  AcceptInvalidationMessages();
  ::Snapshot snapshot = GetActiveSnapshot();
  if (!IsSameStatement(site, snapshot))
    BeginStatement(site, snapshot);
  else if (site->answered && !site->locked)
    LockRelations(site);
  do {
    const Definition *definition = site->definition;
    const bool keeps =
        definition && (IsCurrentDefinition(definition) || (site->answered && IsSameRole(definition->environment) &&
                                                           SubTransactionIsActive(site->subtransaction)));
    if (!keeps && site->answered_plainly) return false;
    if (!keeps) Bind(fcinfo, site);
  } while (LockRowType(site));
  return true;
}

// As the executor checks what a function hands over: the row type may have changed since the caller was planned.
void RequireExpectedRows(CallSite *site, const ReturnSetInfo *info) {
  const Definition *definition = site->definition;
  if (site->fitting == definition || info->expectedDesc == nullptr) return;
  RequireRowType(definition->result, info->expectedDesc);
  site->fitting = definition;
}

Datum ReturnFound(FunctionCallInfo fcinfo, CallSite *site, const Found &found) {
  Definition *definition = site->definition;
  site->answered = true;
  TrimKey();
  AskOtherExtensions(definition);
  if (definition->result.returns_set) {
    ReturnRows(definition->result, found.data, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    fcinfo->isnull = true;
    TrimFound();
    return Datum{0};
  }
  Datum value = DecodeScalar(definition->result, found.data, found.size, &fcinfo->isnull);
  TrimFound();
  return value;
}

Reason ReasonOf(CallResult result) {
  switch (result) {
    case CallResult::kHit: return Reason::kHit;
    case CallResult::kStaleHit: return Reason::kStaleHit;
    case CallResult::kCold: return Reason::kCold;
    case CallResult::kChanged: return Reason::kChanged;
    case CallResult::kExpired: return Reason::kExpired;
    case CallResult::kEvicted: return Reason::kEvicted;
    case CallResult::kOwnWrite: return Reason::kOwnWrite;
    default: return Reason::kSnapshot;
  }
}

void Record(const CallSite *site, CallResult result) {
  if (result == CallResult::kStaleHit)
    SpoilCollection(LatestCall().function, "aggcache.max_staleness accepted an earlier result");
  ReportEnd(result, SentenceOf(ReasonOf(result)));
  FunctionStatistics *statistics = site->statistics;
  if (statistics == nullptr) return;
  shared::Count(statistics->calls[static_cast<int>(result)]);
  if (result == CallResult::kHit || result == CallResult::kStaleHit)
    shared::Count(statistics->saved_ns, LatestCall().cost_ns);
  else if (result == CallResult::kChanged)
    statistics->last_changed.store(GetCurrentTimestamp(), std::memory_order_relaxed);
}

// Of a result that writes have kept current.
void RecordCurrent(const CallSite *site, uint32_t changes) {
  ReportEndInWords(CallResult::kHit, psprintf("kept current: %u change%s added", changes, changes == 1 ? "" : "s"));
  if (site->statistics) shared::Count(site->statistics->calls[static_cast<int>(CallResult::kHit)]);
  if (site->statistics) shared::Count(site->statistics->kept);
}

// Looks the key up for this call. A SERIALIZABLE transaction gets no result whose conflicts could not be shown. Opening
// the relations for that may have waited for changes that were in progress: so it looks once more.
Found LookUpForCall(const Definition *definition, const Key &key) {
  Found found = LookUp(definition, key, GetActiveSnapshot());
  if (found.data == nullptr || !IsolationIsSerializable()) return found;
  if (!ShowSerializableReads(definition, GetActiveSnapshot()) || !definition->valid)
    return Found{CallResult::kSnapshot, nullptr, 0, kNoXid, 0};
  return LookUp(definition, key, GetActiveSnapshot());
}

// A miss, from the moment on when it may lead a flight.
struct Miss {
  const CallSite *site;
  Definition *definition;
  NullableDatum *hidden;
  Key key;
  FlightId flight;
  bool shares;  // what it computes tells what others would
  bool leading;
  bool waited;        // for another session
  Found found;        // what another session had stored meanwhile, if its data is not NULL
  Computed computed;  // otherwise
};

// Whether this call can neither use what another session computes now nor compute for others: the transaction's own
// writes or its old snapshot are in the way, an older transaction keeps everything from being stored, or Redis does.
bool MustComputeAlone(const Found &missed) {
  if (missed.result == CallResult::kOwnWrite) return true;
  if (missed.result == CallResult::kSnapshot && IsolationUsesXactSnapshot()) return true;
  BeginStamps();
  if (shared::state->start.load(std::memory_order_acquire) >= CoreSnapshot(GetActiveSnapshot()).xmin) return true;
  return settings::store == kRedis && RedisObstacle(RedisUse::kWrite) != nullptr;
}

// Boards the flight of the key, which may mean to wait for its leader.
void Board(Miss *miss, const Found &missed) {
  if (MustComputeAlone(missed)) return;
  miss->shares = true;
  miss->flight = FlightOf(miss->key.hash);
  const Boarding boarding = BoardFlight(miss->flight, &miss->waited);
  miss->leading = boarding == Boarding::kLeader;
  if (boarding == Boarding::kAlone) return;
  // Between the look-up and the boarding another session may have stored, and landed. Redis is asked again only if
  // one has.
  if (settings::store != kShared && !miss->waited && missed.flights == CountFlights(miss->key.hash)) return;
  miss->found = LookUp(miss->definition, miss->key, GetActiveSnapshot());
  if (miss->found.result == CallResult::kHit && IsolationIsSerializable())
    miss->found = LookUpForCall(miss->definition, miss->key);
  if (miss->found.result != CallResult::kHit) miss->found.data = nullptr;
}

void ComputeMissed(FunctionCallInfo fcinfo, Miss *miss, CallResult missed) {
  TakeReadAhead();
  miss->computed = Compute(miss->definition, fcinfo, miss->hidden, miss->key, miss->site->statistics, missed);
  // Who waits will look where the result was sent to, on a connection of its own.
  if (miss->leading && LatestCall().stored && settings::store == kRedis && OthersWait()) AwaitAllOfRedis();
}

// Tells the others what became of it, and lets those who wait go on.
void Land(const Miss &miss, Ending ending) {
  if (miss.shares && miss.found.data == nullptr && ending != Ending::kAbandoned)
    NoteOutcome(miss.flight, ending == Ending::kStored);
  if (miss.leading) EndFlight(ending);
}

// What an error that ends a computation means to the others: that they would get it too, unless it says that something
// happened to this session.
Ending EndingOfError(int code) {
  const int category = ERRCODE_TO_CATEGORY(code);
  const bool of_session = category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_TRANSACTION_ROLLBACK ||
                          code == ERRCODE_LOCK_NOT_AVAILABLE;
  return of_session ? Ending::kAbandoned : Ending::kNotStored;
}

// Finds or computes the result. Whatever is raised, the flight ends, and what it was part of is as it was.
void ResolveMiss(FunctionCallInfo fcinfo, Miss *miss, const Found &missed) {
  Collection *outer = InnermostCollection();
  miss->definition->pins++;
  PG_TRY();
  {
    Board(miss, missed);
    if (miss->found.data == nullptr) ComputeMissed(fcinfo, miss, missed.result);
  }
  PG_CATCH();
  {
    miss->definition->pins--;
    DropCollections(outer);
    Land(*miss, EndingOfError(geterrcode()));
    ReportBegin(fcinfo->flinfo->fn_oid);
    PG_RE_THROW();
  }
  PG_END_TRY();
  miss->definition->pins--;
  const bool stored = miss->found.data != nullptr || (!miss->computed.obstacle && LatestCall().stored);
  Land(*miss, stored ? Ending::kStored : Ending::kNotStored);
}

// A miss: waits for another session that computes the same result, or computes it.
Datum CallMissed(FunctionCallInfo fcinfo, CallSite *site, HiddenValues *hidden, const Key &looked_up,
                 const Found &missed) {
  // The key is in memory that calls within the body use too.
  char *bytes = static_cast<char *>(palloc(looked_up.size));
  memcpy(bytes, looked_up.bytes, looked_up.size);
  TrimKey();
  Definition *definition = site->definition;
  Miss miss;
  memset(static_cast<void *>(&miss), 0, sizeof(miss));
  miss.site = site;
  miss.definition = definition;
  miss.hidden = hidden->values;
  miss.key = looked_up;
  miss.key.bytes = bytes;
  ResolveMiss(fcinfo, &miss, missed);
  pfree(bytes);
  if (miss.waited) ReportWait();
  if (miss.found.data) {
    Record(site, CallResult::kHit);
    return ReturnFound(fcinfo, site, miss.found);
  }
  if (miss.computed.obstacle) return CallUncached(fcinfo, site, miss.computed.obstacle, hidden);
  site->answered = true;
  // calls within the body have told of themselves
  ReportComputedOf(fcinfo->flinfo->fn_oid);
  miss.computed.current ? RecordCurrent(site, miss.computed.changes) : Record(site, missed.result);
  return ReturnComputed(fcinfo, definition, miss.computed);
}

// What keeps this call from using the cache although calls of the session can.
Obstacle FindCallObstacle(FunctionCallInfo fcinfo, Definition *definition) {
  const Obstacle of_function = FindFunctionObstacle(definition);
  if (of_function) return of_function;
  if (definition->result.returns_set) {
    auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    if (info == nullptr || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
      return Because(Reason::kRowByRow);
  }
  if (HasWritten(definition)) return Because(Reason::kOwnWrite);
  return FindRoleObstacle(definition);
}

// Evaluates the hidden parameters of a call, or tells what keeps it from that. *hidden becomes NULL if none was tried.
Obstacle EvaluateForCall(FunctionCallInfo fcinfo, const Definition *definition, HiddenValues **hidden) {
  switch (EvaluateHidden(definition, fcinfo, *hidden)) {
    case Evaluation::kDone:
      return Because(IsClockRounded(definition, (*hidden)->values) ? Reason::kNone : Reason::kClockNotRounded);
    case Evaluation::kFailed: break;
    case Evaluation::kTooDeep: *hidden = nullptr; return Because(Reason::kTooDeep);
  }
  return Because(Reason::kNotEvaluated);
}

Datum Call(FunctionCallInfo fcinfo) {
  auto *site = static_cast<CallSite *>(fcinfo->flinfo->fn_extra);
  if (site == nullptr)
    site = NewCallSite(fcinfo->flinfo);
  else if (site->plain_running)
    return CallPlain(fcinfo, site);
  else
    site->statistics = shared::StillOf(site->statistics, fcinfo->flinfo->fn_oid);

  ReportBegin(fcinfo->flinfo->fn_oid);
  Obstacle obstacle = FindSessionObstacle();
  if (obstacle) return CallUncached(fcinfo, site, obstacle);
  if (!FindOwn(fcinfo, site)) return CallUncached(fcinfo, site, Because(Reason::kChangedMeanwhile));
  Definition *definition = site->definition;
  if (!definition->valid && !site->answered) return CallUncached(fcinfo, site, Because(Reason::kKeepsChanging));
  obstacle = FindCallObstacle(fcinfo, definition);
  if (obstacle) return CallUncached(fcinfo, site, obstacle);
  if (definition->result.returns_set) RequireExpectedRows(site, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
  if (!definition->valid) RequireCurrentRowType(definition->result, fcinfo);

  NullableDatum few[8];
  HiddenValues values = {few, 0, nullptr};
  HiddenValues *hidden = &values;
  if (definition->hidden_count > 0) {
    if (definition->hidden_count > 8)
      values.values = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * definition->hidden_count));
    obstacle = EvaluateForCall(fcinfo, definition, &hidden);
    if (obstacle) return CallUncached(fcinfo, site, obstacle, hidden);
    // cached functions in them have told of themselves
    ReportBegin(fcinfo->flinfo->fn_oid);
  }
  Key key = BuildKey(definition, fcinfo, hidden->values);
  if (key.bytes == nullptr) return CallUncached(fcinfo, site, Because(Reason::kLargeArguments), hidden);
  Found found = LookUpForCall(definition, key);
  if (found.data) {
    Record(site, found.result);
    return ReturnFound(fcinfo, site, found);
  }
  if (!definition->valid) return CallUncached(fcinfo, site, Because(Reason::kChangedMeanwhile), hidden);
  if (found.result == CallResult::kChanged) CountInvalidation(definition, found.writer);
  return CallMissed(fcinfo, site, hidden, key, found);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_call_handler);
PGDLLEXPORT Datum aggcache_call_handler(PG_FUNCTION_ARGS) { return aggcache::Call(fcinfo); }
}
