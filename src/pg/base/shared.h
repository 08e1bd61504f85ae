// Shared memory: what there is, and the locks over it.
//
//   stamp slots       no lock (src/core/stamp.h)
//   entries           one LWLock a partition: shared to look up, exclusive to store and evict
//   ledgers           one LWLock a partition (core/ledger.h)
//   function and table statistics   atomics; an LWLock only to claim a place and to give it back (statistics.h)
//
// Other areas belong to who uses them (module.cc lists them). No lock is held across anything that waits or runs user
// code.

#ifndef AGGCACHE_PG_BASE_SHARED_H
#define AGGCACHE_PG_BASE_SHARED_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "core/ledger.h"
#include "core/stamp.h"
#include "core/steady_clock.h"

namespace aggcache {

// Why a call did not hit, or that it did. The order is that of the statistics' columns.
enum class CallResult : uint8_t {
  kHit,
  kStaleHit,  // max_staleness let a changed result through
  kCold,      // no entry
  kChanged,   // a write since
  kExpired,   // older than its ttl
  kEvicted,   // there was one, but the memory was needed for others
  kOwnWrite,  // this transaction has written a source table
  kSnapshot,  // the entry could not be proven for this snapshot
  kUncached,  // the function, or this call, is not cached; the reason is told
  kCount
};

constexpr int kCallResults = static_cast<int>(CallResult::kCount);

struct FunctionStatistics {
  std::atomic<uint64_t> id;  // database << 32 | function oid; else see statistics.h
  std::atomic<uint64_t> calls[kCallResults];
  std::atomic<uint64_t> stores;
  std::atomic<uint64_t> rejected_stores;
  std::atomic<uint64_t> evictions;
  std::atomic<uint64_t> compute_ns;
  std::atomic<uint64_t> saved_ns;
  std::atomic<int64_t> last_changed;  // when an entry was last found changed
  std::atomic<uint64_t> kept;         // hits that were put together from what writers had kept (keep/)
  std::atomic<uint64_t> largest;      // bytes of the largest result so far; no statistic: it is never reset
};

struct TableStatistics {
  std::atomic<uint64_t> id;            // database << 32 | table oid; else see statistics.h
  std::atomic<uint64_t> transactions;  // committed ones that changed rows
  std::atomic<uint64_t> rows;
  std::atomic<uint64_t> bulk;  // escalations
  std::atomic<uint64_t> wide;  // DDL, TRUNCATE, changed watches
};

struct SharedState {
  std::atomic<Xid> start;  // see StampTable::Begin
  LWLock *statistics_lock;
  LWLock *blame_lock;
  LWLockPadded *partition_locks;  // kPartitions
  LWLockPadded *ledger_locks;     // kLedgerPartitions
  uint32_t stamp_slots;
  uint64_t store_bytes;
  std::atomic<int64_t> statistics_reset_at;
  SteadyClock clock;
};

namespace shared {

constexpr char kPreloadHint[] = "Add pg_aggcache to the setting shared_preload_libraries and start the server again.";

// NULL unless the library was preloaded.
extern SharedState *state;
extern StampTable stamps;
extern EntryStore store;
extern LedgerTable ledgers;
extern FunctionStatistics *functions;
extern TableStatistics *tables;

// A further area of shared memory.
struct Area {
  const char *name;
  Size (*bytes)();
  // Takes the memory, zeroed and `fresh` the first time, as it is later: processes without fork() come here too.
  void (*attach)(void *memory, bool fresh);
};

// Installs the hooks that request and set up the memory: what is here, and `count` further areas, an array that lasts.
// Called by _PG_init while shared_preload_libraries load.
void InstallHooks(const Area *areas, int count);

inline LWLock *PartitionLock(uint64_t key_hash) {
  return &state->partition_locks[EntryStore::PartitionOf(key_hash)].lock;
}
inline LWLock *LedgerLock(uint64_t tag) { return &state->ledger_locks[ledgers.PartitionOf(tag)].lock; }
inline LWLock *PartitionLockAt(uint32_t partition) { return &state->partition_locks[partition].lock; }

// Finds or claims the statistics of a function or table of this database; NULL when there are more than the settings
// allow. The place may later be given back and be another's: who keeps the pointer looks with StillOf.
FunctionStatistics *StatisticsOfFunction(Oid function);
TableStatistics *StatisticsOfTable(Oid table, bool create);

inline uint64_t ObjectId(Oid object) { return (static_cast<uint64_t>(MyDatabaseId) << 32) | object; }
// The place if it is still that of the function, else NULL.
inline FunctionStatistics *StillOf(FunctionStatistics *place, Oid function) {
  return place && place->id.load(std::memory_order_relaxed) == ObjectId(function) ? place : nullptr;
}
// Microseconds of a clock that nobody can set and that goes on while the machine sleeps.
int64_t ElapsedTime();

inline void Count(std::atomic<uint64_t> &counter, uint64_t by = 1) { counter.fetch_add(by, std::memory_order_relaxed); }

}  // namespace shared
}  // namespace aggcache

#endif
