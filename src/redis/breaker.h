// A circuit breaker in shared memory: after a failure no backend tries again until a back-off has passed, then one
// does.
//
// The whole state is one atomic word, so no lock is needed and a backend that dies leaves nothing behind: the right to
// probe is a lease.
//
//   closed    everyone may go; a failure right after it was closed (a tenth of `shortest`) counts as the next in a row
//   open      no one may, until a time
//   probing   one may, who has the lease, until a time; after that the next one gets it
//
// The back-off doubles with each failed probe, from `shortest` to `longest`, and is jittered to between half of that
// and all, so that servers that share a Redis do not probe together.
//
// Who probes longer than the lease may find another probing; what either then says still counts. Only who was let
// through (kGo) while it was closed and fails after it was opened says nothing new.

#ifndef AGGCACHE_REDIS_BREAKER_H
#define AGGCACHE_REDIS_BREAKER_H

#include <atomic>
#include <cstdint>

namespace aggcache {
namespace redis {

// Times are microseconds of one clock for all that is never set back (CLOCK_MONOTONIC), positive and below 2^55.
struct BreakerLimits {
  int64_t shortest;
  int64_t longest;
  int64_t lease;  // longer than a probe can take
};

enum class BreakerState : uint8_t { kClosed, kOpen, kProbing };

// What a caller may do, and what it must say afterwards.
enum class Passage : uint8_t { kGo, kProbe, kStop };

class Breaker {
 public:
  // Zeroed memory is a closed breaker.
  Breaker() = default;

  // One atomic load while closed.
  Passage Enter(int64_t now, const BreakerLimits &limits) noexcept;
  // Whoever got kProbe and succeeded: closes it. Returns whether it was not closed. One success does not make up for
  // the failures before it: what works for one command and fails for the next is tried less and less often.
  bool Succeed(int64_t now, const BreakerLimits &limits) noexcept;
  // Whoever failed, with what Enter had answered and a random number. Returns whether this opened a breaker that was
  // closed.
  bool Fail(Passage passage, int64_t now, uint32_t random, const BreakerLimits &limits) noexcept;
  // Whoever got kProbe and can tell neither, at a cancel: the next caller may probe.
  void GiveUp(int64_t now) noexcept;
  // Whoever knows that the failures so far were those of something else. Returns whether it was not closed.
  bool Reset() noexcept;
  BreakerState State() const noexcept;  // still kOpen or kProbing when that has ended and nobody has come since
  int64_t Until() const noexcept;       // when the open or probing state ends; 0 if closed
  int Attempts() const noexcept;        // failures in a row, no more than 127 counted; 0 if closed

 private:
  std::atomic<uint64_t> word_{0};
};

}  // namespace redis
}  // namespace aggcache

#endif
