#include "pg/server.h"

#include "pg/redis_session.h"

#include "pg/redis_secret.h"
#include "pg/redis_state.h"
#include "pg/redis_target.h"
#include "pg/settings.h"
#include "pg/shared.h"

extern "C" {
#include "common/pg_prng.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/timeout.h"
}

namespace aggcache {

namespace {

using redis::Failure;
using redis::Passage;

constexpr int kMostSockets = 32;
constexpr uint32_t kMostCommands = 4096;
constexpr uint64_t kMostBytes = 64 * 1024 * 1024;

redis::Client *client = nullptr;
uint64_t client_generation = 0;

// While it is set, the client is at work, and the timer's handler keeps away from it.
volatile sig_atomic_t client_busy = 0;
volatile int64_t last_use = 0;

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

// ---- What the client tells ---------------------------------------------------------------------------------------

// Redis has answered, whatever it said.
void EndProbe() noexcept {
  if (passage != Passage::kProbe) return;
  passage = Passage::kGo;
  if (redis_state->breaker.Succeed(RedisClock(), Limits())) closed = true;
}

void Answered(void *, int64_t microseconds) noexcept {
  redis_state->latency.Add(microseconds);
  EndProbe();
}

// A server's words are for the log: in no encoding that it might not have, and without what it repeats of a command.
void KeepText(const char *text) noexcept {
  const char *repeated = strstr(text, ", with args beginning with");
  size_t size = 0;
  for (; text + size != repeated && text[size] != '\0' && size + 1 < sizeof(failure_text); size++)
    failure_text[size] = text[size] >= ' ' && text[size] <= '~' ? text[size] : '?';
  failure_text[size] = '\0';
}

void Failed(void *, Failure failure, bool is_write, const char *text) noexcept {
  shared::Count(redis_state->failures[static_cast<int>(failure)]);
  if (failure == Failure::kLocal) return;
  // A key that someone made a list says nothing of Redis.
  if (strncmp(text, "WRONGTYPE", 9) == 0) return EndProbe();
  const uint32_t random = pg_prng_uint32(&pg_global_prng_state);
  // That a command which changes data is refused says nothing of those which do not.
  const bool of_writes = failure == Failure::kOutOfMemory || failure == Failure::kReadOnly ||
                         (is_write && (failure == Failure::kAuthentication || failure == Failure::kReply));
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

void Moved(void *, uint64_t sent, uint64_t received) noexcept {
  shared::Count(redis_state->bytes_sent, sent);
  shared::Count(redis_state->bytes_received, received);
}

// One line for each change of a breaker, whoever made it.
void LogChanges() {
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

// ---- The connection ----------------------------------------------------------------------------------------------

TimeoutId idle_timer = MAX_TIMEOUTS;

// In a signal handler.
void CloseIdle() {
  if (client == nullptr || client_busy || settings::redis_idle_timeout_ms == 0) return;
  if (RedisClock() - last_use >= static_cast<int64_t>(settings::redis_idle_timeout_ms) * 1000)
    client->ShutdownSockets();
}

// PostgreSQL forgets timers after an error, so it is asked each time.
void WindIdleTimer() {
  if (settings::redis_idle_timeout_ms == 0) return;
  if (idle_timer == MAX_TIMEOUTS) idle_timer = RegisterTimeout(USER_TIMEOUT, CloseIdle);
  if (get_timeout_active(idle_timer)) return;
  const int delay = Max(1, settings::redis_idle_timeout_ms / 2);
  enable_timeout_every(idle_timer, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay), delay);
}

void DropClient() {
  if (client == nullptr) return;
  redis::Client *old = client;
  client = nullptr;
  redis::Client::Destroy(old);
  ReleaseExternalFD();
}

// Counts a failure that is not the client's.
void FailBefore(const char *text) {
  Failed(nullptr, Failure::kConnect, false, text);
  LogChanges();
}

bool MakeClient() {
  redis::Options options;
  memset(static_cast<void *>(&options), 0, sizeof(options));
  const char *problem = RedisSecretProblem();
  if (problem == nullptr) problem = ReadRedisTarget(&options.target);
  if (problem) {
    FailBefore(problem);
    return false;
  }
  options.connect_timeout = static_cast<int64_t>(settings::redis_connect_timeout_ms) * 1000;
  options.command_timeout = static_cast<int64_t>(settings::redis_timeout_ms) * 1000;
  options.most_commands = kMostCommands;
  options.most_bytes = kMostBytes;
  strlcpy(options.certificates, RedisCertificateFile(), sizeof(options.certificates));
  options.observer = {Answered, Failed, Moved, nullptr};
  client = redis::Client::Create(options, &problem);
  explicit_bzero(options.target.password, sizeof(options.target.password));
  if (client == nullptr) {
    FailBefore(problem ? problem : "out of memory");
    return false;
  }
  ReserveExternalFD();
  client_generation = redis_target_generation;
  return true;
}

// What this session was to find out, another one may.
void GiveUpProbes() {
  if (passage == Passage::kProbe) redis_state->breaker.GiveUp(RedisClock());
  if (write_passage == Passage::kProbe) redis_state->writes.GiveUp(RedisClock());
  passage = write_passage = Passage::kGo;
}

// Whether a command may be sent now, as the breakers have it.
bool MayPass(RedisUse use, int64_t now) {
  if (passage != Passage::kProbe) passage = redis_state->breaker.Enter(now, Limits());
  if (passage == Passage::kStop) {
    passage = Passage::kGo;
    shared::Count(redis_state->skipped);
    return false;
  }
  if (use == RedisUse::kRead) return true;
  if (write_passage != Passage::kProbe) write_passage = redis_state->writes.Enter(now, Limits());
  if (write_passage == Passage::kStop) {
    write_passage = Passage::kGo;
    GiveUpProbes();
    shared::Count(redis_state->skipped);
    return false;
  }
  return true;
}

// Sets last_use if Redis can be used.
bool Prepare(RedisUse use) {
  if (redis_state == nullptr || !RedisIsConfigured() || proc_exit_inprogress) return false;
  const int64_t now = RedisClock();
  if (!MayPass(use, now)) return false;
  last_use = now;
  if (client != nullptr && client_generation != redis_target_generation) DropClient();
  if (client == nullptr && !MakeClient()) return false;
  client->SetTimeouts(static_cast<int64_t>(settings::redis_connect_timeout_ms) * 1000,
                      static_cast<int64_t>(settings::redis_timeout_ms) * 1000);
  WindIdleTimer();
  return true;
}

// ---- Waiting -----------------------------------------------------------------------------------------------------

WaitEventSet *wait_set = nullptr;
redis::Interest waited[kMostSockets];
int waited_count = 0;

uint32 EventsOf(const redis::Interest &interest) {
  return (interest.readable || !interest.writable ? WL_SOCKET_READABLE : 0) |
         (interest.writable ? WL_SOCKET_WRITEABLE : 0);
}

void FreeWaitSet() {
  if (wait_set) FreeWaitEventSet(wait_set);
  wait_set = nullptr;
}

void MakeWaitSet(const redis::Interest *interests, int count) {
  FreeWaitSet();
  wait_set = compat::MakeWaitEventSet(2 + kMostSockets);
  AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
  AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
  for (int i = 0; i < count; i++)
    AddWaitEventToSet(wait_set, EventsOf(interests[i]), interests[i].socket, nullptr, nullptr);
}

// The set is kept from wait to wait as long as the connections stay the same: making one costs more than a reply.
// False: there are no file descriptors left for one. The call has to do without Redis then, not without an answer.
bool FitWaitSet() {
  redis::Interest wanted[kMostSockets];
  const int count = client->Interests(wanted, kMostSockets);
  bool same = wait_set != nullptr && count == waited_count;
  for (int i = 0; same && i < count; i++) same = wanted[i].connection == waited[i].connection;
  if (same) {
    for (int i = 0; i < count; i++)
      if (EventsOf(wanted[i]) != EventsOf(waited[i])) ModifyWaitEvent(wait_set, 2 + i, EventsOf(wanted[i]), nullptr);
  } else {
    MemoryContext outer = CurrentMemoryContext;
    PG_TRY();
    { MakeWaitSet(wanted, count); }
    PG_CATCH();
    {
      MemoryContextSwitchTo(outer);
      FlushErrorState();
      FreeWaitSet();
    }
    PG_END_TRY();
    if (wait_set == nullptr) return false;
  }
  memcpy(waited, wanted, sizeof(wanted[0]) * count);
  waited_count = count;
  return true;
}

void Advance() {
  client_busy = 1;
  last_use = RedisClock();
  client->Advance(last_use);
  client_busy = 0;
  LogChanges();
}

// Waits until something can be done, and does it. False: it cannot wait. An error of an interrupt leaves `ticket`
// forgotten.
bool WaitOnce(redis::Ticket ticket) {
  if (!FitWaitSet()) {
    Failed(nullptr, Failure::kLocal, false, "");
    DistrustRedis();
    return false;
  }
  const int64_t deadline = client->Deadline();
  // rounded up: a wait that ends before the deadline would only be repeated
  long milliseconds = 1000;
  if (deadline < INT64_MAX) milliseconds = Max(0L, Min(milliseconds, (deadline - RedisClock() + 999) / 1000));
  WaitEvent event;
  client_busy = 1;  // who waits is not idle, however long it takes
  const int events = WaitEventSetWait(wait_set, milliseconds, &event, 1, PG_WAIT_EXTENSION);
  client_busy = 0;
  last_use = RedisClock();
  if (events > 0 && (event.events & WL_LATCH_SET) != 0) {
    ResetLatch(MyLatch);
    PG_TRY();
    { CHECK_FOR_INTERRUPTS(); }
    PG_CATCH();
    {
      client->Forget(ticket);
      GiveUpProbes();
      PG_RE_THROW();
    }
    PG_END_TRY();
  }
  Advance();
  return true;
}

// REQUIRES: Prepare, just now.
redis::Ticket Submit(int master, const redis::Argument *arguments, int count) {
  client_busy = 1;
  const redis::Ticket ticket =
      master < 0 ? client->Submit(arguments, count, last_use) : client->SubmitTo(master, arguments, count, last_use);
  client_busy = 0;
  if (ticket == redis::kNoTicket) GiveUpProbes();
  LogChanges();
  return ticket;
}

// Between HoldRedis and ReleaseRedis; an Advance would send what is held.
bool holding = false;

// Before more is sent: the replies to what was posted earlier, if they have come.
void TakeReplies() {
  if (!holding && !client->IsIdle()) Advance();
}

bool IsUnsent() {
  redis::Interest interests[kMostSockets];
  const int count = client->Interests(interests, kMostSockets);
  for (int i = 0; i < count; i++)
    if (interests[i].writable) return true;
  return false;
}

}  // namespace

redis::Ticket SendToRedis(RedisUse use, const redis::Argument *arguments, int count) {
  if (!Prepare(use)) return redis::kNoTicket;
  TakeReplies();
  return Submit(-1, arguments, count);
}

redis::Ticket SendToRedisMaster(int master, RedisUse use, const redis::Argument *arguments, int count) {
  if (!Prepare(use)) return redis::kNoTicket;
  TakeReplies();
  return Submit(master, arguments, count);
}

void HoldRedis() {
  if (client == nullptr) return;
  holding = true;
  client->Hold();
}

void ReleaseRedis() {
  if (!holding) return;
  holding = false;
  Advance();
}

int CountRedisMasters() {
  if (!Prepare(RedisUse::kRead)) return 0;
  if (client->MasterCount() == 0) {
    // Any command makes the client learn what the cluster looks like. The key is one that the user may ask for.
    char key[80];
    snprintf(key, sizeof(key), "%s:", settings::redis_prefix);
    const redis::Argument get[] = {{"GET", 3}, {key, strlen(key)}};
    const redis::Ticket ticket = Submit(-1, get, 2);
    if (ticket != redis::kNoTicket) AwaitRedis(ticket);
    client->Forget(ticket);
  }
  return client->MasterCount();
}

const redis::Reply *AwaitRedis(redis::Ticket ticket) {
  while (!client->IsDone(ticket) && WaitOnce(ticket)) {
  }
  if (!client->IsDone(ticket)) return nullptr;
  return client->FailureOf(ticket) == Failure::kNone ? &client->ReplyOf(ticket) : nullptr;
}

void ForgetRedis(redis::Ticket ticket) {
  if (client) client->Forget(ticket);
}

bool PostToRedis(RedisUse use, const redis::Argument *arguments, int count) {
  if (!Prepare(use)) return false;
  TakeReplies();
  const redis::Ticket ticket = Submit(-1, arguments, count);
  if (ticket == redis::kNoTicket) return false;
  // Whoever probes has to know how it ended.
  if (passage == Passage::kProbe || write_passage == Passage::kProbe) {
    const bool stored = AwaitRedis(ticket) != nullptr;
    client->Forget(ticket);
    if (stored && write_passage == Passage::kProbe) {
      write_passage = Passage::kGo;
      if (redis_state->writes.Succeed(RedisClock(), Limits())) writes_closed = true;
    }
    GiveUpProbes();
    LogChanges();
    return stored;
  }
  // What does not fit into the socket now would wait for the session's next use of Redis.
  while (!client->IsDone(ticket) && IsUnsent() && WaitOnce(ticket)) {
  }
  client->Forget(ticket);
  return true;
}

void AwaitAllOfRedis() {
  while (client != nullptr && !client->IsIdle() && WaitOnce(redis::kNoTicket)) {
  }
}

void DistrustRedis() {
  if (client == nullptr) return;
  client_busy = 1;
  client->Close();
  client_busy = 0;
  GiveUpProbes();
}

bool RedisIsTried(RedisUse use) {
  const int64_t now = RedisClock();
  auto may_pass = [now](const redis::Breaker &breaker) {
    return breaker.State() == redis::BreakerState::kClosed || breaker.Until() <= now;
  };
  return RedisIsConfigured() && may_pass(redis_state->breaker) &&
         (use == RedisUse::kRead || may_pass(redis_state->writes));
}

const char *RedisObstacle(RedisUse use) {
  if (!RedisIsConfigured()) return "aggcache.redis_url is not set";
  if (redis_state->breaker.State() != redis::BreakerState::kClosed) return "Redis does not answer";
  if (use == RedisUse::kWrite && redis_state->writes.State() != redis::BreakerState::kClosed)
    return "Redis takes no writes";
  return nullptr;
}

}  // namespace aggcache
