// Actions: putting tracking on and off, resetting statistics, health. Invalidating by hand is in invalidate.cc.

#include "pg/base/server.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/statistics.h"
#include "pg/base/transactions.h"
#include "pg/body/analysis.h"
#include "pg/facts/partitions.h"
#include "pg/facts/tracked.h"
#include "pg/redis/session.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"
#include "pg/sql/described_call.h"
#include "pg/sql/inspection.h"
#include "pg/sql/row.h"
#include "pg/write/attach.h"
#include "pg/write/blame.h"

namespace aggcache {

namespace {

// ---- Tracking ---------------------------------------------------------------------------------------------------

struct Refresh {
  Oid function;
  Refusal refusal;
};

// With the owner's rights, whoever asks for it: no table is tracked for a role that may not put triggers on it.
void RefreshFunction(void *context) {
  auto *refresh = static_cast<Refresh *>(context);
  Definition *definition = AnalyseFunction(refresh->function, &refresh->refusal);
  if (refresh->refusal.primary && !definition->reads_clock) return;
  if (definition->query == nullptr) return;
  AttachFunction(refresh->function, definition, WARNING);
}

// Returns NULL, or what is wrong.
const char *RefreshOne(Oid function, const FunctionRow &row) {
  Refresh refresh = {function, Refusal()};
  const char *problem = RunGuarded(row, ActAs::kOwner, Afterwards::kKeep, RefreshFunction, &refresh);
  return problem ? problem : refresh.refusal.primary;
}

// A table that can be tracked at all.
void RequireTrackable(Oid relation) {
  char kind = get_rel_relkind(relation);
  bool tracked;
  const char *obstacle = nullptr;
  if (kind == RELKIND_VIEW)
    obstacle = psprintf("%s is a view; the tables that it reads are tracked instead", QualifiedRelationName(relation));
  else if (kind == RELKIND_MATVIEW)
    obstacle =
        psprintf("%s is a materialized view, which is tracked without triggers", QualifiedRelationName(relation));
  else if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) || relation < FirstNormalObjectId ||
           get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
    obstacle = FindTrackingObstacle(relation, &tracked);
  if (obstacle)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("cannot track relation \"%s\"", get_rel_name(relation)),
                    errdetail("%s.", obstacle)));
}

void RequireAttachable(Oid relation) {
  if (!MayAttach(relation, GetUserId()))
    aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relation)), get_rel_name(relation));
  RequireTrackable(relation);
}

// ---- Health -----------------------------------------------------------------------------------------------------

class Report {
 public:
  explicit Report(FunctionCallInfo fcinfo) : row_(fcinfo) {}
  void Say(const char *check, bool ok, const char *detail) {
    row_.Text(check);
    row_.Bool(ok);
    row_.Text(detail);
    row_.End();
  }

 private:
  Row row_;
};

template <class Statistics>
int PlacesLeft(const Statistics *places, int count) {
  int left = 0;
  for (int i = 0; i < count; i++) left += IsFreePlace(places[i].id.load(std::memory_order_relaxed));
  return left;
}

void ReportStart(Report *report) {
  if (RecoveryInProgress()) return;
  Xid start = shared::state->start.load(std::memory_order_acquire);
  if (start == kNoXid) {
    report->Say("transactions", true, "no result has been stored since the server was started");
    return;
  }
  Xid oldest = CoreSnapshot(GetActiveSnapshot()).xmin;
  report->Say("transactions", oldest > start,
              oldest > start
                  ? "every running transaction began after the cache came into use"
                  : "a transaction that began before the cache came into use is still running or prepared, and no "
                    "result is used until it ends; see pg_prepared_xacts and pg_stat_activity");
}

void ReportRedis(Report *report) {
  if (!RedisIsConfigured())
    report->Say("redis", settings::store == kShared,
                settings::store == kShared ? "aggcache.redis_url is not set"
                                           : "aggcache.redis_url is not set, and aggcache.store asks for Redis");
  else if (const char *obstacle = RedisObstacle(RedisUse::kWrite))
    report->Say("redis", false, psprintf("%s; see aggcache.redis", obstacle));
  else
    report->Say("redis", true, "Redis can be used; see aggcache.redis");
}

