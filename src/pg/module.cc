// The module: all hooks, areas of shared memory, settings, and steps at the end of a transaction, in their order.

#include "pg/base/server.h"

#include "pg/base/extension.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/statistics.h"
#include "pg/body/definition_cache.h"
#include "pg/body/privileges.h"
#include "pg/call/collection.h"
#include "pg/call/single_flight.h"
#include "pg/facts/depends_on.h"
#include "pg/facts/own_code.h"
#include "pg/keep/kept_writes.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/values.h"
#include "pg/watch/appearances.h"
#include "pg/write/blame.h"
#include "pg/write/catalog_commits.h"
#include "pg/write/counted_writes.h"
#include "pg/write/follow_up.h"
#include "pg/write/hooks.h"
#include "pg/write/registration.h"
#include "pg/write/row_tags.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

// ---- Areas of shared memory, after those of shared.h --------------------------------------------------------------

constexpr shared::Area kAreas[] = {
    {"aggcache flights", FlightTableBytes, AttachFlightTable},
    {"aggcache blame", BlameBytes, AttachBlame},
    {"aggcache redis", RedisStateBytes, AttachRedisState},
};

// ---- The end of a transaction -------------------------------------------------------------------------------------

// However it ends: what it leaves in this session is forgotten. No step may raise an error.
void (*const kForget[])() = {
    ForgetCollections,  // what was being computed
    ForgetWritten,     ForgetStatements, ForgetChangedCatalogs, ForgetReported, ForgetDeferred, EndRowChanges,
    ForgetKept,       // what was to go into ledgers
    AbandonFollowUp,  // DDL that was to be followed up
    AbandonFlights,   // others may wait for this session
    ForgetRedisValues,
};

void OnTransaction(XactEvent event, void *) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
      RegisterBeforeCommit();
      PublishKept();
      if (event == XACT_EVENT_PRE_COMMIT) FindDroppedStatistics();
      return;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
      NoteOwnCommit(event);
      CountWritten();
      break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT: break;
    default: return;
  }
  for (auto *forget : kForget) forget();
  // last, as the others may have counted
  GiveBackStatistics(event == XACT_EVENT_COMMIT);
}

void OnSubtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
  NoteWhetherCounted();
  if (event == SUBXACT_EVENT_COMMIT_SUB || event == SUBXACT_EVENT_ABORT_SUB)
    EndKeptLevel(GetCurrentTransactionNestLevel(), event == SUBXACT_EVENT_COMMIT_SUB);
  if (event == SUBXACT_EVENT_COMMIT_SUB || event == SUBXACT_EVENT_ABORT_SUB)
    EndReportedLevel(GetCurrentTransactionNestLevel(), event == SUBXACT_EVENT_COMMIT_SUB);
}

// ---- Settings -----------------------------------------------------------------------------------------------------

// Without preloading they still exist, but for those that size shared memory.
void DefineSettings(bool preloading) {
  settings::Define(preloading);
  DefineDependsOn();
  DefineRedisSettings();
  // Where the library comes late, settings of the configuration file that only exist when it is preloaded are no
  // mistakes.
  if (preloading) MarkGUCPrefixReserved("aggcache");
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_MODULE_MAGIC;

// Without preloading every cached function gives the plain answer.
PGDLLEXPORT void _PG_init(void) {
  using namespace aggcache;
  const bool preloading = process_shared_preload_libraries_in_progress;
  DefineSettings(preloading);
  NoteHooksBefore();
  InstallOwnCodeHook();         // object_access_hook
  InstallExtensionCallbacks();  // invalidation of relations and of languages
  if (!preloading) return;
  shared::InstallHooks(kAreas, lengthof(kAreas));  // shmem_request_hook, shmem_startup_hook
  InstallStatisticsHook();                         // object_access_hook
  InstallTrackingHooks();                          // ExecutorStart_hook, ProcessUtility_hook
  InstallFollowUpHook();                           // object_access_hook
  InstallAppearanceHook();                         // set_rel_pathlist_hook
  InstallDefinitionCallbacks();                    // invalidation of relations and of catalog rows
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
  NoteHooksAfter();
}
}
