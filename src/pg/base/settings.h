// The settings aggcache.* of the cache itself; redis/settings.h and depends_on.h have the others. docs/reference.md has
// a line for each.

#ifndef AGGCACHE_PG_BASE_SETTINGS_H
#define AGGCACHE_PG_BASE_SETTINGS_H

namespace aggcache {

namespace settings {

extern bool enabled;           // aggcache.enabled
extern int memory_mb;          // aggcache.memory
extern int stamp_slots;        // aggcache.stamp_slots
extern int max_functions;      // aggcache.max_functions
extern int max_tables;         // aggcache.max_tables
extern int max_blames;         // aggcache.max_blames, 0 = off
extern int max_entry_size_kb;  // aggcache.max_entry_size
extern int ttl_ms;             // aggcache.ttl, 0 = none
extern int max_staleness_ms;   // aggcache.max_staleness, 0 = exact
extern int wait_timeout_ms;    // aggcache.wait_timeout
extern int bulk_threshold;     // aggcache.bulk_threshold
enum KeepCurrent { kKeepOff, kKeepAuto, kKeepOn };
extern int keep_current;  // aggcache.keep_current
#ifdef AGGCACHE_DEBUG
extern bool debug_skip_registration;  // aggcache.debug_skip_registration; debug builds only
extern bool debug_seize_slots;        // aggcache.debug_seize_slots; debug builds only
extern int debug_skip_serializable;   // aggcache.debug_skip_serializable, a step of serializable.cc
extern int debug_lose_delta;          // aggcache.debug_lose_delta; debug builds only
extern int debug_repeat_delta;        // aggcache.debug_repeat_delta; debug builds only
#endif

// Declares them. Called by _PG_init. Those that size shared memory exist only where the library is preloaded.
void Define(bool preloading);

}  // namespace settings
}  // namespace aggcache

#endif
