// When a result was true, and for how long it may be used. All times are those of the steady clock
// (core/steady_clock.h) in shared memory, which an end of aggcache.ttl and aggcache.max_staleness are measured by.

#ifndef AGGCACHE_PG_BODY_RESULT_TIMES_H
#define AGGCACHE_PG_BODY_RESULT_TIMES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

int64_t SteadyNow();

// A moment of the steady clock as the time of day is counted now, for people to read; 0 stays 0.
TimestampTz ShownTime(int64_t steady);

// A moment at which a result that was computed under the active snapshot is true, so that an age is never understated.
// `current`: a snapshot that was taken after the computation sees the same. Then it is the start of the statement, else
// one that lies before the snapshot: that can be older than the statement, as a cursor's is, and than the transaction,
// if it was imported. What shows the clock shows that of the transaction's start.
int64_t TimeOfResult(const Definition *definition, bool current);

// The end of a result of that time under aggcache.ttl that must not outlive `end`; 0: never.
int64_t EndOfResult(int64_t stored_at, int64_t end);

// When a result was stored, and when it ends; 0: never.
struct Times {
  int64_t stored_at;
  int64_t expires_at;
};

// When it ends for a caller with this setting of ttl; 0: never.
inline int64_t EndOf(Times times) { return EndOfResult(times.stored_at, times.expires_at); }

bool IsExpired(const Definition *definition, Times times);

// Whether aggcache.max_staleness lets a result of that age through.
bool IsYoungEnough(Times times);

// Notes for the transaction that SET TRANSACTION SNAPSHOT was used.
void NoteImportedSnapshot();
void ForgetImportedSnapshot();

}  // namespace aggcache

#endif
