// The call handler of the language cached_sql: what happens when a cached function is called.
//
// Everything that cannot use the cache goes to PostgreSQL's own handler of SQL functions, which gives the plain answer,
// or the plain error, in the plain way.

#include "pg/server.h"

#include "pg/blame.h"
#include "pg/collection.h"
#include "pg/compute.h"
#include "pg/definition_cache.h"
#include "pg/key.h"
#include "pg/last_call.h"
#include "pg/lookup.h"
#include "pg/opaque.h"
#include "pg/privileges.h"
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

// A miss, from the moment on when it may lead a flight.
struct Miss {
  const CallSite *site;
  Definition *definition;
  NullableDatum *hidden;
  Key key;
  bool leading;
  bool waited;        // for another session
  Found found;        // what another session had stored meanwhile, if its data is not NULL
  Computed computed;  // otherwise
};

// Boards the flight of the key, which may mean to wait for its leader. Several flights of others may fail in turn; each
// failure lets one waiter lead.
void Board(Miss *miss, const Found &missed) {
  for (int attempt = 0; attempt < 100; attempt++) {
    bool waited;
    Boarding boarding = BoardFlight(miss->key.hash, &waited);
    miss->waited |= waited;
    if (boarding == Boarding::kFailed) continue;
    miss->leading = boarding == Boarding::kLeader;
    if (boarding == Boarding::kAlone) return;
    // Between the look-up and the boarding another session may have stored, and landed. Redis is asked again only if
    // one has.
    if (settings::store != kShared && !waited && missed.flights == CountFlights(miss->key.hash)) return;
    miss->found = LookUp(miss->definition, miss->key, GetActiveSnapshot());
    if (miss->found.result == CallResult::kHit && IsolationIsSerializable())
      miss->found = LookUpForCall(miss->definition, miss->key);
    if (miss->found.result != CallResult::kHit) miss->found.data = nullptr;
    return;
  }
}

void ComputeMissed(FunctionCallInfo fcinfo, Miss *miss) {
  TakeReadAhead();
  miss->computed = Compute(miss->definition, fcinfo, miss->hidden, miss->key, miss->site->statistics);
  // Who waits will look where the result was sent to, on a connection of its own.
  if (miss->leading && last_call.stored && settings::store == kRedis && OthersWait()) AwaitAllOfRedis();
}

// Finds or computes the result. Whatever is raised, the flight ends, and what it was part of is as it was.
void ResolveMiss(FunctionCallInfo fcinfo, Miss *miss, const Found &missed) {
  Collection *outer = collection;
  miss->definition->pins++;
  PG_TRY();
  {
    Board(miss, missed);
    if (miss->found.data == nullptr) ComputeMissed(fcinfo, miss);
  }
  PG_CATCH();
  {
    miss->definition->pins--;
    collection = outer;
    if (collection && collection->spoiled == nullptr) collection->spoiled = "a call within it raised an error";
    if (miss->leading) EndFlight(false);
    PG_RE_THROW();
  }
  PG_END_TRY();
  miss->definition->pins--;
  const bool landed = miss->found.data != nullptr || (miss->computed.obstacle == nullptr && last_call.stored);
  if (miss->leading) EndFlight(landed);
}

// A miss: waits for another session that computes the same result, or computes it.
Datum CallMissed(FunctionCallInfo fcinfo, CallSite *site, Definition *definition, NullableDatum *hidden,
                 const Key &looked_up, const Found &missed) {
  // The key is in memory that calls within the body use too.
  char *bytes = static_cast<char *>(palloc(looked_up.size));
  memcpy(bytes, looked_up.bytes, looked_up.size);
  Miss miss;
  memset(static_cast<void *>(&miss), 0, sizeof(miss));
  miss.site = site;
  miss.definition = definition;
  miss.hidden = hidden;
  miss.key = looked_up;
  miss.key.bytes = bytes;
  ResolveMiss(fcinfo, &miss, missed);
  pfree(bytes);
  last_call.waited = miss.waited;
  if (miss.found.data) {
    Record(site, CallResult::kHit);
    return ReturnFound(fcinfo, definition, miss.found);
  }
  if (miss.computed.obstacle) return CallUncached(fcinfo, site, CallResult::kUncached, miss.computed.obstacle);
  // calls within the body have told of themselves
  last_call.function = fcinfo->flinfo->fn_oid;
  last_call.stored_at = 0;
  Record(site, missed.result);
  if (definition->result.returns_set) {
    ReturnTuplestore(definition->result, miss.computed.rows, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    fcinfo->isnull = true;
    return Datum{0};
  }
  fcinfo->isnull = miss.computed.is_null;
  return miss.computed.value;
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
