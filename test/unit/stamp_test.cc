// The rules about one stamp: what Begin, Register, Settle and Check say.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/tag.h"
#include "stamp_fixture.h"

namespace aggcache {
namespace {

TEST(SnapshotTest, IsRunning) {
  const OwnedSnapshot snapshot(10, 20, {15, 10});
  EXPECT_FALSE(snapshot.Get().IsRunning(9));
  EXPECT_TRUE(snapshot.Get().IsRunning(10));
  EXPECT_FALSE(snapshot.Get().IsRunning(11));
  EXPECT_TRUE(snapshot.Get().IsRunning(15));
  EXPECT_FALSE(snapshot.Get().IsRunning(19));
  EXPECT_TRUE(snapshot.Get().IsRunning(20));
}

TEST_F(StampTest, SlotOfUsesLowBits) {
  EXPECT_EQ(table_.count(), kTableSlots);
  EXPECT_EQ(table_.SlotOf(WideTag(1, 2)), WideTag(1, 2) % kTableSlots);
}

TEST_F(StampTest, TheTwoSlotsOfATagDiffer) {
  for (uint64_t tag = 0; tag < 4096; tag++) {
    const uint64_t spread = Mix(tag);
    EXPECT_NE(table_.SlotOf(spread), table_.AlternativeSlotOf(spread));
    EXPECT_LT(table_.AlternativeSlotOf(spread), kTableSlots);
  }
  EXPECT_NE(table_.SlotOf(0), table_.AlternativeSlotOf(0));
}

// --- Begin ---

TEST_F(StampTest, NothingIsValidBeforeBegin) {
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots_, kTableSlots, &start);
  EXPECT_FALSE(table.begun());
  EXPECT_EQ(table.Settle(&stamp_, kAt100.Get(), As(kNoXid)), StampCheck::kUnsettled);
  EXPECT_EQ(table.Check(stamp_, kAt100.Get(), kAt100.Get(), As(kNoXid)), StampCheck::kUnsettled);
}

TEST_F(StampTest, BeginTakesEffectOnce) {
  table_.Begin(500);
  EXPECT_EQ(start_, kStart);
  EXPECT_TRUE(table_.begun());
}

TEST_F(StampTest, EarlierTransactionsCountAsOverflow) {
  const OwnedSnapshot with_prepared(99, 101, {99});
  EXPECT_EQ(Settle(with_prepared), StampCheck::kUnsettled);
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  EXPECT_EQ(Check(kAt100, with_prepared), StampCheck::kUnsettled);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);
}

// --- Register ---

