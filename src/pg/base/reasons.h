// Every reason why a call was answered as it was, or is not answered from the cache: one table, so that whoever is
// asked says the same. docs/reference.md lists them, which test/docs/check_docs.sh compares.

#ifndef AGGCACHE_PG_BASE_REASONS_H
#define AGGCACHE_PG_BASE_REASONS_H

#include "pg/base/server.h"

#include "pg/base/shared.h"

namespace aggcache {

enum class Reason : uint8_t {
  kNone,
  // answers
  kHit,
  kStaleHit,
  // misses
  kCold,
  kChanged,
  kExpired,
  kEvicted,
  kOwnWrite,
  kSnapshot,
  // no call of this session can use the cache now
  kNotPreloaded,
  kDisabled,
  kRecovery,
  kDefinitionStatement,
  kReplication,
  kParallelWriter,
  kSpecialSnapshot,
  // no call of this function can
  kFunction,  // in words of its definition
  kClockWithoutTtl,
  kTemporaryObjects,
  kFuzzyGin,
  // this call cannot
  kRowByRow,
  kNotCalled,
  kNotPermitted,
  kNotEvaluated,
  kTooDeep,
  kClockNotRounded,
  kLargeArguments,
  kKeepsChanging,
  kChangedMeanwhile,
  kParallelMiss,
  kNotPlanned,
  kApproximateIndex,  // in words of its own
  kOthersOperators,   // of aggcache.explain(f, ...) only, which then does not plan
  kError,
  kCount
};

// The sentence that people read; NULL for kNone and for those with words of their own. Static.
const char *SentenceOf(Reason reason);

// As what a call is counted for this reason.
CallResult ResultOf(Reason reason);

// The word for programs, as in aggcache.last_call().cause; NULL for hits.
const char *CauseOf(CallResult result);

// What keeps something from using the cache, if anything does.
struct Obstacle {
  Reason reason;
  const char *words;  // of those that have their own

  explicit operator bool() const { return reason != Reason::kNone; }
  const char *Sentence() const { return words ? words : SentenceOf(reason); }
};

inline Obstacle Because(Reason reason) { return {reason, nullptr}; }
inline Obstacle Because(Reason reason, const char *words) { return {words ? reason : Reason::kNone, words}; }

}  // namespace aggcache

#endif