void ReportHealth(Report report) {
  bool preloaded = shared::state != nullptr;
  report.Say(
      "preloaded", preloaded,
      preloaded ? "pg_aggcache is in shared_preload_libraries" : "pg_aggcache is not in shared_preload_libraries");
  report.Say("enabled", settings::enabled, settings::enabled ? "aggcache.enabled is on" : "aggcache.enabled is off");
  bool recovery = RecoveryInProgress();
  // No fault: a standby answers as the plain queries do.
  report.Say("recovery", true,
             recovery ? "the server is in recovery: results are computed here, and none is cached"
                      : "the server is not in recovery");
  if (!preloaded) return;
  StoreUsage usage = shared::store.Usage();
  report.Say("memory", usage.entries > 0 || usage.memory_free > 0,
             psprintf("%d %% of %llu MB used by %llu results",
                      usage.memory ? static_cast<int>(100.0 * (usage.memory - usage.memory_free) / usage.memory) : 0,
                      static_cast<unsigned long long>((usage.memory + 524288) / 1048576),
                      static_cast<unsigned long long>(usage.entries)));
  int functions = PlacesLeft(shared::functions, settings::max_functions);
  int tables = PlacesLeft(shared::tables, settings::max_tables);
  report.Say(
      "statistics", functions > 0 && tables > 0,
      psprintf("there is room for %d more functions (aggcache.max_functions) and %d more tables (aggcache.max_tables)",
               functions, tables));
  ReportStart(&report);
  ReportRedis(&report);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_attach);
PGDLLEXPORT Datum aggcache_attach(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  RequirePreloaded();
  PreventCommandDuringRecovery("aggcache.attach()");
  Oid relation = PG_GETARG_OID(0);
  char *name = get_rel_name(relation);
  if (name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  RequireAttachable(relation);
  // Partitions get the triggers from the table above them; each child that inherits has its own.
  bool pending;
  List *tables = list_make1_oid(relation);
  if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE) tables = list_concat(tables, PartsOf(relation, &pending));
  ListCell *cell;
  foreach (cell, tables) RequireAttachable(lfirst_oid(cell));
  foreach (cell, tables) AttachTable(lfirst_oid(cell), true);
  foreach (cell, tables) {
    bool tracked;
    const char *obstacle = FindTrackingObstacle(lfirst_oid(cell), &tracked);
    if (obstacle)
      ereport(ERROR,
              (errcode(ERRCODE_WRONG_OBJECT_TYPE),
               errmsg("cannot track relation \"%s\"", get_rel_name(lfirst_oid(cell))), errdetail("%s.", obstacle)));
  }
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_detach);
PGDLLEXPORT Datum aggcache_detach(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  RequirePreloaded();
  PreventCommandDuringRecovery("aggcache.detach()");
  RequireTableOwner(PG_GETARG_OID(0));
  DetachTable(PG_GETARG_OID(0));
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_refresh);
PGDLLEXPORT Datum aggcache_refresh(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  RequirePreloaded();
  PreventCommandDuringRecovery("aggcache.refresh()");
  int64_t refreshed = 0;
  ListCell *cell;
  foreach (cell, CachedFunctions(GetUserId())) {
    CHECK_FOR_INTERRUPTS();
    Oid function = lfirst_oid(cell);
    FunctionRow row = ReadFunctionRow(function);
    if (!row.found || row.polymorphic) continue;
    char *name = format_procedure(function);
    const char *problem = RefreshOne(function, row);
    if (problem)
      ereport(WARNING, (errmsg("could not refresh function %s", name), errdetail("%s", problem)));
    else
      refreshed++;
  }
  ForgetGone();
  PG_RETURN_INT64(refreshed);
}

PG_FUNCTION_INFO_V1(aggcache_refresh_function);
PGDLLEXPORT Datum aggcache_refresh_function(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  RequirePreloaded();
  PreventCommandDuringRecovery("aggcache.refresh()");
  Oid function = PG_GETARG_OID(0);
  FunctionRow row = RequireCached(function);
  RequireFunctionOwner(function);
  char *name = format_procedure(function);
  if (row.polymorphic)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("could not refresh function %s", name),
                    errdetail("The function is polymorphic, so what it reads is known only when it is called."),
                    errhint("Put tracking on the tables that it reads with aggcache.attach().")));
  const char *problem = RefreshOne(function, row);
  if (problem)
    ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION), errmsg("could not refresh function %s", name),
                    errdetail("%s", problem)));
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_reset_stats);
PGDLLEXPORT Datum aggcache_reset_stats(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  if (shared::state == nullptr) PG_RETURN_VOID();
  ResetStatistics();
  ResetBlames();
  ResetRedisCounters();
  shared::state->statistics_reset_at.store(GetCurrentTimestamp());
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_health);
PGDLLEXPORT Datum aggcache_health(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ReportHealth(aggcache::Report(fcinfo));
  return Datum{0};
}
}