TEST_F(StampTest, RegisterTwiceTakesOnePlace) {
  Write(100);
  const uint64_t sequence = slots_[0].sequence;
  Write(100);
  EXPECT_EQ(Writers(), std::vector<Xid>{100});
  EXPECT_EQ(slots_[0].sequence, sequence);
  EXPECT_EQ(slots_[0].version, 0u);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(StampTest, RegisterTouchesItsSlotOnly) {
  Write(100, 3);
  EXPECT_TRUE(Writers(2).empty());
  EXPECT_EQ(Writers(3), std::vector<Xid>{100});
}

TEST_F(StampTest, FullSlotForgetsTheFinished) {
  for (Xid xid = 100; xid < 104; xid++) Write(xid);
  EXPECT_TRUE(asked_.empty());
  Commit(101);
  Abort(102);
  Write(104);
  EXPECT_EQ(Writers(), (std::vector<Xid>{100, 103, 104}));
  EXPECT_EQ(slots_[0].floor, 102u);
  EXPECT_EQ(slots_[0].overflow, 0u);
  EXPECT_EQ(slots_[0].version, 1u);
}

TEST_F(StampTest, FullSlotForgetsWhomTheWriterKnowsToHaveFinished) {
  for (Xid xid : {101, 102, 103, 104}) WriteAndCommit(xid);
  Transactions transactions = As(105);
  transactions.known_finished = [](void *, Xid xid) noexcept { return xid <= 102; };
  EXPECT_TRUE(table_.Register(0, transactions));
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(Writers(), (std::vector<Xid>{103, 104, 105}));
  EXPECT_EQ(slots_[0].floor, 102u);
  EXPECT_EQ(slots_[0].overflow, kNoXid);
  EXPECT_EQ(slots_[0].version, 1u);

  Write(106);
  transactions.own = 107;
  EXPECT_TRUE(table_.Register(0, transactions));  // knows of none of them
  EXPECT_FALSE(asked_.empty());
  EXPECT_EQ(Writers(), (std::vector<Xid>{105, 106, 107}));
  EXPECT_EQ(slots_[0].floor, 104u);
}

TEST_F(StampTest, FullSlotOfRunningForgetsTheSmallest) {
  for (Xid xid = 103; xid >= 100; xid--) Write(xid);
  Write(104);
  EXPECT_EQ(Writers(), (std::vector<Xid>{101, 102, 103, 104}));
  EXPECT_EQ(slots_[0].floor, 0u);
  EXPECT_EQ(slots_[0].overflow, 100u);
  EXPECT_EQ(slots_[0].version, 1u);
  Write(100);  // its next statement, having been forgotten: the overflow covers it, nobody else is driven out
  EXPECT_EQ(Writers(), (std::vector<Xid>{101, 102, 103, 104}));
  EXPECT_EQ(slots_[0].overflow, 100u);
  EXPECT_EQ(slots_[0].version, 1u);
}

TEST_F(StampTest, OlderThanTheCommitLogIsFinished) {
  for (Xid xid = 100; xid < 104; xid++) Write(xid);
  Forget(100);
  Write(104);
  EXPECT_EQ(slots_[0].floor, 100u);
  EXPECT_EQ(slots_[0].overflow, 0u);
}

TEST_F(StampTest, FloorNeverFalls) {
  for (Xid xid = 110; xid < 114; xid++) WriteAndCommit(xid);
  Write(120);
  EXPECT_EQ(slots_[0].floor, 113u);
  Write(100);
  Abort(100);
  for (Xid xid = 121; xid < 124; xid++) Write(xid);
  EXPECT_EQ(slots_[0].floor, 113u);
}

// --- Settle ---

TEST_F(StampTest, SettleOfAQuietSlotWritesNothing) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  EXPECT_EQ(slots_[0].sequence, 0u);
  EXPECT_EQ(stamp_.version, 0u);
}

