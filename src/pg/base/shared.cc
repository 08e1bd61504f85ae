// Asks for the memory of all areas, and takes it when the server makes it. The pointers are set then, under
// AddinShmemInitLock, and only read from there on.

#include "pg/base/server.h"

#include "pg/base/shared.h"

#include "pg/base/settings.h"

namespace aggcache {
namespace shared {

SharedState *state = nullptr;
StampTable stamps;
EntryStore store;
LedgerTable ledgers;
FunctionStatistics *functions = nullptr;
TableStatistics *tables = nullptr;

namespace {

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;
const Area *further = nullptr;
int further_count = 0;

constexpr char kTranche[] = "aggcache";
constexpr int kStatisticsLock = kPartitions;
constexpr int kBlameLock = kPartitions + 1;
constexpr int kLedgerLocks = kPartitions + 2;
constexpr int kLocks = kLedgerLocks + static_cast<int>(kLedgerPartitions);
constexpr uint32_t kLedgerBuckets = 16384;

// Ledgers have memory of their own, so that nobody can take that of results by having many of them kept current: a
// quarter as much again.
uint32_t LedgerBlocks() {
  return static_cast<uint32_t>(static_cast<Size>(settings::memory_mb) * 1024 * 1024 / 4 / kBlockBytes);
}

//     | LedgerTable | BlockPool::Shared | links | blocks, at a multiple of 64 |
Size LedgerLinksAt() { return LedgerTable::BytesFor(kLedgerBuckets) + sizeof(BlockPool::Shared); }
Size LedgerBlocksAt() { return TYPEALIGN(64, LedgerLinksAt() + sizeof(BlockPool::Link) * LedgerBlocks()); }
Size LedgerBytes() { return LedgerBlocksAt() + static_cast<Size>(LedgerBlocks()) * kBlockBytes; }

Size StampBytes() { return mul_size(static_cast<Size>(settings::stamp_slots), sizeof(StampSlot)); }
Size StoreBytes() { return mul_size(static_cast<Size>(settings::memory_mb), 1024 * 1024); }
Size FunctionBytes() { return mul_size(static_cast<Size>(settings::max_functions), sizeof(FunctionStatistics)); }
Size TableBytes() { return mul_size(static_cast<Size>(settings::max_tables), sizeof(TableStatistics)); }

void RequestMemory() {
  if (previous_request_hook) previous_request_hook();
  Size size = MAXALIGN(sizeof(SharedState));
  size = add_size(size, add_size(StampBytes(), PG_CACHE_LINE_SIZE));
  size = add_size(size, add_size(StoreBytes(), PG_CACHE_LINE_SIZE));
  size = add_size(size, add_size(FunctionBytes(), TableBytes()));
  size = add_size(size, add_size(LedgerBytes(), PG_CACHE_LINE_SIZE));
  for (int i = 0; i < further_count; i++) size = add_size(size, add_size(further[i].bytes(), PG_CACHE_LINE_SIZE));
  RequestAddinShmemSpace(add_size(size, 8 * PG_CACHE_LINE_SIZE));
  RequestNamedLWLockTranche(kTranche, kLocks);
}

// ShmemInitStruct aligns to cache lines; what it hands out the first time is zeroed here.
void *TakeArea(const char *name, Size size, bool *found) {
  void *area = ShmemInitStruct(name, size, found);
  if (!*found) memset(area, 0, size);
  return area;
}

void SetUpLedgers() {
  bool found;
  auto *memory = static_cast<unsigned char *>(TakeArea("aggcache ledgers", LedgerBytes(), &found));
  auto *pool = reinterpret_cast<BlockPool::Shared *>(memory + LedgerTable::BytesFor(kLedgerBuckets));
  auto *links = reinterpret_cast<BlockPool::Link *>(memory + LedgerLinksAt());
  if (!found) {
    LedgerTable::Format(memory, kLedgerBuckets);
    BlockPool::Format(pool, links, LedgerBlocks());
  }
  ledgers = LedgerTable(memory, BlockPool(pool, links, memory + LedgerBlocksAt(), LedgerBlocks()), stamps);
}

void SetUpMemory() {
  if (previous_startup_hook) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found;
  state = static_cast<SharedState *>(TakeArea("aggcache state", sizeof(SharedState), &found));
  if (!found) {
    LWLockPadded *locks = GetNamedLWLockTranche(kTranche);
    state->partition_locks = locks;
    state->statistics_lock = &locks[kStatisticsLock].lock;
    state->blame_lock = &locks[kBlameLock].lock;
    state->ledger_locks = &locks[kLedgerLocks];
    state->stamp_slots = static_cast<uint32_t>(settings::stamp_slots);
    state->store_bytes = StoreBytes();
    state->statistics_reset_at.store(GetCurrentTimestamp());
    const int64_t day = GetCurrentTimestamp();
    state->clock.Begin(day, ElapsedTime());
  }
  auto *slots = static_cast<StampSlot *>(TakeArea("aggcache stamps", StampBytes(), &found));
  stamps = StampTable(slots, state->stamp_slots, &state->start);
  void *memory = TakeArea("aggcache entries", state->store_bytes, &found);
  if (!found) EntryStore::Format(memory, state->store_bytes);
  store = EntryStore(memory, stamps);
  SetUpLedgers();
  functions = static_cast<FunctionStatistics *>(TakeArea("aggcache functions", FunctionBytes(), &found));
  tables = static_cast<TableStatistics *>(TakeArea("aggcache tables", TableBytes(), &found));
  for (int i = 0; i < further_count; i++) {
    memory = TakeArea(further[i].name, further[i].bytes(), &found);
    further[i].attach(memory, !found);
  }
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

int64_t ElapsedTime() {
  struct timespec now;
#ifdef CLOCK_BOOTTIME
  clock_gettime(CLOCK_BOOTTIME, &now);
#else
  clock_gettime(CLOCK_MONOTONIC, &now);
#endif
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

void InstallHooks(const Area *areas, int count) {
  further = areas;
  further_count = count;
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = RequestMemory;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = SetUpMemory;
}

}  // namespace shared
}  // namespace aggcache
