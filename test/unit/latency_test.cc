// The latency histogram: percentiles of known distributions, and the ends of its range.

#include "redis/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace aggcache {
namespace redis {
namespace {

TEST(LatencyTest, NothingCounted) {
  Latency latency;
  EXPECT_EQ(latency.Count(), 0u);
  EXPECT_LT(latency.Percentile(0.5), 0);
}

// Each number alone: the answer is near it, whichever part is asked for, and never falls as numbers rise.
TEST(LatencyTest, OneNumberIsItsOwnPercentile) {
  double last = -1;
  for (int64_t number = 0; number < int64_t{5} << 30; number += 1 + number / 37) {
    Latency latency;
    latency.Add(number);
    const double found = latency.Percentile(0.5);
    EXPECT_NEAR(found, static_cast<double>(number), static_cast<double>(number) / 5) << number;
    EXPECT_GE(found, last);
    EXPECT_EQ(latency.Percentile(1), found);
    EXPECT_EQ(latency.Percentile(0.001), found);
    last = found;
  }
}

TEST(LatencyTest, SmallNumbersAreExact) {
  Latency latency;
  for (int64_t number = 0; number < 8; number++) latency.Add(number);
  for (int number = 0; number < 8; number++) EXPECT_EQ(latency.Percentile((number + 1) / 8.0), number);
}

TEST(LatencyTest, NumbersBeyondTheRangeAreCounted) {
  Latency latency;
  latency.Add(-5);
  latency.Add(INT64_MIN);
  EXPECT_EQ(latency.Percentile(1), 0);
  latency.Add(INT64_MAX);
  EXPECT_EQ(latency.Count(), 3u);
  EXPECT_GT(latency.Percentile(1), 3.6e9);  // more than an hour
}

TEST(LatencyTest, PercentilesOfManyNumbers) {
  std::mt19937 random(4);
  Latency latency;
  std::vector<int64_t> numbers;
  for (int i = 0; i < 100000; i++) {
    numbers.push_back(static_cast<int64_t>(std::exp2(random() % 2400 / 100.0)));
    latency.Add(numbers.back());
  }
  std::sort(numbers.begin(), numbers.end());
  for (double part : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto expected = static_cast<double>(numbers[static_cast<size_t>(std::ceil(part * 100000)) - 1]);
    EXPECT_NEAR(latency.Percentile(part), expected, expected / 5) << part;
  }
  latency.Reset();
  EXPECT_EQ(latency.Count(), 0u);
}

TEST(LatencyThreads, EveryCountIsKept) {
  Latency latency;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&latency, t] {
      for (int i = 0; i < 20000; i++) latency.Add(i % (t + 1));
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(latency.Count(), 80000u);
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
