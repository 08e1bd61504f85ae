// The circuit breaker: its states one by one, and who may probe under threads. Time is a number that the test chooses.

#include "redis/breaker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace aggcache {
namespace redis {
namespace {

constexpr BreakerLimits kLimits = {100, 1000, 50};
constexpr uint32_t kAll = UINT32_MAX;  // the random number of the longest back-off

class BreakerTest : public ::testing::Test {
 protected:
  Passage Enter(int64_t now) { return breaker_.Enter(now, kLimits); }
  bool Fail(Passage passage, int64_t now, uint32_t random = kAll) {
    return breaker_.Fail(passage, now, random, kLimits);
  }

  bool Succeed(int64_t now) { return breaker_.Succeed(now, kLimits); }

  Breaker breaker_;
};

TEST_F(BreakerTest, ZeroedMemoryIsClosed) {
  alignas(Breaker) unsigned char memory[sizeof(Breaker)];
  memset(memory, 0, sizeof(memory));
  auto *breaker = reinterpret_cast<Breaker *>(memory);
  EXPECT_EQ(breaker->State(), BreakerState::kClosed);
  EXPECT_EQ(breaker->Enter(1, kLimits), Passage::kGo);
  EXPECT_EQ(breaker->Until(), 0);
  EXPECT_EQ(breaker->Attempts(), 0);
}

TEST_F(BreakerTest, AFailureOpensItForAll) {
  EXPECT_EQ(Enter(1000), Passage::kGo);
  EXPECT_TRUE(Fail(Passage::kGo, 1000));
  EXPECT_EQ(breaker_.State(), BreakerState::kOpen);
  EXPECT_EQ(breaker_.Until(), 1100);
  EXPECT_EQ(breaker_.Attempts(), 1);
  EXPECT_EQ(Enter(1099), Passage::kStop);
  EXPECT_EQ(Enter(1100), Passage::kProbe);
  EXPECT_EQ(Enter(1100), Passage::kStop);
  EXPECT_EQ(breaker_.State(), BreakerState::kProbing);
  EXPECT_EQ(breaker_.Until(), 1150);
}

TEST_F(BreakerTest, OthersThatFailSayNothingNew) {
  EXPECT_TRUE(Fail(Passage::kGo, 1000));
  EXPECT_FALSE(Fail(Passage::kGo, 1050));
  EXPECT_EQ(breaker_.Until(), 1100);
  EXPECT_EQ(breaker_.Attempts(), 1);
  EXPECT_EQ(Enter(1100), Passage::kProbe);
  EXPECT_FALSE(Fail(Passage::kGo, 1100));
  EXPECT_EQ(breaker_.State(), BreakerState::kProbing);
}

TEST_F(BreakerTest, AProbeThatSucceedsCloses) {
  Fail(Passage::kGo, 1000);
  ASSERT_EQ(Enter(1100), Passage::kProbe);
  EXPECT_TRUE(Succeed(1100));
  EXPECT_FALSE(Succeed(1100));
  EXPECT_EQ(breaker_.State(), BreakerState::kClosed);
  EXPECT_EQ(breaker_.Attempts(), 0);
  EXPECT_EQ(Enter(1100), Passage::kGo);
}

TEST_F(BreakerTest, BackOffDoublesUpToTheLongest) {
  int64_t now = 1000;
  EXPECT_TRUE(Fail(Passage::kGo, now));
  for (int64_t expected : {100, 200, 400, 800, 1000, 1000, 1000}) {
    EXPECT_EQ(breaker_.Until() - now, expected);
    now = breaker_.Until();
    ASSERT_EQ(Enter(now), Passage::kProbe);
    EXPECT_FALSE(Fail(Passage::kProbe, now));
  }
  for (int i = 0; i < 300; i++) {
    now = breaker_.Until();
    ASSERT_EQ(Enter(now), Passage::kProbe);
    Fail(Passage::kProbe, now);
  }
  EXPECT_EQ(breaker_.Attempts(), 127);
  EXPECT_EQ(breaker_.Until() - now, 1000);
  breaker_.Reset();
  Fail(Passage::kGo, now);
  EXPECT_EQ(breaker_.Until() - now, 100);
}

// GET may work and SET not: then it closes and opens again all the time.
TEST_F(BreakerTest, ResetForgetsAll) {
  EXPECT_FALSE(breaker_.Reset());
  Fail(Passage::kGo, 1000);
  const int64_t until = breaker_.Until();
  ASSERT_EQ(Enter(until), Passage::kProbe);
  Fail(Passage::kProbe, until);
  EXPECT_TRUE(breaker_.Reset());
  EXPECT_FALSE(breaker_.Reset());
  EXPECT_EQ(breaker_.State(), BreakerState::kClosed);
  EXPECT_EQ(Enter(until), Passage::kGo);
  // who was let through to probe before may still fail, as any
  EXPECT_TRUE(Fail(Passage::kProbe, until));
  EXPECT_EQ(breaker_.Attempts(), 1);
}

TEST_F(BreakerTest, WhatFailsSoonAfterASuccessBacksOffLonger) {
  int64_t now = 1000;
  for (int64_t expected : {100, 200, 400, 800, 1000, 1000}) {
    ASSERT_EQ(Enter(now), Passage::kGo);
    EXPECT_TRUE(Fail(Passage::kGo, now));
    EXPECT_EQ(breaker_.Until() - now, expected);
    now = breaker_.Until();
    ASSERT_EQ(Enter(now), Passage::kProbe);
    EXPECT_TRUE(Succeed(now));
    EXPECT_EQ(breaker_.Attempts(), 0);
    EXPECT_EQ(breaker_.Until(), 0);
    now += 9;
  }
  // a little later it is a failure like any other
  now++;
  EXPECT_TRUE(Fail(Passage::kGo, now));
  EXPECT_EQ(breaker_.Until() - now, 100);
}

TEST_F(BreakerTest, BackOffIsBetweenHalfAndAll) {
  std::mt19937 random(5);
  int64_t least = INT64_MAX, most = 0;
  for (int i = 0; i < 1000; i++) {
    breaker_.Reset();
    Fail(Passage::kGo, 1000, static_cast<uint32_t>(random()));
    least = std::min(least, breaker_.Until() - 1000);
    most = std::max(most, breaker_.Until() - 1000);
  }
  EXPECT_GE(least, 50);
  EXPECT_LT(least, 55);
  EXPECT_GT(most, 95);
  EXPECT_LE(most, 100);
}

TEST_F(BreakerTest, WhoDiesWhileProbingLosesTheRight) {
  Fail(Passage::kGo, 1000);
  ASSERT_EQ(Enter(1100), Passage::kProbe);
  EXPECT_EQ(Enter(1149), Passage::kStop);
  EXPECT_EQ(Enter(1150), Passage::kProbe);
  EXPECT_EQ(Enter(1199), Passage::kStop);
  // The first was only slow: what it says counts, and the second may still close.
  EXPECT_FALSE(Fail(Passage::kProbe, 1160));
  EXPECT_EQ(breaker_.State(), BreakerState::kOpen);
  EXPECT_EQ(breaker_.Until(), 1360);
  EXPECT_TRUE(Succeed(1160));
  EXPECT_EQ(Enter(1160), Passage::kGo);
}

TEST_F(BreakerTest, WhoGivesUpLeavesTheRightToTheNext) {
  Fail(Passage::kGo, 1000);
  ASSERT_EQ(Enter(1100), Passage::kProbe);
  breaker_.GiveUp(1110);
  EXPECT_EQ(breaker_.Attempts(), 1);
  EXPECT_EQ(Enter(1110), Passage::kProbe);
  EXPECT_EQ(Enter(1110), Passage::kStop);
  Fail(Passage::kProbe, 1120);
  breaker_.GiveUp(1130);  // nobody probes: nothing to give up
  EXPECT_EQ(breaker_.Until(), 1320);
  Succeed(1130);
  breaker_.GiveUp(1140);
  EXPECT_EQ(breaker_.State(), BreakerState::kClosed);
}

TEST_F(BreakerTest, ExtremeTimes) {
  constexpr int64_t kLatest = (int64_t{1} << 55) - 1;
  const BreakerLimits huge = {INT64_MAX, INT64_MAX, INT64_MAX};
  EXPECT_TRUE(breaker_.Fail(Passage::kGo, kLatest, kAll, huge));
  EXPECT_EQ(breaker_.Until(), kLatest);
  EXPECT_EQ(breaker_.Attempts(), 1);
  EXPECT_EQ(breaker_.Enter(kLatest, huge), Passage::kProbe);
  EXPECT_FALSE(breaker_.Fail(Passage::kProbe, 1, kAll, huge));
  EXPECT_EQ(breaker_.Attempts(), 2);
  breaker_.Reset();
  const BreakerLimits none = {0, 0, 0};
  EXPECT_TRUE(breaker_.Fail(Passage::kGo, 7, kAll, none));
  EXPECT_EQ(breaker_.Enter(7, none), Passage::kProbe);
}

// Where all threads of a test meet.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void Wait() {
    const int round = round_;
    if (++arrived_ == threads_) {
      arrived_ = 0;
      round_++;
    } else {
      // Not at once off the processor, so that all go on within nanoseconds.
      for (int spins = 0; round_ == round; spins++)
        if (spins > 2000) std::this_thread::yield();
    }
  }

