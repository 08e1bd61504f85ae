// The clock is in shared memory and takes no lock. State of this session: what it knows of the clock's steps; of its
// transaction: whether the snapshot was imported.

#include "pg/base/server.h"

#include "pg/body/result_times.h"

#include "core/steady_clock.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"

namespace aggcache {

namespace {

ClockWatch watch;
bool imported_snapshot = false;

// In the order in which SteadyClock wants them.
struct Reading {
  int64_t before;
  int64_t day;
  int64_t elapsed;
};

Reading ReadClocks() {
  const int64_t before = shared::ElapsedTime();
  const int64_t day = GetCurrentTimestamp();
  return {before, day, shared::ElapsedTime()};
}

// A moment of the time of day by the steady clock.
int64_t SteadyTime(TimestampTz then) {
  const Reading reading = ReadClocks();
  (void)shared::state->clock.Watch(reading.day, reading.elapsed, GetCurrentTransactionStartTimestamp(),
                                   GetCurrentStatementStartTimestamp(), &watch);
  return shared::state->clock.At(then, reading.before, reading.day, watch);
}

int64_t Microseconds(int milliseconds) { return static_cast<int64_t>(milliseconds) * 1000; }

}  // namespace

int64_t SteadyNow() {
  const int64_t day = GetCurrentTimestamp();
  return shared::state->clock.Now(day, shared::ElapsedTime());
}

TimestampTz ShownTime(int64_t steady) {
  if (steady == 0) return 0;
  const Reading reading = ReadClocks();
  return steady - (shared::state->clock.Now(reading.day, reading.elapsed) - reading.day);
}

int64_t TimeOfResult(const Definition *definition, bool current) {
  const int64_t transaction = SteadyTime(GetCurrentTransactionStartTimestamp());
  if (!current && imported_snapshot) return Min(transaction, Min(SteadyTime(PgStartTime), PgStartTime));
  if (!current || definition->shows_clock) return transaction;
  return SteadyTime(GetCurrentStatementStartTimestamp());
}

int64_t EndOfResult(int64_t stored_at, int64_t end) {
  if (settings::ttl_ms == 0) return end;
  const int64_t end_of_ttl = stored_at + Microseconds(settings::ttl_ms);
  return end == 0 ? end_of_ttl : Min(end, end_of_ttl);
}

bool IsExpired(const Definition *definition, Times times) {
  const int64_t end = EndOf(times);
  if (end == 0) return false;
  const int64_t life = end - times.stored_at;
  if (AgeAt(SteadyNow(), times.stored_at) >= life) return true;
  // Nor may it show a clock that is further ahead of the caller's, which can be an old transaction's.
  return definition->shows_clock && times.stored_at - SteadyTime(GetCurrentTransactionStartTimestamp()) >= life;
}

bool IsYoungEnough(Times times) {
  return AgeAt(SteadyNow(), times.stored_at) <= Microseconds(settings::max_staleness_ms);
}

void NoteImportedSnapshot() { imported_snapshot = true; }

void ForgetImportedSnapshot() { imported_snapshot = false; }

}  // namespace aggcache
