// One constant table, whose order the compiler checks.

#include "pg/base/server.h"

#include "pg/base/reasons.h"

namespace aggcache {

namespace {

struct ReasonText {
  Reason reason;
  CallResult result;
  const char *sentence;
};

constexpr CallResult kUncached = CallResult::kUncached;

// In the order of the enumeration.
constexpr ReasonText kTexts[] = {
    {Reason::kNone, kUncached, nullptr},
    {Reason::kHit, CallResult::kHit, "the result is what the query would return in this snapshot"},
    {Reason::kStaleHit, CallResult::kStaleHit,
     "a source table has changed; aggcache.max_staleness accepts the earlier result"},
    {Reason::kCold, CallResult::kCold, "there was no result for these arguments"},
    {Reason::kChanged, CallResult::kChanged, "a source table has changed since the result was computed"},
    {Reason::kExpired, CallResult::kExpired, "the result was older than aggcache.ttl"},
    {Reason::kEvicted, CallResult::kEvicted, "the result had been evicted to make room for others"},
    {Reason::kOwnWrite, CallResult::kOwnWrite, "this transaction has written a source table"},
    {Reason::kSnapshot, CallResult::kSnapshot, "the result could not be proven to be what this snapshot sees"},
    {Reason::kNotPreloaded, kUncached, "pg_aggcache is not in shared_preload_libraries"},
    {Reason::kDisabled, kUncached, "aggcache.enabled is off"},
    {Reason::kRecovery, kUncached, "the server is in recovery"},
    {Reason::kDefinitionStatement, kUncached, "the call is made by a statement that changes definitions or loads data"},
    {Reason::kReplication, kUncached, "the session applies logical replication"},
    {Reason::kParallelWriter, kUncached, "the call is made by a parallel worker of a transaction that writes"},
    {Reason::kSpecialSnapshot, kUncached, "the snapshot is not a plain one"},
    {Reason::kFunction, kUncached, nullptr},
    {Reason::kClockWithoutTtl, kUncached, "the body reads the clock, and aggcache.ttl is not set"},
    {Reason::kTemporaryObjects, kUncached, "the session has temporary objects, which an opaque function might use"},
    {Reason::kFuzzyGin, kUncached, "gin_fuzzy_search_limit is set, and a table has a GIN index"},
    {Reason::kRowByRow, kUncached, "the caller cannot take all rows of the set at once"},
    {Reason::kNotCalled, kUncached, "the function is STRICT, so it is not called with a null argument"},
    {Reason::kNotPermitted, kUncached, "the role may not run the query, or a check was not conclusive"},
    {Reason::kNotEvaluated, kUncached, "an expression that does not depend on rows could not be evaluated"},
    {Reason::kTooDeep, kUncached, "its calls of itself are nested too deeply"},
    {Reason::kClockNotRounded, kUncached, "the arguments leave what the body reads of the clock unrounded"},
    {Reason::kLargeArguments, kUncached, "the arguments are larger than aggcache.max_entry_size"},
    {Reason::kKeepsChanging, kUncached, "the function, or what it reads, keeps being altered"},
    {Reason::kChangedMeanwhile, kUncached, "the function, or what it reads, was altered during the call"},
    {Reason::kParallelMiss, kUncached, "there was no result, and a parallel operation cannot compute one for others"},
    {Reason::kNotPlanned, kUncached, "the body cannot be planned for these arguments"},
    {Reason::kApproximateIndex, kUncached, nullptr},
    {Reason::kOthersOperators, kUncached, "planning it would apply operators of others to statistics"},
    {Reason::kError, kUncached, "the call raised an error"},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < lengthof(kTexts); i++)
    if (kTexts[i].reason != static_cast<Reason>(i)) return false;
  return lengthof(kTexts) == static_cast<size_t>(Reason::kCount);
}
static_assert(IsInOrder(), "one text for each reason, in its order");

}  // namespace

const char *SentenceOf(Reason reason) { return kTexts[static_cast<size_t>(reason)].sentence; }

CallResult ResultOf(Reason reason) { return kTexts[static_cast<size_t>(reason)].result; }

const char *CauseOf(CallResult result) {
  switch (result) {
    case CallResult::kCold: return "cold";
    case CallResult::kChanged: return "changed";
    case CallResult::kExpired: return "expired";
    case CallResult::kEvicted: return "evicted";
    case CallResult::kOwnWrite: return "own write";
    case CallResult::kSnapshot: return "snapshot";
    case CallResult::kUncached: return "uncached";
    default: return nullptr;
  }
}

}  // namespace aggcache
