// State of this session: its client, made when it is first needed and after each change of the configuration; the set
// of events it waits for; the timer that closes idle connections, whose signal handler keeps away while client_busy is
// set.

#include "pg/base/server.h"

#include "pg/redis/session.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/redis/secret.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"

extern "C" {
#include "utils/timeout.h"
}

namespace aggcache {

namespace {

using redis::Failure;

constexpr int kMostSockets = 32;
constexpr uint32_t kMostCommands = 4096;
constexpr uint64_t kMostBytes = 64 * 1024 * 1024;

redis::Client *client = nullptr;
uint64_t client_generation = 0;

// While it is set, the client is at work, and the timer's handler keeps away from it.
volatile sig_atomic_t client_busy = 0;
volatile int64_t last_use = 0;

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

bool MakeClient() {
  redis::Options options;
  memset(static_cast<void *>(&options), 0, sizeof(options));
  const char *problem = RedisSecretProblem();
  if (problem == nullptr) problem = ReadRedisTarget(&options.target);
  if (problem) {
    FailRedis(problem);
    return false;
  }
  options.connect_timeout = static_cast<int64_t>(settings::redis_connect_timeout_ms) * 1000;
  options.command_timeout = static_cast<int64_t>(settings::redis_timeout_ms) * 1000;
  options.most_commands = kMostCommands;
  options.most_bytes = kMostBytes;
  strlcpy(options.certificates, RedisCertificateFile(), sizeof(options.certificates));
#ifdef AGGCACHE_DEBUG
  strlcpy(options.name_servers, settings::debug_name_servers, sizeof(options.name_servers));
#endif
  options.observer = RedisObserver();
  client = redis::Client::Create(options, &problem);
  explicit_bzero(options.target.password, sizeof(options.target.password));
  if (client == nullptr) {
    FailRedis(problem ? problem : "out of memory");
    return false;
  }
  ReserveExternalFD();
  client_generation = redis_target_generation;
  return true;
}

// Whether a command may be sent now, by a client that is made if need be. If so, last_use is now.
bool PrepareClient(RedisUse use) {
  if (redis_state == nullptr || !RedisIsConfigured() || proc_exit_inprogress) return false;
  const int64_t now = RedisClock();
  if (!EnterRedis(use, now)) return false;
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

// Lets the client do what can be done without waiting.
void AdvanceClient() {
  client_busy = 1;
  last_use = RedisClock();
  client->Advance(last_use);
  client_busy = 0;
  LogRedisChanges();
}

// Waits until something can be done, and does it. False: it cannot wait. An error of an interrupt leaves `ticket`
// forgotten.
bool WaitOnce(redis::Ticket ticket) {
  if (!FitWaitSet()) {
    shared::Count(redis_state->failures[static_cast<int>(Failure::kLocal)]);
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
      GiveUpRedisProbes();
      PG_RE_THROW();
    }
    PG_END_TRY();
  }
  AdvanceClient();
  return true;
}

// REQUIRES: PrepareClient, just now.
redis::Ticket Submit(int master, const redis::Argument *arguments, int count) {
  client_busy = 1;
  const redis::Ticket ticket =
      master < 0 ? client->Submit(arguments, count, last_use) : client->SubmitTo(master, arguments, count, last_use);
  client_busy = 0;
  if (ticket == redis::kNoTicket) GiveUpRedisProbes();
  LogRedisChanges();
  return ticket;
}

// Between HoldRedis and ReleaseRedis; AdvanceClient would send what is held.
bool holding = false;

// Before more is sent: the replies to what was posted earlier, if they have come.
void TakeReplies() {
  if (!holding && !client->IsIdle()) AdvanceClient();
}

const char *DescribeFailure(Failure failure) {
  switch (failure) {
    case Failure::kNone: return nullptr;
    case Failure::kTimeout: return "Redis did not take it in time";
    case Failure::kOutOfMemory: return "Redis has no room for it";
    case Failure::kConnect:
    case Failure::kLocal: return "Redis could not be reached";
    default: return "Redis refused it";
  }
}

}  // namespace

redis::Ticket SendToRedis(RedisUse use, const redis::Argument *arguments, int count) {
  if (!PrepareClient(use)) return redis::kNoTicket;
  TakeReplies();
  return Submit(-1, arguments, count);
}

redis::Ticket SendToRedisMaster(int master, RedisUse use, const redis::Argument *arguments, int count) {
  if (!PrepareClient(use)) return redis::kNoTicket;
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
  AdvanceClient();
}

int CountRedisMasters() {
  if (!PrepareClient(RedisUse::kRead)) return 0;
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

const char *PostToRedis(RedisUse use, const redis::Argument *arguments, int count) {
  if (!PrepareClient(use)) return "Redis could not be reached";
  TakeReplies();
  const redis::Ticket ticket = Submit(-1, arguments, count);
  if (ticket == redis::kNoTicket) return "too much is on its way to Redis";
  // Whoever probes has to know how it ended. What does not fit into the socket now would wait for the session's next
  // use of Redis.
  const bool probes = ProbesRedis();
  if (probes || !client->IsSent(ticket)) {
    const bool done = AwaitRedis(ticket) != nullptr;
    if (probes && done) RedisTookWrite();
    if (probes) GiveUpRedisProbes();
    LogRedisChanges();
  }
  const Failure failure = client->IsDone(ticket) ? client->FailureOf(ticket) : Failure::kNone;
  client->Forget(ticket);
  return DescribeFailure(failure);
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
  GiveUpRedisProbes();
}

}  // namespace aggcache