 private:
  const int threads_;
  std::atomic<int> arrived_{0}, round_{0};
};

// Many come when the back-off has just ended, round after round: one of them probes, and all see it close.
TEST(BreakerThreads, OneOfManyProbes) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 10000;
  Breaker breaker;
  Barrier barrier(kThreads);
  std::atomic<int> probers{0}, opened{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; round++) {
        const int64_t now = 1 + 10000 * int64_t{round};
        if (breaker.Enter(now, kLimits) == Passage::kProbe) wrong++;
        barrier.Wait();
        if (breaker.Fail(Passage::kGo, now, kAll, kLimits)) opened++;
        barrier.Wait();
        if (breaker.Enter(now + 99, kLimits) != Passage::kStop) wrong++;
        barrier.Wait();
        const Passage passage = breaker.Enter(now + 100, kLimits);
        if (passage == Passage::kProbe) probers++;
        if (passage == Passage::kGo) wrong++;
        barrier.Wait();
        // it dies: again one, when the lease has ended
        if (breaker.Enter(now + 149, kLimits) != Passage::kStop) wrong++;
        barrier.Wait();
        const Passage second = breaker.Enter(now + 150, kLimits);
        if (second == Passage::kProbe) probers++;
        if (second == Passage::kGo) wrong++;
        barrier.Wait();
        if (second == Passage::kProbe && !breaker.Succeed(now, kLimits)) wrong++;
        barrier.Wait();
        if (breaker.Enter(now + 150, kLimits) != Passage::kGo) wrong++;
        barrier.Wait();
      }
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(opened, kRounds);
  EXPECT_EQ(probers, 2 * kRounds);
}

// At random: who probes is alone until it says how it went, or is gone for longer than the lease.
TEST(BreakerThreads, ProbersAreAlone) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 300000;
  constexpr int64_t kLease = 1000000000;  // so long that only who dies exceeds it
  const BreakerLimits limits = {2, 16, kLease};
  Breaker breaker;
  std::atomic<int64_t> clock{1};
  std::atomic<int> probing{0}, probes{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      for (int i = 0; i < kCalls; i++) {
        const Passage passage = breaker.Enter(clock++, limits);
        if (passage == Passage::kGo && random() % 8 == 0)
          breaker.Fail(passage, clock, static_cast<uint32_t>(random()), limits);
        if (passage != Passage::kProbe) continue;
        probes++;
        if (probing++ != 0) wrong++;
        if (random() % 2 == 0) std::this_thread::yield();
        probing--;
        switch (random() % 8) {
          case 0: clock += kLease; break;
          case 1: breaker.GiveUp(clock); break;
          case 2:
          case 3: breaker.Succeed(clock, limits); break;
          default: breaker.Fail(passage, clock, static_cast<uint32_t>(random()), limits);
        }
      }
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(probes, 100);
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
