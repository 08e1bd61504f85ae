// A slot in the hands of a process that has been stopped.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <vector>

#include "stamp_fixture.h"

namespace aggcache {
namespace {

// Everything comes to an end, and says the least that can be: the slot may hold anything.
TEST_F(StampTest, AnOddSlotIsWaitedForAMomentOnly) {
  ASSERT_EQ(Settle(kAt200), StampCheck::kValid);
  slots_[0].sequence++;
  const uint64_t sequence = slots_[0].sequence;
  EXPECT_EQ(Check(kAt200, kAt200), StampCheck::kUnsettled);
  EXPECT_EQ(Check(kAt200, kAt200, 300), StampCheck::kOwnWrite) << "its own id may be in it";
  EXPECT_EQ(Settle(kAt200), StampCheck::kUnsettled);
  EXPECT_FALSE(table_.Register(0, As(300)));
  EXPECT_FALSE(table_.Expire(0));
  Xid writers[kSlotWriters];
  int count = 7;
  EXPECT_EQ(table_.ListConcurrent(0, kAt200.Get(), As(kNoXid), writers, &count), StampCheck::kUnsettled);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(table_.Culprit(stamp_, kAt200.Get(), kAt200.Get(), As(kNoXid)), kNoXid);
  EXPECT_EQ(slots_[0].sequence, sequence);
  EXPECT_TRUE(Writers().empty());
  // The other slot of a tag still proves it.
  stamp_.alternative = false;
  Stamp stamps[] = {stamp_, stamp_};
  stamps[1].slot = 1;
  stamps[1].alternative = true;
  EXPECT_EQ(table_.CheckAll(stamps, 2, kAt200.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
  // When the process goes on, all is as it was.
  slots_[0].sequence++;
  EXPECT_EQ(Check(kAt200, kAt200), StampCheck::kValid);
  EXPECT_TRUE(table_.Register(0, As(300)));
  EXPECT_EQ(Writers(), std::vector<Xid>{300});
}

}  // namespace
}  // namespace aggcache