TEST_F(StampTest, SettleForgetsWhatTheSnapshotSeesFinished) {
  WriteAndCommit(100);
  Write(101);
  Abort(101);
  WriteAndCommit(102);  // after the snapshot
  Write(103);
  ASSERT_EQ(Settle(OwnedSnapshot(102, 102, {})), StampCheck::kValid);
  EXPECT_EQ(Writers(), (std::vector<Xid>{102, 103}));
  EXPECT_EQ(slots_[0].floor, 101u);
  EXPECT_EQ(slots_[0].version, 1u);
  EXPECT_EQ(stamp_.version, 1u);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(StampTest, SettleGivesUpOnOwnWrite) {
  Write(100);
  EXPECT_EQ(Settle(OwnedSnapshot(100, 101, {100}), 100), StampCheck::kOwnWrite);
  EXPECT_EQ(Settle(OwnedSnapshot(100, 101, {100}), kNoXid), StampCheck::kValid);
}

TEST_F(StampTest, SettleWantsOwnIdAmongTheRunning) {
  EXPECT_EQ(Settle(OwnedSnapshot(100, 102, {}), 100), StampCheck::kUnsettled);
  EXPECT_EQ(Settle(OwnedSnapshot(100, 102, {100}), 100), StampCheck::kValid);
  EXPECT_EQ(Settle(OwnedSnapshot(100, 100, {}), 100), StampCheck::kValid);  // got its id after the snapshot
}

TEST_F(StampTest, SettleWantsFloorSettled) {
  for (Xid xid = 100; xid < 104; xid++) WriteAndCommit(xid);
  Write(104);
  ASSERT_EQ(slots_[0].floor, 103u);
  EXPECT_EQ(Settle(kAt100), StampCheck::kUnsettled);                               // floor >= xmax
  EXPECT_EQ(Settle(OwnedSnapshot(103, 105, {103, 104})), StampCheck::kUnsettled);  // 103 may be the one forgotten
  EXPECT_EQ(Settle(OwnedSnapshot(104, 105, {104})), StampCheck::kValid);
}

TEST_F(StampTest, FloorIsSettledIfAllBelowItThatRanStillRun) {
  Write(100, 1);  // elsewhere
  Write(101, 1);
  for (Xid xid = 102; xid < 106; xid++) WriteAndCommit(xid);
  Write(106);
  ASSERT_EQ(slots_[0].floor, 105u);
  const OwnedSnapshot snapshot(100, 107, {106, 101, 100});
  asked_.clear();
  EXPECT_EQ(Settle(snapshot), StampCheck::kValid);
  EXPECT_EQ(asked_, (std::vector<Xid>{101, 100}));  // not 106, which is above
  EXPECT_EQ(Check(snapshot, snapshot), StampCheck::kValid);
  Forget(101);
  EXPECT_EQ(Settle(snapshot), StampCheck::kUnsettled);
  EXPECT_EQ(Check(snapshot, snapshot), StampCheck::kUnsettled);
  Abort(101);
  EXPECT_EQ(Settle(snapshot), StampCheck::kUnsettled);
}

TEST_F(StampTest, OwnIdBelowFloorNeedsNoAsking) {
  for (Xid xid = 101; xid < 105; xid++) WriteAndCommit(xid);
  Write(105);
  const OwnedSnapshot snapshot(100, 106, {100, 105});
  asked_.clear();
  EXPECT_EQ(Settle(snapshot, 100), StampCheck::kValid);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(StampTest, OverflowMustBeBelowXmin) {
  for (Xid xid = 100; xid < 105; xid++) Write(xid);
  ASSERT_EQ(slots_[0].overflow, 100u);
  const OwnedSnapshot with(100, 105, {100, 101, 102, 103, 104});
  EXPECT_EQ(Settle(with), StampCheck::kUnsettled);
  Commit(100);
  const OwnedSnapshot without(101, 105, {101, 102, 103, 104});
  EXPECT_EQ(Settle(without), StampCheck::kValid);
  EXPECT_EQ(Check(without, without), StampCheck::kValid);
  EXPECT_EQ(Check(without, with), StampCheck::kUnsettled);
}

// --- Check ---

TEST_F(StampTest, QuietHitAsksNothing) {
  WriteAndCommit(100);
  ASSERT_EQ(Settle(kAt200), StampCheck::kValid);
  asked_.clear();
  EXPECT_EQ(Check(kAt200, OwnedSnapshot(150, 210, {150, 160})), StampCheck::kValid);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(StampTest, ForgettingEndsAnEntry) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  EXPECT_FALSE(table_.IsDead(stamp_));
  for (Xid xid = 100; xid < 104; xid++) WriteAndCommit(xid);
  EXPECT_FALSE(table_.IsDead(stamp_));
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);  // an old snapshot still hits
  Write(104);
  EXPECT_TRUE(table_.IsDead(stamp_));
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kChanged);
}

TEST_F(StampTest, WriterCountsByVisibility) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 101, {100})), StampCheck::kValid);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 100, {})), StampCheck::kValid);
  EXPECT_TRUE(asked_.empty());
  Commit(100);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 101, {100})), StampCheck::kValid);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(101, 101, {})), StampCheck::kChanged);
}

TEST_F(StampTest, AbortedWriterIsNoChange) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  Abort(100);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(101, 101, {})), StampCheck::kValid);
}

TEST_F(StampTest, UnknownOrImpossibleOutcomeIsUnsettled) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  EXPECT_EQ(Check(kAt100, kAt200), StampCheck::kUnsettled);  // finished as the reader sees it, yet running
  Forget(100);
  EXPECT_EQ(Check(kAt100, kAt200), StampCheck::kUnsettled);
  EXPECT_EQ(Check(kAt100, kAt100), StampCheck::kValid);  // does not matter
}

TEST_F(StampTest, OwnWriteIsNoHit) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  Write(100);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 101, {100}), 100), StampCheck::kOwnWrite);
  EXPECT_EQ(Check(kAt100, OwnedSnapshot(100, 101, {100}), 101), StampCheck::kValid);
}

TEST_F(StampTest, EntryMayBeNewerThanTheReader) {
  WriteAndCommit(100);
  ASSERT_EQ(Settle(OwnedSnapshot(101, 101, {})), StampCheck::kValid);
  EXPECT_EQ(Check(OwnedSnapshot(101, 101, {}), kAt100), StampCheck::kUnsettled);
  EXPECT_EQ(Check(OwnedSnapshot(101, 101, {}), OwnedSnapshot(101, 101, {})), StampCheck::kValid);
}

}  // namespace
}  // namespace aggcache
