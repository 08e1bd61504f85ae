// The function behind the view aggcache.redis.

#include "pg/base/server.h"

#include <initializer_list>

#include "pg/redis/gate.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"
#include "pg/sql/row.h"

namespace aggcache {

namespace {

using redis::Failure;
using redis::FrameCode;

const char *StateName(const redis::Breaker &breaker) {
  if (!RedisIsConfigured()) return "off";
  switch (breaker.State()) {
    case redis::BreakerState::kClosed: return "ready";
    case redis::BreakerState::kOpen: return "unavailable";
    case redis::BreakerState::kProbing: break;
  }
  return "probing";
}

// The breakers' clock begins anywhere.
TimestampTz RetryAt(const redis::Breaker &breaker) {
  if (breaker.State() == redis::BreakerState::kClosed) return 0;
  return GetCurrentTimestamp() + Max(int64_t{0}, breaker.Until() - RedisClock());
}

uint64_t Counted(const std::atomic<uint64_t> &counter) { return counter.load(std::memory_order_relaxed); }

void ShowRedis(Row row) {
  HeedRedisConfiguration();
  const RedisState &state = *redis_state;
  auto failures = [&](Failure failure) { row.BigInt(Counted(state.failures[static_cast<int>(failure)])); };
  auto unreadable = [&](FrameCode code) { return Counted(state.unreadable[static_cast<int>(code)]); };
  auto percentile = [&](double part) {
    const double microseconds = state.latency.Percentile(part);
    microseconds < 0 ? row.Null() : row.Float(microseconds / 1000);
  };
  const bool closed = state.breaker.State() == redis::BreakerState::kClosed;
  row.Text(StateName(state.breaker));
  row.Text(StateName(closed ? state.writes : state.breaker));
  row.Text(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS) ? RedisUrl() : nullptr);
  row.Time(RetryAt(closed ? state.writes : state.breaker));
  row.Int((closed ? state.writes : state.breaker).Attempts());
  row.BigInt(Counted(state.hits));
  row.BigInt(Counted(state.misses));
  row.BigInt(Counted(state.changed));
  row.BigInt(Counted(state.writes_sent));
  row.BigInt(Counted(state.skipped));
  row.BigInt(Counted(state.bytes_sent));
  row.BigInt(Counted(state.bytes_received));
  row.BigInt(state.latency.Count());
  percentile(0.5);
  percentile(0.95);
  percentile(0.99);
  for (Failure failure :
       {Failure::kConnect, Failure::kTimeout, Failure::kProtocol, Failure::kAuthentication, Failure::kOutOfMemory,
        Failure::kReadOnly, Failure::kLoading, Failure::kCluster, Failure::kReply, Failure::kLocal})
    failures(failure);
  row.BigInt(unreadable(FrameCode::kTruncated) + unreadable(FrameCode::kAltered) + unreadable(FrameCode::kMalformed));
  row.BigInt(unreadable(FrameCode::kOtherVersion) + unreadable(FrameCode::kOtherBoot) +
             unreadable(FrameCode::kOtherRowType) + unreadable(FrameCode::kOtherKey));
  row.BigInt(unreadable(FrameCode::kTooLarge) + unreadable(FrameCode::kNoMemory));
  row.BigInt(Counted(state.unauthentic));
  row.End();
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_redis_state);
PGDLLEXPORT Datum aggcache_redis_state(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  if (aggcache::redis_state != nullptr) aggcache::ShowRedis(aggcache::Row(fcinfo));
  return Datum{0};
}
}
