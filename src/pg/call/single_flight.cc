// The table of flights is in shared memory, each place under its own spinlock. A session keeps the flights that it
// leads.

#include "pg/base/server.h"

#include "pg/call/single_flight.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/redis/settings.h"

namespace aggcache {

namespace {

constexpr uint32_t kPlaces = 1024;
constexpr uint32_t kOutcomes = 4096;
constexpr int kNesting = 8;
// How many leaders in turn a session waits for that something happens to, before it does without.
constexpr int kMostLeaders = 4;
// How long a follower sleeps between looks at who waits for it.
constexpr long kFirstSleepMs = 10;
constexpr long kLongestSleepMs = 40;

struct Flight {
  slock_t mutex;
  bool flying;
  bool awaited;   // someone has waited for the present one
  Ending ending;  // of the last one
  FlightId id;
  uint64_t generation;  // counts flights that ended
  ConditionVariable ended;
};

struct FlightTable {
  Flight places[kPlaces];
  std::atomic<uint64_t> ended[kPlaces];         // counts flights by the hash of the key
  std::atomic<uint64_t> not_stored[kOutcomes];  // hashes of flights that would land nothing
};

FlightTable *flights = nullptr;

// This session's flights, outermost first.
Flight *own[kNesting];
int own_count = 0;
bool exit_registered = false;

void AbandonAtExit(int, Datum) { AbandonFlights(); }

uint64_t Combine(uint64_t seed, const void *bytes, Size size) {
  return hash_bytes_extended(static_cast<const unsigned char *>(bytes), static_cast<int>(size), seed);
}

uint64_t HashExplainedSetting(const struct config_generic *setting) {
  const uint64_t seed = Combine(0, setting->name, strlen(setting->name));
  switch (setting->vartype) {
    case PGC_BOOL: return Combine(seed, reinterpret_cast<const config_bool *>(setting)->variable, sizeof(bool));
    case PGC_INT: return Combine(seed, reinterpret_cast<const config_int *>(setting)->variable, sizeof(int));
    case PGC_REAL: return Combine(seed, reinterpret_cast<const config_real *>(setting)->variable, sizeof(double));
    case PGC_ENUM: return Combine(seed, reinterpret_cast<const config_enum *>(setting)->variable, sizeof(int));
    case PGC_STRING: break;
  }
  const char *text = *reinterpret_cast<const config_string *>(setting)->variable;
  return text ? Combine(seed, text, strlen(text)) : seed;
}

// What PostgreSQL shows in EXPLAIN (SETTINGS), because plans depend on it, and what decides whether and where a result
// is stored. The list's order is not the same in all sessions.
uint64_t HashOfSettings() {
  int count;
  struct config_generic **changed = get_explain_guc_options(&count);
  uint64_t hash = 0;
  for (int i = 0; i < count; i++) hash += HashExplainedSetting(changed[i]);
  pfree(changed);
  const int cache[] = {settings::store, settings::max_entry_size_kb, settings::ttl_ms, settings::redis_ttl_s};
  return Combine(hash, cache, sizeof(cache));
}

// Whether a wait here could be part of a cycle: somebody waits for a lock that this session holds (its ids included),
// or for a buffer that it may have pinned, or, being DEFERRABLE, for the end of its SERIALIZABLE transaction.
bool MayBeAwaited() {
  if (compat::HoldsAwaitedLock()) return true;
  for (uint32_t i = 0; i < ProcGlobal->allProcCount; i++) {
    const uint32_t event = *const_cast<const volatile uint32 *>(&ProcGlobal->allProcs[i].wait_event_info);
    if (event == compat::kWaitForBufferPin || event == WAIT_EVENT_SAFE_SNAPSHOT) return true;
  }
  return false;
}

void End(Flight *flight, Ending ending) {
  SpinLockAcquire(&flight->mutex);
  // before another session can find the place free
  shared::Count(flights->ended[flight->id.key_hash % kPlaces]);
  flight->flying = false;
  flight->ending = ending;
  flight->generation++;
  SpinLockRelease(&flight->mutex);
  ConditionVariableBroadcast(&flight->ended);
}

std::atomic<uint64_t> &OutcomePlace(const FlightId &id) { return flights->not_stored[id.outcome % kOutcomes]; }

// Sleeps until the present flight, that of this generation, has ended. False: it went on, but the time is up, or
// somebody may wait for this session.
bool AwaitEnd(Flight *flight, uint64_t generation, TimestampTz deadline, Ending *ending) {
  SpinLockAcquire(&flight->mutex);
  if (flight->generation == generation) flight->awaited = true;
  SpinLockRelease(&flight->mutex);
  long sleep = kFirstSleepMs;
  bool ended;
  ConditionVariablePrepareToSleep(&flight->ended);
  for (;;) {
    SpinLockAcquire(&flight->mutex);
    ended = flight->generation != generation;
    *ending = flight->ending;
    SpinLockRelease(&flight->mutex);
    if (ended) break;
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left <= 0) break;
    if (!ConditionVariableTimedSleep(&flight->ended, Min(sleep, left), PG_WAIT_EXTENSION)) continue;
    if (MayBeAwaited()) break;
    sleep = Min(sleep * 2, kLongestSleepMs);
  }
  ConditionVariableCancelSleep();
  return ended;
}

}  // namespace

