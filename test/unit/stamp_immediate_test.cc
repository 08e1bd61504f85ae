// The rules about immediate stamps, those of changes that every snapshot sees as soon as they have committed.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <vector>

#include "stamp_fixture.h"

namespace aggcache {
namespace {

class ImmediateStampTest : public StampTest {
 protected:
  ImmediateStampTest() { stamp_.immediate = true; }
};

TEST_F(ImmediateStampTest, SettleGivesUpOnACommitTheSnapshotDoesNotSee) {
  Write(100);
  const OwnedSnapshot snapshot(100, 101, {100});
  EXPECT_EQ(Settle(snapshot), StampCheck::kValid);  // still running: the result is from before
  Commit(100);
  EXPECT_EQ(Settle(snapshot), StampCheck::kChanged);
  EXPECT_EQ(Settle(kAt100), StampCheck::kChanged);
  Forget(100);
  EXPECT_EQ(Settle(snapshot), StampCheck::kUnsettled);
  Abort(100);
  EXPECT_EQ(Settle(snapshot), StampCheck::kValid);
  EXPECT_EQ(Writers(), std::vector<Xid>{100});
}

TEST_F(ImmediateStampTest, SettleForgetsWhatTheSnapshotSees) {
  WriteAndCommit(100);
  EXPECT_EQ(Settle(OwnedSnapshot(101, 101, {})), StampCheck::kValid);
  EXPECT_TRUE(Writers().empty());
}

TEST_F(ImmediateStampTest, CommitEndsTheEntryForEverySnapshot) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);
  Commit(100);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kChanged);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 101, {100})), StampCheck::kChanged);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(101, 101, {})), StampCheck::kChanged);
  stamp_.immediate = false;
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);
}

TEST_F(ImmediateStampTest, AbortEndsNothing) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  Abort(100);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(101, 101, {})), StampCheck::kValid);
}

TEST_F(ImmediateStampTest, UnknownOutcomeIsUnsettled) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  Forget(100);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kUnsettled);
}

TEST_F(ImmediateStampTest, OwnWrite) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  EXPECT_EQ(Check(kAt100, kAt100, 100), StampCheck::kOwnWrite);
  EXPECT_EQ(Settle(kAt100, 100), StampCheck::kOwnWrite);
}

}  // namespace
}  // namespace aggcache
