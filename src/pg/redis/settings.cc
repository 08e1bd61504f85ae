// PostgreSQL sets the variables; each process has its own.

#include "pg/base/server.h"

#include "pg/redis/settings.h"

#include "pg/body/definition.h"
#include "pg/redis/target.h"

#include <climits>

namespace aggcache {

namespace settings {

int store = kShared;
char *redis_prefix = nullptr;
int redis_ttl_s = 24 * 60 * 60;
int redis_connect_timeout_ms = 100;
int redis_timeout_ms = 100;
int redis_idle_timeout_ms = 5 * 60 * 1000;
int redis_compress_from = 2048;
#ifdef AGGCACHE_DEBUG
char *debug_place = nullptr;
char *debug_name_servers = nullptr;
#endif

}  // namespace settings

namespace {

// A prefix must not be mistaken for a pattern or a cluster's hash tag.
bool CheckPrefix(char **value, void **, GucSource) {
  if (strlen(*value) <= kMostPrefix && strspn(*value, kPlainKeyCharacters) == strlen(*value)) return true;
  GUC_check_errdetail("The value must be at most 64 letters, digits, \"_\", \"-\", \".\", \":\" or \"/\".");
  return false;
}

}  // namespace

void DefineRedisSettings() {
  static const config_enum_entry tiers[] = {
      {"shared", kShared, false}, {"redis", kRedis, false}, {"tiered", kTiered, false}, {nullptr, 0, false}};
  DefineCustomEnumVariable("aggcache.store", "Sets where results are kept.",
                           "Shared memory, Redis, or shared memory in front of Redis.", &settings::store, kShared,
                           tiers, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineRedisTarget();
  DefineCustomStringVariable("aggcache.redis_prefix", "Sets what the names of all keys in Redis begin with.", nullptr,
                             &settings::redis_prefix, "aggcache", PGC_SIGHUP, 0, CheckPrefix, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_ttl", "Sets how long Redis keeps a result that has no aggcache.ttl.", nullptr,
                          &settings::redis_ttl_s, 24 * 60 * 60, 1, INT_MAX, PGC_USERSET, GUC_UNIT_S, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable(
      "aggcache.redis_connect_timeout", "Sets how long connecting to Redis may take, looking up its host included.",
      nullptr, &settings::redis_connect_timeout_ms, 100, 1, 60000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_timeout", "Sets how long a reply of Redis may take.", nullptr,
                          &settings::redis_timeout_ms, 100, 1, 60000, PGC_SUSET, GUC_UNIT_MS, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("aggcache.redis_idle_timeout",
                          "Sets after how long without use a session's connection to Redis is closed.",
                          "Zero means that it stays open.", &settings::redis_idle_timeout_ms, 5 * 60 * 1000, 0, INT_MAX,
                          PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("aggcache.redis_compress_from",
                          "Sets from which size on results are compressed before they are sent to Redis.",
                          "-1 means that they are not.", &settings::redis_compress_from, 2048, -1, INT_MAX, PGC_SIGHUP,
                          GUC_UNIT_BYTE, nullptr, nullptr, nullptr);
#ifdef AGGCACHE_DEBUG
  DefineCustomStringVariable("aggcache.debug_place", "Stands for where the server runs.", nullptr,
                             &settings::debug_place, "", PGC_SIGHUP, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("aggcache.debug_name_servers", "Names the servers that look up the hosts of Redis.",
                             "A list of address:port. Empty: those of the machine.", &settings::debug_name_servers, "",
                             PGC_SIGHUP, GUC_NOT_IN_SAMPLE, nullptr, nullptr, nullptr);
#endif
}

}  // namespace aggcache
