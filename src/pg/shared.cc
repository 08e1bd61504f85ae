#include "pg/server.h"

#include "pg/shared.h"

#include "pg/blame.h"
#include "pg/redis_state.h"
#include "pg/settings.h"
#include "pg/single_flight.h"

namespace aggcache {
namespace shared {

SharedState *state = nullptr;
StampTable stamps;
EntryStore store;
FunctionStatistics *functions = nullptr;
TableStatistics *tables = nullptr;
FlightTable *flights = nullptr;

namespace {

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

constexpr char kTranche[] = "aggcache";
constexpr int kStatisticsLock = kPartitions;
constexpr int kBlameLock = kPartitions + 1;
constexpr int kLocks = kPartitions + 2;

Size StampBytes() { return mul_size(static_cast<Size>(settings::stamp_slots), sizeof(StampSlot)); }
Size StoreBytes() { return mul_size(static_cast<Size>(settings::memory_mb), 1024 * 1024); }
Size FunctionBytes() { return mul_size(static_cast<Size>(settings::max_functions), sizeof(FunctionStatistics)); }
Size TableBytes() { return mul_size(static_cast<Size>(settings::max_tables), sizeof(TableStatistics)); }

void Request() {
  if (previous_request_hook) previous_request_hook();
  Size size = MAXALIGN(sizeof(SharedState));
  size = add_size(size, add_size(StampBytes(), PG_CACHE_LINE_SIZE));
  size = add_size(size, add_size(StoreBytes(), PG_CACHE_LINE_SIZE));
  size = add_size(size, add_size(FunctionBytes(), TableBytes()));
  size = add_size(size, FlightTableBytes());
  size = add_size(size, add_size(BlameBytes(), PG_CACHE_LINE_SIZE));
  size = add_size(size, add_size(RedisStateBytes(), PG_CACHE_LINE_SIZE));
  RequestAddinShmemSpace(add_size(size, 8 * PG_CACHE_LINE_SIZE));
  RequestNamedLWLockTranche(kTranche, kLocks);
}

// ShmemInitStruct aligns to cache lines; what it hands out the first time is zeroed here.
void *Area(const char *name, Size size, bool *found) {
  void *area = ShmemInitStruct(name, size, found);
  if (!*found) memset(area, 0, size);
  return area;
}

void Startup() {
  if (previous_startup_hook) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found;
  state = static_cast<SharedState *>(Area("aggcache state", sizeof(SharedState), &found));
  if (!found) {
    LWLockPadded *locks = GetNamedLWLockTranche(kTranche);
    state->partition_locks = locks;
    state->statistics_lock = &locks[kStatisticsLock].lock;
    state->blame_lock = &locks[kBlameLock].lock;
    state->stamp_slots = static_cast<uint32_t>(settings::stamp_slots);
    state->store_bytes = StoreBytes();
    state->statistics_reset_at.store(GetCurrentTimestamp());
    const int64_t day = GetCurrentTimestamp();
    state->clock.Begin(day, ElapsedTime());
  }
  auto *slots = static_cast<StampSlot *>(Area("aggcache stamps", StampBytes(), &found));
  stamps = StampTable(slots, state->stamp_slots, &state->start);
  void *memory = Area("aggcache entries", state->store_bytes, &found);
  if (!found) EntryStore::Format(memory, state->store_bytes);
  store = EntryStore(memory, stamps);
  functions = static_cast<FunctionStatistics *>(Area("aggcache functions", FunctionBytes(), &found));
  tables = static_cast<TableStatistics *>(Area("aggcache tables", TableBytes(), &found));
  flights = static_cast<FlightTable *>(Area("aggcache flights", FlightTableBytes(), &found));
  if (!found) InitFlightTable(flights);
  InitBlame(Area("aggcache blame", BlameBytes(), &found));
  void *redis = Area("aggcache redis", RedisStateBytes(), &found);
  InitRedisState(redis, !found);
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

void InstallHooks() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = Request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = Startup;
}

}  // namespace shared
}  // namespace aggcache
