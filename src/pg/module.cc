// The module: its magic block and _PG_init.

#include "pg/server.h"

#include "pg/attach.h"
#include "pg/collection.h"
#include "pg/definition_cache.h"
#include "pg/dependencies.h"
#include "pg/extension.h"
#include "pg/own_code.h"
#include "pg/privileges.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/statistics.h"
#include "pg/tracking.h"

extern "C" {

PG_MODULE_MAGIC;

// Without preloading the settings still exist, and every cached function gives the plain answer.
PGDLLEXPORT void _PG_init(void) {
  aggcache::settings::Define(process_shared_preload_libraries_in_progress);
  aggcache::NoteHooksBefore();
  aggcache::InstallOwnCodeHook();
  aggcache::InstallExtensionCallbacks();
  if (!process_shared_preload_libraries_in_progress) return;
  aggcache::shared::InstallHooks();
  aggcache::InstallStatisticsHooks();
  aggcache::InstallTrackingHooks();
  aggcache::InstallAttachHooks();
  aggcache::InstallDependencyHook();
  aggcache::InstallDefinitionCallbacks();
  aggcache::InstallCollections();
  aggcache::NoteHooksAfter();
}
}
