// The circuit breaker: one word and its changes by compare-and-swap. See breaker.h.
//
// The word orders nothing but itself, so all accesses are relaxed.

#include "redis/breaker.h"

namespace aggcache {
namespace redis {

namespace {

//      63..62   61..55     54..0
//     | state | attempts | until |     all zero: closed, and never was anything else
constexpr int kTimeBits = 55;
constexpr int kAttemptBits = 7;
constexpr int64_t kLatest = (int64_t{1} << kTimeBits) - 1;
constexpr int kMostAttempts = (1 << kAttemptBits) - 1;
static_assert(kTimeBits + kAttemptBits + 2 == 64, "as drawn above");
static_assert(static_cast<int>(BreakerState::kClosed) == 0, "zeroed memory is closed");
static_assert(sizeof(Breaker) == 8 && std::atomic<uint64_t>::is_always_lock_free, "shared between processes");

BreakerState StateOf(uint64_t word) noexcept { return static_cast<BreakerState>(word >> (kTimeBits + kAttemptBits)); }
int AttemptsOf(uint64_t word) noexcept { return static_cast<int>(word >> kTimeBits) & kMostAttempts; }
int64_t UntilOf(uint64_t word) noexcept { return static_cast<int64_t>(word) & kLatest; }

// A time that does not fit is as late as any.
int64_t After(int64_t now, int64_t span) noexcept {
  if (span < 0) span = 0;
  return now < kLatest - span ? now + span : kLatest;
}

uint64_t Word(BreakerState state, int attempts, int64_t until) noexcept {
  return static_cast<uint64_t>(state) << (kTimeBits + kAttemptBits) | static_cast<uint64_t>(attempts) << kTimeBits |
         static_cast<uint64_t>(until);
}

// How long to stay away after the given number of failures in a row.
int64_t BackOff(int attempts, uint32_t random, const BreakerLimits &limits) noexcept {
  int64_t span = limits.shortest;
  for (int i = 1; i < attempts && span < limits.longest; i++) span = span < kLatest / 2 ? span * 2 : kLatest;
  if (span > limits.longest) span = limits.longest;
  const int64_t half = span / 2;
  return half + static_cast<int64_t>(static_cast<double>(span - half) * (random / static_cast<double>(UINT32_MAX)));
}

}  // namespace

Passage Breaker::Enter(int64_t now, const BreakerLimits &limits) noexcept {
  uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (StateOf(word) == BreakerState::kClosed) return Passage::kGo;
    if (now < UntilOf(word)) return Passage::kStop;
    const uint64_t probing = Word(BreakerState::kProbing, AttemptsOf(word), After(now, limits.lease));
    if (word_.compare_exchange_weak(word, probing, std::memory_order_relaxed, std::memory_order_relaxed))
      return Passage::kProbe;
  }
}

bool Breaker::Succeed(int64_t now, const BreakerLimits &limits) noexcept {
  uint64_t word = word_.load(std::memory_order_relaxed);
  while (StateOf(word) != BreakerState::kClosed) {
    const uint64_t closed = Word(BreakerState::kClosed, AttemptsOf(word), After(now, limits.shortest / 10));
    if (word_.compare_exchange_weak(word, closed, std::memory_order_relaxed, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool Breaker::Fail(Passage passage, int64_t now, uint32_t random, const BreakerLimits &limits) noexcept {
  uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const BreakerState state = StateOf(word);
    // Once it is open, only a probe says something new.
    if (state != BreakerState::kClosed && !(state == BreakerState::kProbing && passage == Passage::kProbe))
      return false;
    int attempts = AttemptsOf(word) < kMostAttempts ? AttemptsOf(word) + 1 : kMostAttempts;
    if (state == BreakerState::kClosed && now >= UntilOf(word)) attempts = 1;
    const uint64_t open = Word(BreakerState::kOpen, attempts, After(now, BackOff(attempts, random, limits)));
    if (word_.compare_exchange_weak(word, open, std::memory_order_relaxed, std::memory_order_relaxed))
      return state == BreakerState::kClosed;
  }
}

void Breaker::GiveUp(int64_t now) noexcept {
  uint64_t word = word_.load(std::memory_order_relaxed);
  while (StateOf(word) == BreakerState::kProbing &&
         !word_.compare_exchange_weak(word, Word(BreakerState::kProbing, AttemptsOf(word), After(now, 0)),
                                      std::memory_order_relaxed, std::memory_order_relaxed)) {
  }
}

bool Breaker::Reset() noexcept {
  return StateOf(word_.exchange(0, std::memory_order_relaxed)) != BreakerState::kClosed;
}

BreakerState Breaker::State() const noexcept { return StateOf(word_.load(std::memory_order_relaxed)); }

int64_t Breaker::Until() const noexcept {
  const uint64_t word = word_.load(std::memory_order_relaxed);
  return StateOf(word) == BreakerState::kClosed ? 0 : UntilOf(word);
}

int Breaker::Attempts() const noexcept {
  const uint64_t word = word_.load(std::memory_order_relaxed);
  return StateOf(word) == BreakerState::kClosed ? 0 : AttemptsOf(word);
}

}  // namespace redis
}  // namespace aggcache
