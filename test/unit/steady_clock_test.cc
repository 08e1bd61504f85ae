// SteadyClock: whatever the time of day does, ages are never understated.

#include "core/steady_clock.h"

#include <gtest/gtest.h>

#include <random>

namespace aggcache {
namespace {

constexpr int64_t kSecond = 1000000;

class SteadyClockTest : public ::testing::Test {
 protected:
  SteadyClockTest() { clock_.Begin(day_, elapsed_); }

  void Pass(int64_t time) {
    day_ += time;
    elapsed_ += time;
  }
  int64_t Now() { return clock_.Now(day_, elapsed_); }
  // In a statement that began then, in a transaction of its own.
  int64_t At(int64_t then) {
    clock_.Watch(day_, elapsed_, then, then, &watch_);
    return clock_.At(then, elapsed_, day_, watch_);
  }

  SteadyClock clock_;
  ClockWatch watch_;
  int64_t day_ = 800000000 * kSecond;
  int64_t elapsed_ = 5000 * kSecond;
};

TEST_F(SteadyClockTest, IsTheTimeOfDay) {
  EXPECT_EQ(Now(), day_);
  Pass(7 * kSecond);
  EXPECT_EQ(Now(), day_);
  EXPECT_EQ(At(day_ - kSecond), day_ - kSecond);
}

TEST_F(SteadyClockTest, GoesOnWhereTheTimeOfDayStepsBack) {
  const int64_t before = Now();
  day_ -= 3600 * kSecond;
  EXPECT_EQ(Now(), before);
  Pass(kSecond);
  EXPECT_EQ(Now(), before + kSecond);
}

TEST_F(SteadyClockTest, StepsForwardWithTheTimeOfDay) {
  day_ += 3600 * kSecond;
  EXPECT_EQ(Now(), day_);
  day_ -= 3600 * kSecond;
  EXPECT_EQ(Now(), day_ + 3600 * kSecond);
}

TEST_F(SteadyClockTest, AMomentAfterAStepIsTakenAsItWas) {
  (void)At(day_);
  Pass(kSecond);
  day_ -= 3600 * kSecond;
  (void)At(day_);
  Pass(10 * kSecond);
  const int64_t then = day_, shown = Now();
  Pass(10 * kSecond);
  EXPECT_EQ(At(then), shown);
}

TEST_F(SteadyClockTest, AMomentBeforeAStepIsNotMadeYounger) {
  (void)At(day_);
  const int64_t then = day_, shown = Now();
  Pass(10 * kSecond);
  day_ -= 8 * kSecond;
  EXPECT_LE(At(then), shown);
  day_ -= 3600 * kSecond;
  EXPECT_LE(At(then), shown);
}

TEST_F(SteadyClockTest, WhoHasNotWatchedAssumesTheWorst) {
  (void)Now();  // another process
  const int64_t then = day_, shown = Now();
  day_ -= 3600 * kSecond;
  EXPECT_LE(At(then), shown);
}

TEST_F(SteadyClockTest, WhatComesFromTheFutureIsOld) {
  EXPECT_EQ(AgeAt(10, 4), 6);
  EXPECT_EQ(AgeAt(10, 10), 0);
  EXPECT_EQ(AgeAt(10, 11), INT64_MAX);
}

// Steps at random, and sessions that look now and then: what was true at a moment is never found younger than it is.
TEST_F(SteadyClockTest, NoAgeIsUnderstated) {
  std::mt19937_64 random(7);
  const auto seconds = [&random](int most) { return static_cast<int64_t>(random() % (most + 1)) * kSecond; };
  for (int round = 0; round < 20000; round++) {
    SteadyClock clock;
    ClockWatch watches[3];
    int64_t day = 800000000 * kSecond, elapsed = 100 * kSecond;
    clock.Begin(day, elapsed);
    for (int transaction = 0; transaction < 5; transaction++) {
      ClockWatch *watch = &watches[random() % 3];
      // The server reads the time of day as a transaction and a statement begin. Somebody looks at the clock then.
      const int64_t transaction_began = day, at_transaction = elapsed;
      (void)clock.Now(day, elapsed);
      for (int statement = 0; statement < 3; statement++) {
        elapsed++, day++;  // no two statements of a session begin at the same time
        const int64_t statement_began = day, at_statement = elapsed;
        (void)clock.Now(day, elapsed);
        for (int i = static_cast<int>(random() % 3); i > 0; i--) {
          const int64_t passed = seconds(20);
          day += passed;
          elapsed += passed;
          if (random() % 2) day += seconds(200) - 100 * kSecond;
          if (random() % 2) (void)clock.Now(day, elapsed);
          if (random() % 2) clock.Watch(day, elapsed, transaction_began, statement_began, watch);
        }
        clock.Watch(day, elapsed, transaction_began, statement_began, watch);
        const int64_t with_transaction = clock.At(transaction_began, elapsed, day, *watch);
        const int64_t with_statement = clock.At(statement_began, elapsed, day, *watch);
        const int64_t passed = seconds(20);
        day += passed + seconds(200) - 100 * kSecond;
        elapsed += passed;
        ASSERT_GE(AgeAt(clock.Now(day, elapsed), with_transaction), elapsed - at_transaction) << round;
        ASSERT_GE(AgeAt(clock.Now(day, elapsed), with_statement), elapsed - at_statement) << round;
      }
    }
  }
}

}  // namespace
}  // namespace aggcache
