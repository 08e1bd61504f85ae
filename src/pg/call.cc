// The call handler of the language cached_sql: what happens when a cached function is called.
//
// Everything that cannot use the cache goes to PostgreSQL's own handler of SQL functions, which gives the plain answer,
// or the plain error, in the plain way.

#include "pg/server.h"

#include "pg/blame.h"
#include "pg/collection.h"
#include "pg/compute.h"
#include "pg/definition.h"
#include "pg/key.h"
#include "pg/last_call.h"
#include "pg/lookup.h"
#include "pg/opaque.h"
#include "pg/redis_ahead.h"
#include "pg/redis_session.h"
#include "pg/results.h"
#include "pg/serializable.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/single_flight.h"
#include "pg/tracking.h"
#include "pg/transactions.h"

namespace aggcache {

LastCall last_call;

namespace {

// State of one call site, kept in FmgrInfo.fn_extra.
struct CallSite {
  FmgrInfo plain;      // the same function, for PostgreSQL's handler
  bool plain_running;  // that handler is handing out a set row by row
  Definition *definition;
  uint64_t epoch;                  // definition_epoch when it was found
  FunctionStatistics *statistics;  // may be NULL
};

Datum CallPlain(FunctionCallInfo fcinfo, CallSite *site) {
  FmgrInfo *own = fcinfo->flinfo;
  fcinfo->flinfo = &site->plain;
  Datum result;
  PG_TRY();
  { result = fmgr_sql(fcinfo); }
  PG_FINALLY();
  { fcinfo->flinfo = own; }
  PG_END_TRY();
  auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  site->plain_running =
      info && IsA(info, ReturnSetInfo) && info->returnMode == SFRM_ValuePerCall && info->isDone == ExprMultipleResult;
  return result;
}

Datum CallUncached(FunctionCallInfo fcinfo, CallSite *site, CallResult result, const char *reason) {
  BeginLastCall(fcinfo->flinfo->fn_oid);
  last_call.result = result;
  ExplainLastCall(reason);
  if (site->statistics) shared::Count(site->statistics->calls[static_cast<int>(result)]);
  SpoilCollection(fcinfo->flinfo->fn_oid, last_call.reason);
  // calls within the body tell of themselves
  LastCall told = last_call;
  Datum value = CallPlain(fcinfo, site);
  last_call = told;
  return value;
}

CallSite *NewCallSite(FmgrInfo *function) {
  auto *site = static_cast<CallSite *>(MemoryContextAllocZero(function->fn_mcxt, sizeof(CallSite)));
  site->plain = *function;
  site->plain.fn_extra = nullptr;
  if (shared::state) site->statistics = shared::StatisticsOfFunction(function->fn_oid);
  function->fn_extra = site;
  return site;
}

// Why no call at all can use the cache now; NULL if calls can.
const char *FindSessionObstacle() {
  if (shared::state == nullptr) return "pg_aggcache is not in shared_preload_libraries";
  if (!settings::enabled) return "aggcache.enabled is off";
  if (RecoveryInProgress()) return "the server is in recovery";
  if (InsideUtility()) return "the call is made by a statement that changes definitions or loads data";
  if (IsLogicalWorker()) return "the session applies logical replication";
  if (IsParallelWorker() && OwnXid() != kNoXid)
    return "the call is made by a parallel worker of a transaction that writes";
  if (!ActiveSnapshotSet() || !IsEligibleSnapshot(GetActiveSnapshot())) return "the snapshot is not a plain one";
  return nullptr;
}

Datum ReturnFound(FunctionCallInfo fcinfo, const Definition *definition, const Found &found) {
  if (definition->result.returns_set) {
    ReturnRows(definition->result, found.data, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    fcinfo->isnull = true;
    return Datum{0};
  }
  return DecodeScalar(definition->result, found.data, found.size, &fcinfo->isnull);
}

const char *ReasonOf(CallResult result) {
  switch (result) {
    case CallResult::kHit: return "the result is what the query would return in this snapshot";
    case CallResult::kStaleHit: return "a source table has changed; aggcache.max_staleness accepts the earlier result";
    case CallResult::kCold: return "there was no result for these arguments";
    case CallResult::kChanged: return "a source table has changed since the result was computed";
    case CallResult::kExpired: return "the result was older than aggcache.ttl";
    case CallResult::kEvicted: return "the result had been evicted to make room for others";
    case CallResult::kOwnWrite: return "this transaction has written a source table";
    case CallResult::kSnapshot: return "the result could not be proven to be what this snapshot sees";
    default: return "";
  }
}

void Record(const CallSite *site, CallResult result) {
  if (result == CallResult::kStaleHit)
    SpoilCollection(last_call.function, "aggcache.max_staleness accepted an earlier result");
  last_call.result = result;
  last_call.reason = ReasonOf(result);
  FunctionStatistics *statistics = site->statistics;
  if (statistics == nullptr) return;
  shared::Count(statistics->calls[static_cast<int>(result)]);
  if (result == CallResult::kHit || result == CallResult::kStaleHit)
    shared::Count(statistics->saved_ns, last_call.cost_ns);
  else if (result == CallResult::kChanged)
    statistics->last_changed.store(GetCurrentTimestamp(), std::memory_order_relaxed);
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

// A miss: waits for another session that computes the same result, or computes it.
Datum CallMissed(FunctionCallInfo fcinfo, CallSite *site, Definition *definition, NullableDatum *hidden,
                 const Key &looked_up, const Found &missed) {
  // The key is in memory that calls within the body use too.
  Key key = looked_up;
  char *bytes = static_cast<char *>(palloc(key.size));
  memcpy(bytes, key.bytes, key.size);
  key.bytes = bytes;

  bool leading = false;
  // Several flights of others may fail in turn; each failure lets one waiter lead.
  for (int attempt = 0; attempt < 100; attempt++) {
    bool waited;
    Boarding boarding = BoardFlight(key.hash, &waited);
    last_call.waited |= waited;
    if (boarding == Boarding::kFailed) continue;
    leading = boarding == Boarding::kLeader;
    // Between the look-up and the boarding another session may have stored, and landed. Redis is asked again only if
    // one has.
    if (boarding != Boarding::kAlone &&
        (settings::store == kShared || waited || missed.flights != CountFlights(key.hash))) {
      Found found = LookUp(definition, key, GetActiveSnapshot());
      if (found.result == CallResult::kHit) {
        if (leading) EndFlight(true);
        leading = false;
        if (IsolationIsSerializable()) found = LookUpForCall(definition, key);
      }
      if (found.result == CallResult::kHit) {
        Record(site, CallResult::kHit);
        return ReturnFound(fcinfo, definition, found);
      }
    }
    break;
  }
  TakeReadAhead();
  Computed computed;
  Collection *outer = collection;
  bool waited = last_call.waited;
  definition->pins++;
  PG_TRY();
  { computed = Compute(definition, fcinfo, hidden, key, site->statistics); }
  PG_CATCH();
  {
    definition->pins--;
    collection = outer;
    if (collection && collection->spoiled == nullptr) collection->spoiled = "a call within it raised an error";
    if (leading) EndFlight(false);
    PG_RE_THROW();
  }
  PG_END_TRY();
  definition->pins--;
  const bool stored = computed.obstacle == nullptr && last_call.stored;
  // They look where the result was sent to, on connections of their own.
  if (leading && stored && settings::store == kRedis && OthersWait()) AwaitAllOfRedis();
  if (leading) EndFlight(stored);
  if (computed.obstacle) return CallUncached(fcinfo, site, CallResult::kUncached, computed.obstacle);
  pfree(bytes);
  // calls within the body have told of themselves
  last_call.function = fcinfo->flinfo->fn_oid;
  last_call.stored_at = 0;
  last_call.waited = waited;
  Record(site, missed.result);
  if (definition->result.returns_set) {
    ReturnTuplestore(definition->result, computed.rows, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    fcinfo->isnull = true;
    return Datum{0};
  }
  fcinfo->isnull = computed.is_null;
  return computed.value;
}

Datum Call(FunctionCallInfo fcinfo) {
  auto *site = static_cast<CallSite *>(fcinfo->flinfo->fn_extra);
  if (site == nullptr)
    site = NewCallSite(fcinfo->flinfo);
  else if (site->plain_running)
    return CallPlain(fcinfo, site);

  const char *obstacle = FindSessionObstacle();
  if (obstacle) return CallUncached(fcinfo, site, CallResult::kUncached, obstacle);

  // What a lock on the relations would bring: replaced definitions, grants, policies, disabled triggers.
  AcceptInvalidationMessages();
  if (site->definition == nullptr || site->epoch != definition_epoch || !IsCurrentDefinition(site->definition)) {
    site->definition = FindDefinition(fcinfo);
    site->epoch = definition_epoch;
  }
  Definition *definition = site->definition;
  if (definition->obstacle) return CallUncached(fcinfo, site, CallResult::kUncached, definition->obstacle);
  if (!definition->valid) return CallUncached(fcinfo, site, CallResult::kUncached, "its definition keeps changing");
  if (definition->reads_clock && settings::ttl_ms == 0)
    return CallUncached(fcinfo, site, CallResult::kUncached, "the body reads the clock, and aggcache.ttl is not set");
  if (definition->result.returns_set) {
    auto *info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    if (info == nullptr || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
      return CallUncached(fcinfo, site, CallResult::kUncached, "the caller takes a set row by row only");
  }
  if (definition->opaque && HasTemporaryObjects())
    return CallUncached(fcinfo, site, CallResult::kUncached,
                        "the session has temporary objects, which an opaque function might use");
  if (HasWritten(definition)) return CallUncached(fcinfo, site, CallResult::kOwnWrite, ReasonOf(CallResult::kOwnWrite));
  if (!IsPermitted(definition))
    return CallUncached(fcinfo, site, CallResult::kUncached,
                        "the role may not run the query, or a check was not conclusive");

  NullableDatum few[8];
  NullableDatum *hidden = few;
  if (definition->hidden_count > 0) {
    if (definition->hidden_count > 8)
      hidden = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * definition->hidden_count));
    definition->pins++;
    bool evaluated;
    PG_TRY();
    { evaluated = EvaluateHiddenParameters(definition, fcinfo, hidden); }
    PG_FINALLY();
    { definition->pins--; }
    PG_END_TRY();
    if (!evaluated)
      return CallUncached(fcinfo, site, CallResult::kUncached,
                          "an expression that does not depend on rows could not be evaluated");
    if (!definition->valid)
      return CallUncached(fcinfo, site, CallResult::kUncached, "its definition changed meanwhile");
  }
  BeginLastCall(fcinfo->flinfo->fn_oid);
  Key key = BuildKey(definition, fcinfo, hidden);
  Found found = LookUpForCall(definition, key);
  if (found.data) {
    Record(site, found.result);
    return ReturnFound(fcinfo, definition, found);
  }
  if (found.result == CallResult::kChanged) CountInvalidation(definition, found.writer);
  return CallMissed(fcinfo, site, definition, hidden, key, found);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_call_handler);
PGDLLEXPORT Datum aggcache_call_handler(PG_FUNCTION_ARGS) { return aggcache::Call(fcinfo); }
}
