// The pointer is set when shared memory is set up. A session looks at the clocks at each use, and at the place once a
// second; entries are removed under the locks of their partitions, one after the other.

#include "pg/base/server.h"

#include "pg/redis/state.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/redis/settings.h"

#include <fcntl.h>
#include <unistd.h>
#include <ctime>

namespace aggcache {

RedisState *redis_state = nullptr;

namespace {

constexpr int64_t kLookEvery = 1000000;

uint64_t HashPlaceBytes(const char *bytes, ssize_t size, uint64_t seed) {
  return hash_bytes_extended(reinterpret_cast<const unsigned char *>(bytes), static_cast<int>(Max(size, 0)), seed);
}

// What is not there, or may not be read, tells nothing.
uint64_t HashFile(const char *path, uint64_t seed) {
  char bytes[256];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return seed;
  ssize_t size = read(file, bytes, sizeof(bytes));
  close(file);
  return HashPlaceBytes(bytes, size, seed);
}

uint64_t HashLink(const char *path, uint64_t seed) {
  char bytes[256];
  return HashPlaceBytes(bytes, readlink(path, bytes, sizeof(bytes)), seed);
}

// Of the kernel, the machine and the containers.
uint64_t HashPlace() {
  uint64_t hash = HashFile("/proc/sys/kernel/random/boot_id", 1);
  hash = HashFile("/etc/machine-id", hash);
  hash = HashFile("/sys/firmware/qemu_fw_cfg/by_name/etc/vmgenid_guid/raw", hash);
  hash = HashLink("/proc/self/ns/pid", hash);
  hash = HashLink("/proc/self/ns/net", hash);
  char name[256] = {0};
  (void)gethostname(name, sizeof(name) - 1);
  hash = HashPlaceBytes(name, static_cast<ssize_t>(strlen(name)), hash);
#ifdef AGGCACHE_DEBUG
  hash = HashPlaceBytes(settings::debug_place, static_cast<ssize_t>(strlen(settings::debug_place)), hash);
#endif
  return hash;
}

#ifdef CLOCK_BOOTTIME
constexpr clockid_t kSinceBoot = CLOCK_BOOTTIME;
#else
constexpr clockid_t kSinceBoot = CLOCK_MONOTONIC;
#endif

// Between the clock of the day and that since the boot. Both are slowed and hastened alike.
int64_t ClockDistance() {
  struct timespec day, boot;
  clock_gettime(CLOCK_REALTIME, &day);
  clock_gettime(kSinceBoot, &boot);
  return (static_cast<int64_t>(day.tv_sec) - boot.tv_sec) * 1000000 + (day.tv_nsec - boot.tv_nsec) / 1000;
}

bool IsAnyEntry(void *, const EntryInfo &) noexcept { return true; }

// What was taken over from Redis may be another's; it cannot be told apart.
void RemoveAllEntries() {
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    LWLockAcquire(shared::PartitionLockAt(partition), LW_EXCLUSIVE);
    shared::store.RemoveIf(partition, IsAnyEntry, nullptr);
    LWLockRelease(shared::PartitionLockAt(partition));
  }
}

}  // namespace

Size RedisStateBytes() { return sizeof(RedisState); }

void AttachRedisState(void *memory, bool fresh) {
  redis_state = static_cast<RedisState *>(memory);
  if (!fresh) return;
  if (!pg_strong_random(redis_state->lineage.boot, sizeof(redis_state->lineage.boot)))
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random number")));
  redis_state->lineage.place.store(HashPlace());
  redis_state->lineage.clock_distance.store(ClockDistance());
}

void ServerIdentity(uint64_t identity[2]) {
  static int64_t looked_at = 0;
  redis::Lineage *lineage = &redis_state->lineage;
  const int64_t distance = ClockDistance(), now = RedisClock();
  // The clocks are looked at each time, files once a second.
  if (redis::IsClockSet(*lineage, distance) || now - looked_at >= kLookEvery || now < looked_at) {
    looked_at = now;
    uint64_t random;
    if (!pg_strong_random(&random, sizeof(random))) random = static_cast<uint64_t>(now) ^ MyProcPid;
    if (redis::Follow(lineage, HashPlace(), distance, random)) {
      ereport(LOG, (errmsg("pg_aggcache leaves its results in Redis"),
                    errdetail("The clock was set, or the server runs in another place.")));
      RemoveAllEntries();
    }
  }
  redis::IdentityOf(*lineage, identity);
}

void ResetRedisCounters() {
  std::atomic<uint64_t> *counters[] = {
      &redis_state->hits,        &redis_state->misses,     &redis_state->changed,        &redis_state->skipped,
      &redis_state->writes_sent, &redis_state->bytes_sent, &redis_state->bytes_received, &redis_state->unauthentic};
  for (auto *counter : counters) counter->store(0, std::memory_order_relaxed);
  for (auto &counter : redis_state->failures) counter.store(0, std::memory_order_relaxed);
  for (auto &counter : redis_state->unreadable) counter.store(0, std::memory_order_relaxed);
  redis_state->latency.Reset();
}

int64_t RedisClock() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

}  // namespace aggcache
