// How long commands took: a histogram in shared memory, with four buckets for each doubling of the time, from which
// percentiles are read to within a fifth. Counting is one relaxed increment.

#ifndef AGGCACHE_REDIS_LATENCY_H
#define AGGCACHE_REDIS_LATENCY_H

#include <atomic>
#include <cstdint>

namespace aggcache {
namespace redis {

class Latency {
 public:
  void Add(int64_t microseconds) noexcept;
  uint64_t Count() const noexcept;
  // Microseconds that the given part of all commands did not exceed (0.99: the 99th percentile), in the middle of its
  // bucket; negative if nothing was counted. REQUIRES: 0 < part <= 1.
  double Percentile(double part) const noexcept;
  void Reset() noexcept;

 private:
  static constexpr int kBuckets = 128;
  std::atomic<uint64_t> buckets_[kBuckets]{};
};

}  // namespace redis
}  // namespace aggcache

#endif
