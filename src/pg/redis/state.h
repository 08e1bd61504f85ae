// What all sessions share about Redis: whether it may be tried, and what it did. In shared memory, all atomics.

#ifndef AGGCACHE_PG_REDIS_STATE_H
#define AGGCACHE_PG_REDIS_STATE_H

#include "pg/base/server.h"

#include "redis/breaker.h"
#include "redis/client.h"
#include "redis/frame.h"
#include "redis/latency.h"
#include "redis/lineage.h"

namespace aggcache {

constexpr int kRedisFailures = static_cast<int>(redis::Failure::kCount);
constexpr int kFrameCodes = static_cast<int>(redis::FrameCode::kCount);

struct RedisState {
  redis::Lineage lineage;  // whose stamp slots results in Redis refer to

  redis::Breaker breaker;        // whether Redis may be tried at all
  redis::Breaker writes;         // whether it may be written to: it may be full, or a replica, and still be read
  std::atomic<uint64_t> target;  // RedisTargetHash of the configuration that they are about

  std::atomic<uint64_t> hits;     // values that were used
  std::atomic<uint64_t> misses;   // keys that were not there
  std::atomic<uint64_t> changed;  // values that a write since, an age or another snapshot forbade
  std::atomic<uint64_t> skipped;  // look-ups and writes that were not tried, as a breaker was open
  std::atomic<uint64_t> writes_sent;
  std::atomic<uint64_t> bytes_sent;
  std::atomic<uint64_t> bytes_received;
  std::atomic<uint64_t> failures[kRedisFailures];
  std::atomic<uint64_t> unreadable[kFrameCodes];  // values that were no result of this call
  std::atomic<uint64_t> unauthentic;              // values without the right proof of the secret
  redis::Latency latency;                         // from sending a command to its reply
};

// NULL unless the library was preloaded.
extern RedisState *redis_state;

Size RedisStateBytes();
void AttachRedisState(void *memory, bool fresh);

// The identity of the stamp slots now, after a look at what the system says. Asked for at each use of Redis, as memory
// may have been copied since the last.
void ServerIdentity(uint64_t identity[2]);

// Sets the counters to zero. The breakers stay.
void ResetRedisCounters();

// Microseconds of a clock that never goes back and that all sessions share.
int64_t RedisClock();

}  // namespace aggcache

#endif
