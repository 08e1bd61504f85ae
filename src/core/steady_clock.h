// A clock for ages and ends of results: the system's time of day as long as that does not step back, and going on as if
// it had not where it does. So an age never understates the time that has passed, whatever is done to the time of day.
//
// It is told both the time of day and a count of elapsed time that nobody can set. The distance between the two changes
// only when the time of day steps; the clock keeps the largest.
//
// Steps that nobody has looked at in between, one forward and one as far back, show in nothing.

#ifndef AGGCACHE_CORE_STEADY_CLOCK_H
#define AGGCACHE_CORE_STEADY_CLOCK_H

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace aggcache {

// What one process knows of the steps: how many have been seen by anybody, and when its own transaction and statement
// had begun, by the time of day, as it learned of the latest.
struct ClockWatch {
  uint64_t steps = 0;
  int64_t transaction = 0;
  int64_t statement = 0;
};

// Shared by all processes, all times in microseconds. The times are REQUIRED in the order in which they were read, so
// that what lies between the two does not count as a step forward, nor makes anything younger.
class SteadyClock {
 public:
  void Begin(int64_t day, int64_t elapsed) noexcept {
    largest_.store(day - elapsed, std::memory_order_relaxed);
    latest_.store(day - elapsed, std::memory_order_relaxed);
    steps_.store(1, std::memory_order_relaxed);
  }

  // What it shows now.
  int64_t Now(int64_t day, int64_t elapsed) noexcept {
    const int64_t distance = day - elapsed;
    int64_t latest = latest_.load(std::memory_order_relaxed);
    if (distance - latest > kJitter || latest - distance > kJitter)
      if (latest_.compare_exchange_strong(latest, distance, std::memory_order_relaxed))
        steps_.fetch_add(1, std::memory_order_relaxed);
    int64_t largest = largest_.load(std::memory_order_relaxed);
    while (distance > largest && !largest_.compare_exchange_weak(largest, distance, std::memory_order_relaxed)) {
    }
    return elapsed + std::max(largest, distance);
  }

  // To be called before At, with when the transaction and the statement of the process began. Returns what the clock
  // shows now.
  int64_t Watch(int64_t day, int64_t elapsed, int64_t transaction, int64_t statement, ClockWatch *watch) noexcept {
    const int64_t now = Now(day, elapsed);
    const uint64_t steps = steps_.load(std::memory_order_relaxed);
    if (steps != watch->steps) *watch = {steps, transaction, statement};
    return now;
  }

  // What it showed, or something earlier, when the time of day was `then`, which is when the transaction or the
  // statement began that was told to Watch. Here `elapsed` was read before `day`.
  int64_t At(int64_t then, int64_t elapsed, int64_t day, const ClockWatch &watch) const noexcept {
    const int64_t at = elapsed + largest_.load(std::memory_order_relaxed) - std::max(int64_t{0}, day - then);
    // If the latest step was learned of after that had begun, it may have come after, too. The time of day never was
    // ahead of this clock.
    return then == watch.transaction || then == watch.statement ? std::min(at, then) : at;
  }

 private:
  static constexpr int64_t kJitter = 1000;

  std::atomic<int64_t> largest_;
  std::atomic<int64_t> latest_;  // seen by anybody
  std::atomic<uint64_t> steps_;
};

// How old something is that was made at `then`. What comes from the future is older than anything.
inline int64_t AgeAt(int64_t now, int64_t then) noexcept { return then <= now ? now - then : INT64_MAX; }

}  // namespace aggcache

#endif
