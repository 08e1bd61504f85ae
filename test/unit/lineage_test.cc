// Lineage: which server stored a result, also after its memory was copied.

#include "redis/lineage.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace aggcache {
namespace redis {
namespace {

using Identity = std::pair<uint64_t, uint64_t>;

Identity IdentityNow(const Lineage &lineage) {
  uint64_t words[2];
  IdentityOf(lineage, words);
  return {words[0], words[1]};
}

class LineageTest : public ::testing::Test {
 protected:
  LineageTest() { Fill(&lineage_); }

  static void Fill(Lineage *lineage) {
    lineage->boot[0] = 11;
    lineage->boot[1] = 22;
    lineage->generation = 0;
    lineage->place = 1;
    lineage->clock_distance = 1000000;
  }

  Lineage lineage_;
};

TEST_F(LineageTest, StaysWhereNothingChanges) {
  const Identity before = IdentityNow(lineage_);
  EXPECT_EQ(before, Identity(11, 22));
  EXPECT_FALSE(Follow(&lineage_, 1, 1000000, 5));
  EXPECT_FALSE(Follow(&lineage_, 1, 1000000 + kLargestDrift, 6));
  EXPECT_FALSE(Follow(&lineage_, 1, 1000000 - kLargestDrift, 7));
  EXPECT_EQ(IdentityNow(lineage_), before);
}

TEST_F(LineageTest, AnotherPlace) {
  const Identity before = IdentityNow(lineage_);
  EXPECT_TRUE(Follow(&lineage_, 2, 1000000, 5));
  const Identity there = IdentityNow(lineage_);
  EXPECT_NE(there.first, before.first);
  EXPECT_NE(there.second, before.second);
  EXPECT_FALSE(Follow(&lineage_, 2, 1000000, 6));
  EXPECT_EQ(IdentityNow(lineage_), there);
  // what the copy that stayed has stored meanwhile is nothing to this one
  EXPECT_TRUE(Follow(&lineage_, 1, 1000000, 7));
  EXPECT_NE(IdentityNow(lineage_), before);
}

TEST_F(LineageTest, AClockThatIsSet) {
  for (int64_t step : {kLargestDrift + 1, -kLargestDrift - 1, int64_t{86400} * 1000000}) {
    const Identity before = IdentityNow(lineage_);
    const int64_t distance = lineage_.clock_distance + step;
    EXPECT_TRUE(IsClockSet(lineage_, distance));
    EXPECT_TRUE(Follow(&lineage_, 1, distance, 5));
    EXPECT_NE(IdentityNow(lineage_), before);
    EXPECT_FALSE(IsClockSet(lineage_, distance));
  }
}

TEST_F(LineageTest, TwoCopiesPart) {
  Lineage copy;
  Fill(&copy);
  EXPECT_EQ(IdentityNow(copy), IdentityNow(lineage_));
  // even where both come to the same place
  EXPECT_TRUE(Follow(&copy, 2, 1000000, 5));
  EXPECT_TRUE(Follow(&lineage_, 2, 1000000, 6));
  EXPECT_NE(IdentityNow(copy), IdentityNow(lineage_));
}

TEST_F(LineageTest, ManyNoticeAtOnce) {
  const Identity before = IdentityNow(lineage_);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; i++)
    threads.emplace_back([this, i] {
      for (uint64_t place = 2; place < 200; place++) Follow(&lineage_, place, 1000000, i);
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_NE(IdentityNow(lineage_), before);
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
