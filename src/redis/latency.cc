// The histogram of how long commands took. See latency.h.

#include "redis/latency.h"

namespace aggcache {
namespace redis {

namespace {

// Below 8 each microsecond has its bucket; from there on each doubling has four, told apart by the two bits below the
// highest one.
constexpr int kExact = 8;

int BucketOf(uint64_t microseconds) noexcept {
  if (microseconds < kExact) return static_cast<int>(microseconds);
  const int highest = 63 - __builtin_clzll(microseconds);
  return kExact + (highest - 3) * 4 + static_cast<int>(microseconds >> (highest - 2) & 3);
}

// The first number of the bucket, as if there were buckets without end.
uint64_t FirstOf(int bucket) noexcept {
  if (bucket < kExact) return static_cast<uint64_t>(bucket);
  return static_cast<uint64_t>(4 + bucket % 4) << (bucket / 4 - 1);
}

}  // namespace

void Latency::Add(int64_t microseconds) noexcept {
  // A clock may be set back.
  int bucket = BucketOf(microseconds > 0 ? static_cast<uint64_t>(microseconds) : 0);
  if (bucket >= kBuckets) bucket = kBuckets - 1;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
}

uint64_t Latency::Count() const noexcept {
  uint64_t count = 0;
  for (const std::atomic<uint64_t> &bucket : buckets_) count += bucket.load(std::memory_order_relaxed);
  return count;
}

double Latency::Percentile(double part) const noexcept {
  // A copy, so that what is counted meanwhile does not move the sum.
  uint64_t copy[kBuckets];
  uint64_t count = 0;
  for (int i = 0; i < kBuckets; i++) count += copy[i] = buckets_[i].load(std::memory_order_relaxed);
  if (count == 0) return -1;
  const double wanted = part * static_cast<double>(count);
  uint64_t passed = 0;
  int bucket = 0;
  for (; bucket < kBuckets - 1; bucket++) {
    passed += copy[bucket];
    if (static_cast<double>(passed) >= wanted) break;
  }
  return (static_cast<double>(FirstOf(bucket)) + static_cast<double>(FirstOf(bucket + 1) - 1)) / 2;
}

void Latency::Reset() noexcept {
  for (std::atomic<uint64_t> &bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
}

}  // namespace redis
}  // namespace aggcache
