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
  const char *reason;  // static text, or `text`; of one that has not failed
  char text[512];
  int64_t stored_at;  // of the entry that was hit, 0 otherwise
  uint64_t cost_ns;   // of the computation, the hit's or the own
  uint32_t size;      // of the result, in bytes
  bool waited;        // for another session
  bool from_redis;    // what was hit was in Redis
  bool stored;
  const char *not_stored;  // why not, or NULL
  const char *not_kept;    // why nothing of ledgers was used (keep/), or NULL; static text or `kept_text`
  char kept_text[256];
};

// Written by the functions below only, which are here for the sake of hits.
namespace call_report {
extern CallReport latest;
}

inline const CallReport &LatestCall() { return call_report::latest; }

// Until it is told what became of it, a call counts as failed: an error ends it without a word.
inline void ReportBegin(Oid function) {
  CallReport &latest = call_report::latest;
  latest.function = function;
  latest.failed = true;
  latest.stored_at = 0;
  latest.cost_ns = 0;
  latest.size = 0;
  latest.waited = false;
  latest.from_redis = false;
  latest.stored = false;
  latest.not_stored = nullptr;
  latest.not_kept = nullptr;
}

// It ended so, with this reason (static text).
inline void ReportEnd(CallResult result, const char *reason) {
  call_report::latest.failed = false;
  call_report::latest.result = result;
  call_report::latest.reason = reason;
}

// The same with a reason of which a copy is kept.
inline void ReportEndInWords(CallResult result, const char *reason) {
  strlcpy(call_report::latest.text, reason, sizeof(call_report::latest.text));
  ReportEnd(result, call_report::latest.text);
}

// It waited for another session.
inline void ReportWait() { call_report::latest.waited = true; }

// What it found: `stored_at` is of the steady clock.
inline void ReportFound(int64_t stored_at, uint64_t cost_ns, uint64_t size, bool from_redis) {
  CallReport &latest = call_report::latest;
  latest.stored_at = stored_at;
  latest.cost_ns = cost_ns;
  latest.size = static_cast<uint32_t>(size);
  latest.from_redis = from_redis;
}

// What it computed, and why that was not stored (static text), or NULL.
inline void ReportComputed(uint64_t cost_ns, uint64_t size, const char *not_stored) {
  CallReport &latest = call_report::latest;
  latest.cost_ns = cost_ns;
  latest.size = static_cast<uint32_t>(size);
  latest.stored = not_stored == nullptr;
  latest.not_stored = not_stored;
}

// Why the result was not put together from a ledger, or NULL; a copy is kept.
inline void ReportNotKept(const char *why) {
  CallReport &latest = call_report::latest;
  latest.not_kept = why ? latest.kept_text : nullptr;
  if (why) strlcpy(latest.kept_text, why, sizeof(latest.kept_text));
}

// Tells of a call again, after calls within it have told of themselves.
inline void ReportAgain(const CallReport &report) {
  call_report::latest = report;
  if (report.not_kept) call_report::latest.not_kept = call_report::latest.kept_text;
}
// The same where nothing else but the function has changed: it has reported what it computed.
inline void ReportComputedOf(Oid function) {
  call_report::latest.function = function;
  call_report::latest.stored_at = 0;
}

}  // namespace aggcache

#endif
