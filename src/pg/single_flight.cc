#include "pg/server.h"

#include "pg/single_flight.h"

#include "pg/settings.h"
#include "pg/shared.h"

namespace aggcache {

namespace {

constexpr uint32_t kPlaces = 1024;
constexpr int kNesting = 8;

struct Flight {
  slock_t mutex;
  bool flying;
  bool landed;  // how the last flight ended
  uint64_t key_hash;
  std::atomic<uint64_t> generation;  // counts flights that ended; changed under the mutex
  bool awaited;                      // someone has waited for the present one
  ConditionVariable ended;
};

// This session's flights, outermost first.
Flight *own[kNesting];
int own_count = 0;
bool exit_registered = false;

void AbandonAtExit(int, Datum) { AbandonFlights(); }

bool HoldsLocks() { return compat::HoldsFastPathLock() || compat::HoldsTableLock(); }

void End(Flight *flight, bool landed) {
  SpinLockAcquire(&flight->mutex);
  flight->flying = false;
  flight->landed = landed;
  flight->generation.fetch_add(1, std::memory_order_release);
  SpinLockRelease(&flight->mutex);
  ConditionVariableBroadcast(&flight->ended);
}

}  // namespace

struct FlightTable {
  Flight places[kPlaces];
};

Size FlightTableBytes() { return sizeof(FlightTable); }

void InitFlightTable(FlightTable *table) {
  for (Flight &flight : table->places) {
    SpinLockInit(&flight.mutex);
    ConditionVariableInit(&flight.ended);
  }
}

Boarding BoardFlight(uint64_t key_hash, bool *waited) {
  *waited = false;
  if (own_count == kNesting || IsInParallelMode() || proc_exit_inprogress) return Boarding::kAlone;
  if (!exit_registered) {
    before_shmem_exit(AbandonAtExit, 0);
    exit_registered = true;
  }
  Flight *flight = &shared::flights->places[key_hash % kPlaces];
  SpinLockAcquire(&flight->mutex);
  if (!flight->flying) {
    flight->flying = true;
    flight->awaited = false;
    flight->key_hash = key_hash;
    SpinLockRelease(&flight->mutex);
    own[own_count++] = flight;
    return Boarding::kLeader;
  }
  bool same_key = flight->key_hash == key_hash;
  uint64_t generation = flight->generation;
  SpinLockRelease(&flight->mutex);

  // A leader takes locks, so whoever holds one could be what it waits for; that includes this session's own outer
  // flights. And a DEFERRABLE transaction waits for SERIALIZABLE ones.
  if (!same_key || IsolationIsSerializable() || own_count > 0 || settings::wait_timeout_ms == 0 || HoldsLocks() ||
      TransactionIdIsValid(GetTopTransactionIdIfAny()))
    return Boarding::kAlone;

  *waited = true;
  SpinLockAcquire(&flight->mutex);
  if (flight->generation == generation) flight->awaited = true;
  SpinLockRelease(&flight->mutex);
  TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings::wait_timeout_ms);
  Boarding boarding = Boarding::kAlone;
  ConditionVariablePrepareToSleep(&flight->ended);
  for (;;) {
    SpinLockAcquire(&flight->mutex);
    bool ended = flight->generation != generation;
    bool landed = flight->landed;
    SpinLockRelease(&flight->mutex);
    if (ended) {
      boarding = landed ? Boarding::kLanded : Boarding::kFailed;
      break;
    }
    long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left <= 0) break;
    ConditionVariableTimedSleep(&flight->ended, left, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  return boarding;
}

uint64_t CountFlights(uint64_t key_hash) {
  return shared::flights->places[key_hash % kPlaces].generation.load(std::memory_order_acquire);
}

bool OthersWait() {
  Assert(own_count > 0);
  Flight *flight = own[own_count - 1];
  SpinLockAcquire(&flight->mutex);
  const bool awaited = flight->awaited;
  SpinLockRelease(&flight->mutex);
  return awaited;
}

void EndFlight(bool stored) {
  Assert(own_count > 0);
  End(own[--own_count], stored);
}

void AbandonFlights() {
  while (own_count > 0) End(own[--own_count], false);
}

}  // namespace aggcache
