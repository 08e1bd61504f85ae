// What this session's latest call of a cached function did; aggcache.last_call() shows it. Calls within a body tell of
// themselves, and the call around them tells again when they are done.

#ifndef AGGCACHE_PG_CALL_CALL_REPORT_H
#define AGGCACHE_PG_CALL_CALL_REPORT_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/base/shared.h"

namespace aggcache {

struct CallReport {
  Oid function;  // InvalidOid: none yet
  bool failed;   // raised an error, or has not ended; then there is no result
  CallResult result;
  const char *reason;  // static text, or `text`
  char text[512];
  int64_t stored_at;  // of the entry that was hit, 0 otherwise
  uint64_t cost_ns;   // of the computation, the hit's or the own
  uint32_t size;      // of the result, in bytes
  bool waited;        // for another session
  bool from_redis;    // what was hit was in Redis
  bool stored;
  const char *not_stored;  // why not, or NULL
};

const CallReport &LatestCall();

// Until it is told what became of it, a call counts as failed: an error ends it without a word.
void ReportBegin(Oid function);

// It ended so, with this reason, of which a copy is kept unless it is `lasting`.
void ReportEnd(CallResult result, const char *reason, bool lasting);

// It waited for another session.
void ReportWait();

// What it found: `stored_at` is of the steady clock.
void ReportFound(int64_t stored_at, uint64_t cost_ns, uint64_t size, bool from_redis);

// What it computed, and why that was not stored (static text), or NULL.
void ReportComputed(uint64_t cost_ns, uint64_t size, const char *not_stored);

// Tells of a call again, after calls within it have told of themselves.
void ReportAgain(const CallReport &report);
// The same where of what it computed nothing else was told: it is this function's call.
void ReportComputedOf(Oid function);

}  // namespace aggcache

#endif
