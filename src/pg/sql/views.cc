// The functions behind the views aggcache.functions, dependencies and tables, and aggcache.last_call(). Nothing is
// kept; catalogs are looked at inside RunGuarded (inspection.h).

#include "pg/base/server.h"

#include "pg/base/shared.h"
#include "pg/body/analysis.h"
#include "pg/body/result_times.h"
#include "pg/call/decision.h"
#include "pg/call/call_report.h"
#include "pg/facts/tracked.h"
#include "pg/keep/kept_state.h"
#include "pg/sql/inspection.h"
#include "pg/sql/row.h"

namespace aggcache {

namespace {

// ---- aggcache.last_call -----------------------------------------------------------------------------------------

const char *ResultName(CallResult result) {
  switch (result) {
    case CallResult::kHit: return "hit";
    case CallResult::kStaleHit: return "stale hit";
    case CallResult::kUncached: return "uncached";
    default: return "miss";
  }
}

void ShowLastCall(Row row) {
  const CallReport &last_call = LatestCall();
  bool any = OidIsValid(last_call.function);
  bool ended = any && !last_call.failed;
  bool hit = ended && (last_call.result == CallResult::kHit || last_call.result == CallResult::kStaleHit);
  bool computed = ended && !hit && (last_call.stored || last_call.not_stored);
  row.Object(last_call.function);
  row.Text(ended ? ResultName(last_call.result) : any ? "error" : nullptr);
  row.Text(ended ? last_call.reason : any ? SentenceOf(Reason::kError) : nullptr);
  row.Text(ended ? CauseOf(last_call.result) : nullptr);
  row.Duration(hit ? MakeInterval(Max(SteadyNow() - last_call.stored_at, int64_t{0})) : nullptr);
  hit || computed ? row.Milliseconds(last_call.cost_ns) : row.Null();
  hit || computed ? row.Int(static_cast<int32_t>(last_call.size)) : row.Null();
  any ? row.Bool(last_call.waited) : row.Null();
  any ? row.Bool(last_call.stored) : row.Null();
  row.Text(any ? last_call.not_stored : nullptr);
  row.Text(any ? last_call.not_kept : nullptr);
  row.Text(hit ? last_call.from_redis ? "redis" : "shared" : nullptr);
  row.End();
}

// ---- aggcache.functions, aggcache.dependencies ------------------------------------------------------------------

struct Inspected {
  Oid function;
  Obstacle obstacle;
  List *uses;  // RelationUse *
  const char *not_kept;
};

void InspectState(void *context) {
  auto *inspected = static_cast<Inspected *>(context);
  inspected->obstacle = FindObstacle(AnalyseAsCalled(inspected->function));
}

void InspectRelations(void *context) {
  auto *inspected = static_cast<Inspected *>(context);
  const Definition *definition = AnalyseAsCalled(inspected->function);
  inspected->uses = DescribeRelations(definition);
  inspected->not_kept = KeptStateOf(definition)->why;
}

constexpr char kHidden[] = "shown to the owner and to members of pg_read_all_stats";
constexpr char kPolymorphic[] = "the function is polymorphic, so this is known only when it is called";

void ShowFunction(Row row, Oid function) {
  FunctionRow described = ReadFunctionRow(function);
  if (!described.cached) return;
  const char *state, *reason = nullptr;
  if (!MayInspect(described)) {
    state = nullptr;
    reason = kHidden;
  } else if (described.polymorphic) {
    const Obstacle obstacle = FindSessionObstacle();
    state = obstacle ? "uncached" : "unknown";
    reason = obstacle ? obstacle.Sentence() : kPolymorphic;
  } else {
    Inspected inspected = {function, Because(Reason::kNone), NIL, nullptr};
    reason = RunGuarded(described, ActAs::kOwner, Afterwards::kForget, InspectState, &inspected);
    if (reason == nullptr) reason = inspected.obstacle.Sentence();
    state = reason ? "uncached" : "cached";
  }
  Interval *duration;
  row.Text(state);
  row.Text(reason);
  row.Duration(ReadDuration(described.config, "aggcache.ttl", &duration) ? duration : nullptr);
  row.Duration(ReadDuration(described.config, "aggcache.max_staleness", &duration) ? duration : nullptr);
  row.Array(described.config);
  row.End();
}

void ShowDependencies(FunctionCallInfo fcinfo, Oid function) {
  FunctionRow described = ReadFunctionRow(function);
  if (!described.cached) return;
  Inspected inspected = {function, Because(Reason::kNone), NIL, nullptr};
  const char *problem = nullptr;
  if (!MayInspect(described))
    problem = kHidden;
  else if (described.polymorphic)
    problem = kPolymorphic;
  else
    problem = RunGuarded(described, ActAs::kOwner, Afterwards::kForget, InspectRelations, &inspected);
  if (problem) {
    Row row(fcinfo);
    row.Null();
    row.Bool(false);
    row.Null();
    row.Null();
    row.Text("none");
    row.Null();
    row.Text(problem);
    row.Null();
    row.End();
    return;
  }
  ListCell *cell;
  foreach (cell, inspected.uses) {
    auto *use = static_cast<RelationUse *>(lfirst(cell));
    if (use->view) continue;
    Row row(fcinfo);
    row.Object(use->relation);
    row.Bool(use->tracked);
    row.Array(ColumnNames(*use));
    row.Name(use->range ? get_attname(use->relation, use->range, true) : nullptr);
    row.Text(use->granularity);
    row.Text(use->watch);
    row.Text(use->reason);
    row.Text(inspected.not_kept);
    row.End();
  }
}

// ---- aggcache.tables --------------------------------------------------------------------------------------------

struct Tracking {
  Oid relation;
  bool tracked;
  const char *obstacle;
};

void InspectTracking(void *context) {
  auto *tracking = static_cast<Tracking *>(context);
  tracking->obstacle = FindTrackingObstacle(tracking->relation, &tracking->tracked);
}

void ShowTracking(Row row, Oid relation) {
  Tracking tracking = {relation, false, nullptr};
  FunctionRow nobody;
  memset(&nobody, 0, sizeof(nobody));
  const char *problem = RunGuarded(nobody, ActAs::kCaller, Afterwards::kForget, InspectTracking, &tracking);
  if (problem == nullptr) problem = tracking.obstacle;
  if (problem == nullptr && shared::state == nullptr) problem = SentenceOf(Reason::kNotPreloaded);
  row.Bool(problem == nullptr && tracking.tracked);
  row.Text(problem);
  row.End();
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_last_call);
PGDLLEXPORT Datum aggcache_last_call(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ShowLastCall(aggcache::Row(fcinfo));
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_function_state);
PGDLLEXPORT Datum aggcache_function_state(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ShowFunction(aggcache::Row(fcinfo), PG_GETARG_OID(0));
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_function_dependencies);
PGDLLEXPORT Datum aggcache_function_dependencies(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ShowDependencies(fcinfo, PG_GETARG_OID(0));
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_tracking_state);
PGDLLEXPORT Datum aggcache_tracking_state(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ShowTracking(aggcache::Row(fcinfo), PG_GETARG_OID(0));
  return Datum{0};
}
}