Size FlightTableBytes() { return sizeof(FlightTable); }

void AttachFlightTable(void *memory, bool fresh) {
  flights = static_cast<FlightTable *>(memory);
  if (!fresh) return;
  FlightTable *table = flights;
  for (Flight &flight : table->places) {
    SpinLockInit(&flight.mutex);
    ConditionVariableInit(&flight.ended);
  }
}

FlightId FlightOf(uint64_t key_hash) {
  FlightId id;
  id.key_hash = key_hash;
  id.hash = Combine(HashOfSettings(), &key_hash, sizeof(key_hash));
  id.outcome = IsolationUsesXactSnapshot() ? ~id.hash : id.hash;
  return id;
}

Boarding BoardFlight(const FlightId &id, bool *waited) {
  *waited = false;
  if (own_count == kNesting || IsInParallelMode() || proc_exit_inprogress) return Boarding::kAlone;
  if (OutcomePlace(id).load(std::memory_order_relaxed) == id.outcome) return Boarding::kAlone;
  if (!exit_registered) {
    before_shmem_exit(AbandonAtExit, 0);
    exit_registered = true;
  }
  Flight *flight = &flights->places[id.hash % kPlaces];
  TimestampTz deadline = 0;
  for (int leaders = 0; leaders < kMostLeaders; leaders++) {
    SpinLockAcquire(&flight->mutex);
    const bool flying = flight->flying;
    const bool same = flight->id.hash == id.hash && flight->id.key_hash == id.key_hash;
    const uint64_t generation = flight->generation;
    if (!flying) {
      flight->flying = true;
      flight->awaited = false;
      flight->id = id;
    }
    SpinLockRelease(&flight->mutex);
    if (!flying) {
      own[own_count++] = flight;
      return Boarding::kLeader;
    }
    if (!same || own_count > 0 || settings::wait_timeout_ms == 0 || !INTERRUPTS_CAN_BE_PROCESSED() || MayBeAwaited())
      return Boarding::kAlone;
    if (deadline == 0) deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings::wait_timeout_ms);
    *waited = true;
    Ending ending;
    if (!AwaitEnd(flight, generation, deadline, &ending) || ending == Ending::kNotStored) return Boarding::kAlone;
    if (ending == Ending::kStored) return Boarding::kStored;
  }
  return Boarding::kAlone;
}

uint64_t CountFlights(uint64_t key_hash) { return flights->ended[key_hash % kPlaces].load(std::memory_order_acquire); }

bool OthersWait() {
  Assert(own_count > 0);
  Flight *flight = own[own_count - 1];
  SpinLockAcquire(&flight->mutex);
  const bool awaited = flight->awaited;
  SpinLockRelease(&flight->mutex);
  return awaited;
}

void EndFlight(Ending ending) {
  Assert(own_count > 0);
  End(own[--own_count], ending);
}

void AbandonFlights() {
  while (own_count > 0) End(own[--own_count], Ending::kAbandoned);
}

void NoteOutcome(const FlightId &id, bool stored) {
  std::atomic<uint64_t> &place = OutcomePlace(id);
  const bool noted = place.load(std::memory_order_relaxed) == id.outcome;
  if (noted == stored) place.store(stored ? 0 : id.outcome, std::memory_order_relaxed);
}

}  // namespace aggcache
