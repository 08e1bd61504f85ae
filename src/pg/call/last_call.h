// What this session's latest call of a cached function did; aggcache.last_call() shows it.

#ifndef AGGCACHE_PG_CALL_LAST_CALL_H
#define AGGCACHE_PG_CALL_LAST_CALL_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/base/shared.h"

namespace aggcache {

struct LastCall {
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

extern LastCall last_call;

// Until it is told what became of it, a call counts as failed: an error ends it without a word.
inline void BeginLastCall(Oid function) {
  last_call.function = function;
  last_call.failed = true;
  last_call.reason = SentenceOf(Reason::kError);
  last_call.stored_at = 0;
  last_call.cost_ns = 0;
  last_call.size = 0;
  last_call.waited = false;
  last_call.from_redis = false;
  last_call.stored = false;
  last_call.not_stored = nullptr;
}

inline void EndLastCall(CallResult result) {
  last_call.failed = false;
  last_call.result = result;
}

// Keeps a copy of a reason that does not live as long as the session.
inline void ExplainLastCall(const char *reason) {
  strlcpy(last_call.text, reason, sizeof(last_call.text));
  last_call.reason = last_call.text;
}

}  // namespace aggcache

#endif
