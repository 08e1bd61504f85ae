// PostgreSQL sets the variables; each process has its own. Those that size shared memory stay as they were when the
// server started.

#include "pg/base/server.h"

#include "pg/base/settings.h"

#include "pg/base/shared.h"

#include <climits>

namespace aggcache {
namespace settings {

bool enabled = true;
int memory_mb = 64;
int stamp_slots = 131072;
int max_functions = 1000;
int max_tables = 1000;
int max_blames = 1000;
int max_entry_size_kb = 8192;
int ttl_ms = 0;
int max_staleness_ms = 0;
int wait_timeout_ms = 5000;
int bulk_threshold = 4096;
int keep_current = kKeepOff;
#ifdef AGGCACHE_DEBUG
bool debug_skip_registration = false;
bool debug_seize_slots = false;
int debug_skip_serializable = 0;
int debug_lose_delta = 0;
int debug_repeat_delta = 0;
#endif

namespace {

bool CheckPowerOfTwo(int *value, void **, GucSource) {
  if ((*value & (*value - 1)) == 0) return true;
  GUC_check_errdetail("The value must be a power of two.");
  return false;
}

#ifdef AGGCACHE_DEBUG
void SeizeSlots(bool seize, void *) {
  if (shared::state && seize != debug_seize_slots) shared::stamps.Seize(seize);
}
#endif

void DefineSizes() {
  DefineCustomIntVariable("aggcache.memory", "Sets the shared memory for cached results.", nullptr, &memory_mb, 64, 1,
                          1024 * 1024, PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.stamp_slots", "Sets the number of slots in which writes are recorded.",
                          "A slot takes 64 bytes. Every key has two.", &stamp_slots, 131072, 1024, 16777216,
                          PGC_POSTMASTER, 0, CheckPowerOfTwo, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.max_functions", "Sets how many cached functions have statistics.", nullptr,
                          &max_functions, 1000, 10, 1000000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.max_tables", "Sets how many tracked tables have statistics.", nullptr, &max_tables,
                          1000, 10, 1000000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.max_blames", "Sets how many causes of invalidations are counted.",
                          "Zero means that causes are not looked for. Frequent causes displace rare ones.", &max_blames,
                          1000, 0, 1000000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
}

}  // namespace

void Define(bool preloading) {
  if (preloading) DefineSizes();
  DefineCustomBoolVariable("aggcache.enabled", "Uses the result cache.",
                           "When off, cached functions run their query on every call. Writes are tracked all the same.",
                           &enabled, true, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.max_entry_size", "Sets the largest result that is cached.", nullptr,
                          &max_entry_size_kb, 8192, 1, 1024 * 1024, PGC_USERSET, GUC_UNIT_KB, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("aggcache.ttl", "Sets how long a cached result may be used.",
                          "Zero means without limit. Needed by functions that read the clock.", &ttl_ms, 0, 0, INT_MAX,
                          PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.max_staleness", "Sets how old a result may be that later writes have changed.",
                          "Zero means that results are exact. A session always sees its own writes.", &max_staleness_ms,
                          0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  static const config_enum_entry keeping[] = {
      {"off", kKeepOff, false}, {"auto", kKeepAuto, false}, {"on", kKeepOn, false}, {nullptr, 0, false}};
  DefineCustomEnumVariable("aggcache.keep_current", "Sets which results writes keep current instead of ending them.",
                           "'on': all that can be; 'auto': those that writes have ended and that are asked for again.",
                           &keep_current, kKeepOff, keeping, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.wait_timeout",
                          "Sets how long to wait for another session that computes the same result.",
                          "Zero means not to wait.", &wait_timeout_ms, 5000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.bulk_threshold",
                          "Sets after how many changed keys of a table a transaction invalidates all of it.", nullptr,
                          &bulk_threshold, 4096, 1, INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
#ifdef AGGCACHE_DEBUG
  DefineCustomBoolVariable("aggcache.debug_skip_registration", "Leaves writes unrecorded, to show that tests notice.",
                           nullptr, &debug_skip_registration, false, PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr,
                           nullptr);
  DefineCustomBoolVariable("aggcache.debug_seize_slots", "Leaves all stamp slots as a stopped writer would.", nullptr,
                           &debug_seize_slots, false, PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, SeizeSlots, nullptr);
  static const config_enum_entry steps[] = {{"nothing", 0, false},      {"read_lock", 1, false},
                                            {"conflict_out", 2, false}, {"intent", 3, false},
                                            {"conflict_in", 4, false},  {nullptr, 0, false}};
  DefineCustomEnumVariable("aggcache.debug_skip_serializable",
                           "Leaves out a step of what SERIALIZABLE needs, to show that tests notice.", nullptr,
                           &debug_skip_serializable, 0, steps, PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.debug_lose_delta",
                          "Leaves out each so many-th delta of kept results, to show that tests notice.", nullptr,
                          &debug_lose_delta, 0, 0, INT_MAX, PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.debug_repeat_delta",
                          "Adds each so many-th delta of kept results twice, to show that tests notice.", nullptr,
                          &debug_repeat_delta, 0, 0, INT_MAX, PGC_SUSET, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
#endif
}

}  // namespace settings
}  // namespace aggcache
