// Where results are kept, and the settings of Redis; which one: redis/target.h.

#ifndef AGGCACHE_PG_REDIS_SETTINGS_H
#define AGGCACHE_PG_REDIS_SETTINGS_H

#include "pg/base/server.h"

namespace aggcache {

// Where results are kept: aggcache.store.
enum StoreTier : int { kShared, kRedis, kTiered };

namespace settings {

extern int store;                     // aggcache.store, a StoreTier
extern char *redis_prefix;            // aggcache.redis_prefix
extern int redis_ttl_s;               // aggcache.redis_ttl
extern int redis_connect_timeout_ms;  // aggcache.redis_connect_timeout
extern int redis_timeout_ms;          // aggcache.redis_timeout
extern int redis_idle_timeout_ms;     // aggcache.redis_idle_timeout, 0 = never
extern int redis_compress_from;       // aggcache.redis_compress_from, bytes; -1 = never
#ifdef AGGCACHE_DEBUG
extern char *debug_place;         // aggcache.debug_place
extern char *debug_name_servers;  // aggcache.debug_name_servers
#endif

}  // namespace settings

// The prefix of all keys has at most so many characters.
constexpr size_t kMostPrefix = 64;

// Declares them, and those of redis/target.h. Called by _PG_init.
void DefineRedisSettings();

}  // namespace aggcache

#endif
