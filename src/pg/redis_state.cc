#include "pg/server.h"

#include "pg/redis_state.h"

#include <ctime>

namespace aggcache {

RedisState *redis_state = nullptr;

Size RedisStateBytes() { return sizeof(RedisState); }

void InitRedisState(void *memory, bool fresh) {
  redis_state = static_cast<RedisState *>(memory);
  if (!fresh) return;
  if (!pg_strong_random(redis_state->boot, sizeof(redis_state->boot)))
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random number")));
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
