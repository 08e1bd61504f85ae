// The breakers are atomics in shared memory. State of this session: whether it is the one that probes, and what has
// changed while the client was at work, which is logged when that has returned.

#include "pg/base/server.h"

#include "pg/redis/gate.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"

extern "C" {
#include "common/pg_prng.h"
}

namespace aggcache {

namespace {

using redis::BreakerState;
using redis::Failure;
using redis::Passage;

// What the breakers have let this session do. A probe ends with the first answer or failure.
Passage passage = Passage::kGo;
Passage write_passage = Passage::kGo;

// What happened within the client, to be logged when it has returned.
bool opened = false, closed = false, writes_opened = false, writes_closed = false;
char failure_text[256];

redis::BreakerLimits Limits() {
  redis::BreakerLimits limits;
  limits.shortest = 500000;
  limits.longest = 30000000;
  limits.lease = 1000000 + 1000 * (static_cast<int64_t>(settings::redis_connect_timeout_ms) +
                                   static_cast<int64_t>(settings::redis_timeout_ms));
  return limits;
}

// Redis has answered, whatever it said.
void EndProbe() noexcept {
  if (passage != Passage::kProbe) return;
  passage = Passage::kGo;
  if (redis_state->breaker.Succeed(RedisClock(), Limits())) closed = true;
}

// A server's words are for the log: in no encoding that it might not have, and without what it repeats of a command.
void KeepText(const char *text) noexcept {
  const char *repeated = strstr(text, ", with args beginning with");
  size_t size = 0;
  for (; text + size != repeated && text[size] != '\0' && size + 1 < sizeof(failure_text); size++)
    failure_text[size] = text[size] >= ' ' && text[size] <= '~' ? text[size] : '?';
  failure_text[size] = '\0';
}

// A reply has come.
void NoteAnswer(void *, int64_t microseconds) noexcept {
  redis_state->latency.Add(microseconds);
  EndProbe();
}

// What one value met says nothing of others, nor ends the wait of those who found out by small ones. But that so much
// of it moved is an answer.
void NoteFailureOfValue() noexcept {
  EndProbe();
  if (write_passage == Passage::kProbe) redis_state->writes.GiveUp(RedisClock());
  write_passage = Passage::kGo;
}

// A command has failed: of which breaker that tells depends on what it was and what it met.
void NoteFailure(void *, Failure failure, redis::About about, const char *text) noexcept {
  shared::Count(redis_state->failures[static_cast<int>(failure)]);
  if (failure == Failure::kLocal) return;
  if (about == redis::About::kValue) return NoteFailureOfValue();
  // A key that someone made a list says nothing of Redis.
  if (strncmp(text, "WRONGTYPE", 9) == 0) return EndProbe();
  const uint32_t random = pg_prng_uint32(&pg_global_prng_state);
  // That a command which changes data is refused says nothing of those which do not; a refused login does.
  const bool of_writes =
      failure == Failure::kOutOfMemory || failure == Failure::kReadOnly ||
      (about == redis::About::kWrites && (failure == Failure::kAuthentication || failure == Failure::kReply));
  bool changed;
  if (of_writes) {
    EndProbe();
    changed = redis_state->writes.Fail(write_passage, RedisClock(), random, Limits());
    write_passage = Passage::kGo;
    writes_opened |= changed;
  } else {
    changed = redis_state->breaker.Fail(passage, RedisClock(), random, Limits());
    passage = Passage::kGo;
    opened |= changed;
  }
  if (changed) KeepText(text);
}

// So much has gone over the connections.
void NoteBytes(void *, uint64_t sent, uint64_t received) noexcept {
  shared::Count(redis_state->bytes_sent, sent);
  shared::Count(redis_state->bytes_received, received);
}

}  // namespace

// The first session to use the new configuration forgets; each looks once for each reload, so that one which works on
// in the old configuration does not go back and forth with the others.
void HeedRedisConfiguration() {
  static uint64_t seen = 0;
  if (seen == redis_target_generation) return;
  seen = redis_target_generation;
  const uint64_t mine = RedisTargetHash();
  if (redis_state->target.exchange(mine, std::memory_order_relaxed) == mine) return;
  passage = write_passage = Passage::kGo;
  const bool was_open = redis_state->breaker.Reset(), writes_were_open = redis_state->writes.Reset();
  if (was_open || writes_were_open)
    ereport(LOG, (errmsg("Redis is tried again for cached results, as its configuration has changed")));
}

bool EnterRedis(RedisUse use, int64_t now) {
  HeedRedisConfiguration();
  // A write that Redis takes would not tell whether it answers a read, so it has to wait until one has been answered.
  const bool has_to_wait = use == RedisUse::kWrite && redis_state->breaker.State() != BreakerState::kClosed;
  if (passage != Passage::kProbe) passage = has_to_wait ? Passage::kStop : redis_state->breaker.Enter(now, Limits());
  if (passage == Passage::kStop) {
    passage = Passage::kGo;
    shared::Count(redis_state->skipped);
    return false;
  }
  if (use == RedisUse::kRead) return true;
  if (write_passage != Passage::kProbe) write_passage = redis_state->writes.Enter(now, Limits());
  if (write_passage == Passage::kStop) {
    write_passage = Passage::kGo;
    GiveUpRedisProbes();
    shared::Count(redis_state->skipped);
    return false;
  }
  return true;
}

redis::Observer RedisObserver() { return {NoteAnswer, NoteFailure, NoteBytes, nullptr}; }

void FailRedis(const char *text) {
  NoteFailure(nullptr, Failure::kConnect, redis::About::kServer, text);
  LogRedisChanges();
}

bool ProbesRedis() { return passage == Passage::kProbe || write_passage == Passage::kProbe; }

void RedisTookWrite() {
  if (write_passage != Passage::kProbe) return;
  write_passage = Passage::kGo;
  if (redis_state->writes.Succeed(RedisClock(), Limits())) writes_closed = true;
}

void GiveUpRedisProbes() {
  if (passage == Passage::kProbe) redis_state->breaker.GiveUp(RedisClock());
  if (write_passage == Passage::kProbe) redis_state->writes.GiveUp(RedisClock());
  passage = write_passage = Passage::kGo;
}

void LogRedisChanges() {
  if (!opened && !closed && !writes_opened && !writes_closed) return;
  bool was_opened = opened, was_closed = closed, writes_were_opened = writes_opened, writes_were_closed = writes_closed;
  opened = closed = writes_opened = writes_closed = false;
  if (was_opened)
    ereport(LOG, (errmsg("could not use Redis for cached results: %s", failure_text),
                  errdetail("Until Redis answers again, results are computed or taken from shared memory.")));
  if (was_closed) ereport(LOG, (errmsg("Redis is used for cached results again")));
  if (writes_were_opened)
    ereport(LOG, (errmsg("could not store cached results in Redis: %s", failure_text),
                  errdetail("Until Redis takes them again, only those that it has are used.")));
  if (writes_were_closed) ereport(LOG, (errmsg("cached results are stored in Redis again")));
}

const char *RedisObstacle(RedisUse use) {
  if (!RedisIsConfigured()) return "aggcache.redis_url is not set";
  HeedRedisConfiguration();
  if (redis_state->breaker.State() != BreakerState::kClosed) return "Redis does not answer";
  if (use == RedisUse::kWrite && redis_state->writes.State() != BreakerState::kClosed) return "Redis takes no writes";
  return nullptr;
}

bool RedisIsTried(RedisUse use) {
  if (!RedisIsConfigured()) return false;
  HeedRedisConfiguration();
  const int64_t now = RedisClock();
  auto may_pass = [now](const redis::Breaker &breaker) {
    return breaker.State() == BreakerState::kClosed || breaker.Until() <= now;
  };
  if (use == RedisUse::kRead) return may_pass(redis_state->breaker);
  return redis_state->breaker.State() == BreakerState::kClosed && may_pass(redis_state->writes);
}

}  // namespace aggcache
