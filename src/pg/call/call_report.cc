#include "pg/base/server.h"

#include "pg/call/call_report.h"

namespace aggcache {

namespace {

CallReport latest;

}  // namespace

const CallReport &LatestCall() { return latest; }

void ReportBegin(Oid function) {
  latest.function = function;
  latest.failed = true;
  latest.reason = SentenceOf(Reason::kError);
  latest.stored_at = 0;
  latest.cost_ns = 0;
  latest.size = 0;
  latest.waited = false;
  latest.from_redis = false;
  latest.stored = false;
  latest.not_stored = nullptr;
}

void ReportEnd(CallResult result, const char *reason, bool lasting) {
  latest.failed = false;
  latest.result = result;
  if (!lasting) {
    strlcpy(latest.text, reason, sizeof(latest.text));
    reason = latest.text;
  }
  latest.reason = reason;
}

void ReportWait() { latest.waited = true; }

void ReportFound(int64_t stored_at, uint64_t cost_ns, uint64_t size, bool from_redis) {
  latest.stored_at = stored_at;
  latest.cost_ns = cost_ns;
  latest.size = static_cast<uint32_t>(size);
  latest.from_redis = from_redis;
}

void ReportComputed(uint64_t cost_ns, uint64_t size, const char *not_stored) {
  latest.cost_ns = cost_ns;
  latest.size = static_cast<uint32_t>(size);
  latest.stored = not_stored == nullptr;
  latest.not_stored = not_stored;
}

void ReportAgain(const CallReport &report) { latest = report; }

void ReportComputedOf(Oid function) {
  latest.function = function;
  latest.stored_at = 0;
}

}  // namespace aggcache
