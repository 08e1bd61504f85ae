#include "pg/server.h"

#include "pg/settings.h"

#include "pg/depends_on.h"
#include "pg/redis_names.h"
#include "pg/redis_target.h"
#include "pg/shared.h"

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
char *depends_on = nullptr;
int store = kShared;
char *redis_prefix = nullptr;
int redis_ttl_s = 24 * 60 * 60;
int redis_connect_timeout_ms = 100;
int redis_timeout_ms = 100;
int redis_idle_timeout_ms = 5 * 60 * 1000;
int redis_compress_from = 2048;
#ifdef AGGCACHE_DEBUG
char *debug_place = nullptr;
bool debug_skip_registration = false;
bool debug_seize_slots = false;
int debug_skip_serializable = 0;
char *debug_name_servers = nullptr;
#endif

namespace {

bool CheckPowerOfTwo(int *value, void **, GucSource) {
  if ((*value & (*value - 1)) == 0) return true;
  GUC_check_errdetail("The value must be a power of two.");
  return false;
}

bool CheckRelationNames(char **value, void **, GucSource) {
  List *names;
  if (*value == nullptr || SplitRelationNames(*value, &names)) return true;
  GUC_check_errdetail("The value must be a list of relation names, separated by commas.");
  return false;
}

#ifdef AGGCACHE_DEBUG
void SeizeSlots(bool seize, void *) {
  if (shared::state && seize != debug_seize_slots) shared::stamps.Seize(seize);
}
#endif

// A prefix must not be mistaken for a pattern or a cluster's hash tag.
bool CheckPrefix(char **value, void **, GucSource) {
  if (strlen(*value) <= kMostPrefix && strspn(*value, kPlainKeyCharacters) == strlen(*value)) return true;
  GUC_check_errdetail("The value must be at most 64 letters, digits, \"_\", \"-\", \".\", \":\" or \"/\".");
  return false;
}

void DefineRedis() {
  static const config_enum_entry tiers[] = {
      {"shared", kShared, false}, {"redis", kRedis, false}, {"tiered", kTiered, false}, {nullptr, 0, false}};
  DefineCustomEnumVariable("aggcache.store", "Sets where results are kept.",
                           "Shared memory, Redis, or shared memory in front of Redis.", &store, kShared, tiers,
                           PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineRedisTarget();
  DefineCustomStringVariable("aggcache.redis_prefix", "Sets what the names of all keys in Redis begin with.", nullptr,
                             &redis_prefix, "aggcache", PGC_SIGHUP, 0, CheckPrefix, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_ttl", "Sets how long Redis keeps a result that has no aggcache.ttl.", nullptr,
                          &redis_ttl_s, 24 * 60 * 60, 1, INT_MAX, PGC_USERSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_connect_timeout",
                          "Sets how long connecting to Redis may take, looking up its host included.", nullptr,
                          &redis_connect_timeout_ms, 100, 1, 60000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_timeout", "Sets how long a reply of Redis may take.", nullptr,
                          &redis_timeout_ms, 100, 1, 60000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_idle_timeout",
                          "Sets after how long without use a session's connection to Redis is closed.",
                          "Zero means that it stays open.", &redis_idle_timeout_ms, 5 * 60 * 1000, 0, INT_MAX,
                          PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_compress_from",
                          "Sets from which size on results are compressed before they are sent to Redis.",
                          "-1 means that they are not.", &redis_compress_from, 2048, -1, INT_MAX, PGC_SIGHUP,
                          GUC_UNIT_BYTE, nullptr, nullptr, nullptr);
}

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
  DefineCustomIntVariable("aggcache.wait_timeout",
                          "Sets how long to wait for another session that computes the same result.",
                          "Zero means not to wait.", &wait_timeout_ms, 5000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.bulk_threshold",
                          "Sets after how many changed keys a statement invalidates the whole table.", nullptr,
                          &bulk_threshold, 4096, 1, INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("aggcache.depends_on", "Names the relations that opaque functions in the body read.",
                             "It counts only as a SET clause of a cached function. An empty list: they read none.",
                             &depends_on, "", PGC_USERSET, 0, CheckRelationNames, nullptr, nullptr);
  DefineRedis();
#ifdef AGGCACHE_DEBUG
  DefineCustomStringVariable("aggcache.debug_place", "Stands for where the server runs.", nullptr, &debug_place, "",
                             PGC_SIGHUP, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
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
  DefineCustomStringVariable("aggcache.debug_name_servers", "Names the servers that look up the hosts of Redis.",
                             "A list of address:port. Empty: those of the machine.", &debug_name_servers, "",
                             PGC_SIGHUP, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
#endif
  // Where the library comes late, settings of the configuration file that only exist when it is preloaded are no
  // mistakes.
  if (preloading) MarkGUCPrefixReserved("aggcache");
}

}  // namespace settings
}  // namespace aggcache
