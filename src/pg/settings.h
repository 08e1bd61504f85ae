// The settings aggcache.*. Documented in docs/reference.md; each has a line there.

#ifndef AGGCACHE_PG_SETTINGS_H
#define AGGCACHE_PG_SETTINGS_H

namespace aggcache {

// Where results are kept: aggcache.store.
enum StoreTier : int { kShared, kRedis, kTiered };

namespace settings {

extern bool enabled;                  // aggcache.enabled
extern int memory_mb;                 // aggcache.memory
extern int stamp_slots;               // aggcache.stamp_slots
extern int max_functions;             // aggcache.max_functions
extern int max_tables;                // aggcache.max_tables
extern int max_blames;                // aggcache.max_blames, 0 = off
extern int max_entry_size_kb;         // aggcache.max_entry_size
extern int ttl_ms;                    // aggcache.ttl, 0 = none
extern int max_staleness_ms;          // aggcache.max_staleness, 0 = exact
extern int wait_timeout_ms;           // aggcache.wait_timeout
extern int bulk_threshold;            // aggcache.bulk_threshold
extern char *depends_on;              // aggcache.depends_on; read from the function's SET clauses, never from here
extern int store;                     // aggcache.store, a StoreTier
extern char *redis_prefix;            // aggcache.redis_prefix
extern int redis_ttl_s;               // aggcache.redis_ttl
extern int redis_connect_timeout_ms;  // aggcache.redis_connect_timeout
extern int redis_timeout_ms;          // aggcache.redis_timeout
extern int redis_idle_timeout_ms;     // aggcache.redis_idle_timeout, 0 = never
extern int redis_compress_from;       // aggcache.redis_compress_from, bytes; -1 = never
#ifdef AGGCACHE_DEBUG
extern char *debug_place;             // aggcache.debug_place; debug builds only
extern bool debug_skip_registration;  // aggcache.debug_skip_registration; debug builds only
extern bool debug_seize_slots;        // aggcache.debug_seize_slots; debug builds only
extern int debug_skip_serializable;   // aggcache.debug_skip_serializable, a step of serializable.cc
extern char *debug_name_servers;      // aggcache.debug_name_servers
#endif

// Declares them. Called by _PG_init. Those that size shared memory exist only where the library is preloaded.
void Define(bool preloading);

}  // namespace settings
}  // namespace aggcache

#endif
