// Each rule of the ledgers by itself.

#include "core/ledger.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "ledger_fixture.h"

namespace aggcache {
namespace {

using Code = LedgerCode;

// --- opening, finding, giving up ---

TEST_F(LedgerTest, WritersFindWhatWasOpened) {
  EXPECT_FALSE(ledgers_.MayHave(kLedger.tag));
  EXPECT_EQ(ledgers_.Open(kLedger), Code::kOk);
  EXPECT_TRUE(ledgers_.MayHave(kLedger.tag));
  EXPECT_TRUE(ledgers_.Has(kLedger));
  EXPECT_FALSE(ledgers_.Has({kLedger.tag, kLedger.program + 1}));
  EXPECT_FALSE(ledgers_.Has({kLedger.tag + kLedgerPartitions, kLedger.program}));
  EXPECT_EQ(ledgers_.Open(kLedger), Code::kExists);
  EXPECT_EQ(ledgers_.ledgers(), 1u);
  EXPECT_FALSE(Info().has_base);
}

TEST_F(LedgerTest, GivingUpLeavesTheOthersOfABucket) {
  const LedgerKey keys[] = {kLedger, {kLedger.tag, 8}, {kLedger.tag + kLedgerPartitions, 7}, {kLedger.tag, 9}};
  for (const LedgerKey &key : keys) EXPECT_EQ(ledgers_.Open(key), Code::kOk);
  EXPECT_EQ(RegisterAndPublish(100), Code::kOk);
  EXPECT_TRUE(ledgers_.GiveUp(keys[0]));
  EXPECT_FALSE(ledgers_.GiveUp(keys[0]));
  EXPECT_FALSE(ledgers_.Has(keys[0]));
  EXPECT_TRUE(ledgers_.Has(keys[1]));
  EXPECT_EQ(ledgers_.GiveUpAll(kLedger.tag), 2u);
  EXPECT_TRUE(ledgers_.Has(keys[2]));
  const auto any = [](void *, const LedgerKey &, const LedgerInfo &) noexcept { return true; };
  EXPECT_EQ(ledgers_.GiveUpIf(ledgers_.PartitionOf(kLedger.tag) + 1, any, nullptr), 0u);
  EXPECT_EQ(ledgers_.GiveUpIf(ledgers_.PartitionOf(kLedger.tag), any, nullptr), 1u);
  EXPECT_FALSE(ledgers_.MayHave(kLedger.tag));
  ExpectNoneLeft();
}

TEST_F(LedgerTest, AnswersNothingWithoutABase) {
  EXPECT_EQ(Read(kAt100), Code::kNone);
  EXPECT_EQ(SetBase(kAt100, {}), Code::kNone);
  EXPECT_EQ(RegisterAndPublish(100), Code::kNone);
  ledgers_.Open(kLedger);
  EXPECT_EQ(Read(kAt100), Code::kNoBase);
}

TEST_F(LedgerTest, TellsWritersWhatItIsAbout) {
  const LedgerKey other = {kLedger.tag, 8};
  EXPECT_EQ(ledgers_.Open(kLedger, "sum", 3), Code::kOk);
  EXPECT_EQ(ledgers_.Open(other, "count", 5), Code::kOk);
  EXPECT_TRUE(ledgers_.IsAbout(kLedger, "sum", 3));
  EXPECT_FALSE(ledgers_.IsAbout(kLedger, "sun", 3));
  EXPECT_FALSE(ledgers_.IsAbout(other, "coun", 4));
  EXPECT_FALSE(ledgers_.IsAbout({kLedger.tag, 9}, "sum", 3));
  LedgerAbout list[2];
  EXPECT_EQ(ledgers_.ListOf(kOtherTag, list, 2), 0u);
  EXPECT_EQ(ledgers_.ListOf(kLedger.tag, list, 1), 2u);
  EXPECT_EQ(ledgers_.ListOf(kLedger.tag, list, 2), 2u);
  EXPECT_EQ(list[0].key.program, 8u);
  EXPECT_EQ(std::string(reinterpret_cast<char *>(list[0].bytes), list[0].size), "count");
  EXPECT_EQ(std::string(reinterpret_cast<char *>(list[1].bytes), list[1].size), "sum");
  const std::string longer(kMaxAbout + 1, 'x');
  EXPECT_EQ(ledgers_.Open({kLedger.tag, 9}, longer.data(), kMaxAbout + 1), Code::kTooLarge);
  EXPECT_EQ(ledgers_.GiveUpAll(kLedger.tag), 2u);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, ASweepLeavesWhatIsRead) {
  const LedgerKey other = {kLedger.tag, 8};
  const uint32_t partition = ledgers_.PartitionOf(kLedger.tag);
  ledgers_.Open(kLedger);
  ledgers_.Open(other);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}}), Code::kOk);
  EXPECT_EQ(ledgers_.Sweep(partition), 0u);  // new ones stay once
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(ledgers_.Sweep(partition + 1), 0u);
  EXPECT_EQ(ledgers_.Sweep(partition), 1u);
  EXPECT_FALSE(ledgers_.Has(other));
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(ledgers_.Sweep(partition), 0u);
  EXPECT_EQ(ledgers_.Sweep(partition), 1u);
  ExpectNoneLeft();
}

// --- reading ---

TEST_F(LedgerTest, AddsWhatTheSnapshotSees) {
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}, {2, 1}}), Code::kOk);
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5}, {2, 1}}));
  EXPECT_EQ(added_, 0u);
  Register(100);
  EXPECT_EQ(Publish(100, {{1, 1}, {2, -1}, {3, 4}}), Code::kOk);
  Register(101);
  EXPECT_EQ(Publish(101, {{1, 10}}), Code::kOk);
  // Published, not committed.
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100, 101})), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5}, {2, 1}}));
  Commit(100);
  Commit(101);
  EXPECT_EQ(Read(kAt100), Code::kOk);  // an old snapshot
  EXPECT_EQ(groups_, (Groups{{1, 5}, {2, 1}}));
  EXPECT_EQ(Read(OwnedSnapshot(101, 102, {101})), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 6}, {3, 4}}));
  EXPECT_EQ(added_, 1u);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 16}, {3, 4}}));
  EXPECT_EQ(added_, 2u);
}

TEST_F(LedgerTest, AbortedWritersAddNothing) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 5}});
  RegisterAndPublish(100);
  Abort(100);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5}}));
}

TEST_F(LedgerTest, APreparedTransactionCountsOnceItCommits) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 5}});
  RegisterAndPublish(100);  // and prepares: runs, as far as anybody knows
  WriteAndCommit(101);
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100})), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5}}));
  Commit(100);
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100})), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5}}));
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 6}}));
}

TEST_F(LedgerTest, UnknownOutcomesAreNotGuessed) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 5}});
  RegisterAndPublish(100);
  EXPECT_EQ(Read(kAt200), Code::kUnsettled);  // the snapshot says finished, the server says running
  Forget(100);
  EXPECT_EQ(Read(kAt200), Code::kUnsettled);
  EXPECT_EQ(Read(kAt100), Code::kOk);
}

TEST_F(LedgerTest, TheReaderMustSeeWhatTheBaseSees) {
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 103, {100}), {}), Code::kOk);
  EXPECT_EQ(Read(OwnedSnapshot(100, 103, {100})), Code::kOk);
  EXPECT_EQ(Read(OwnedSnapshot(103, 103, {})), Code::kOk);
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100})), Code::kUnsettled);
  EXPECT_EQ(Read(OwnedSnapshot(100, 104, {100, 101})), Code::kUnsettled);
  EXPECT_EQ(Read(OwnedSnapshot(100, 104, {100, 103})), Code::kOk);
}

TEST_F(LedgerTest, OwnWritesAreNotInTheLedger) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {});
  EXPECT_EQ(Read(kAt100, 100), Code::kOk);
  Register(100);
  EXPECT_EQ(Read(kAt100, 100), Code::kOwnWrite);
  EXPECT_EQ(Read(kAt100, 101), Code::kOk);
  EXPECT_EQ(SetBase(kAt100, {}, 100), Code::kOwnWrite);
  // Also once others have driven it out of the slot.
  for (Xid xid = 101; xid < 110; xid++) Register(xid);
  EXPECT_EQ(Read(kAt100, 100), Code::kOwnWrite);
}

TEST_F(LedgerTest, ASlotThatCannotBeReadProvesNothing) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {});
  for (int i = 0; i < 2; i++) slots_[i].sequence++;
  EXPECT_EQ(ledgers_.Open({kLedger.tag, 8}), Code::kUnsettled);
  EXPECT_FALSE(ledgers_.Has({kLedger.tag, 8}));
  EXPECT_EQ(Read(kAt100, 100), Code::kOwnWrite);
  EXPECT_EQ(Read(kAt100), Code::kOk);
  slots_[1].sequence++;  // one of them is enough
  EXPECT_EQ(Read(kAt100, 100), Code::kOk);
  EXPECT_EQ(ledgers_.Open({kLedger.tag, 8}), Code::kOk);
  slots_[0].sequence++;
}

TEST_F(LedgerTest, OtherTagsCountByStamp) {
  ledgers_.Open(kLedger);
  Stamp pair[2];
  table_.MakeStamps(kOtherTag, false, pair);
  stamps_.assign(pair, pair + 2);
  uint32_t count = 2;
  EXPECT_EQ(table_.SettleAll(stamps_.data(), &count, kAt100.Get(), As(kNoXid)), StampCheck::kValid);
  EXPECT_EQ(SetBase(OwnedSnapshot(90, 100, {90, 95}), {{1, 5}}), Code::kUnsettled);  // start is 99
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 105, {100, 104}), {{1, 5}}), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  Register(150, kOtherTag);
  EXPECT_EQ(Read(OwnedSnapshot(110, 110, {})), Code::kOk);
  EXPECT_EQ(Read(OwnedSnapshot(150, 151, {150}), 150), Code::kOwnWrite);
  Commit(150);
  EXPECT_EQ(Read(kAt200), Code::kChanged);
  EXPECT_EQ(Read(OwnedSnapshot(110, 110, {})), Code::kOk);
  Forget(150);
  EXPECT_EQ(Read(kAt200), Code::kUnsettled);
}

// --- basing ---

TEST_F(LedgerTest, WhoHadRegisteredAtOpeningIsUnknown) {
  Register(100);
  Register(101);
  ledgers_.Open(kLedger);
  Commit(101);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 102, {100}), {{1, 5}}), Code::kOk);
  EXPECT_EQ(Publish(100, {{1, 1}}), Code::kOk);  // of a later statement
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100})), Code::kOk);
  Commit(100);
  EXPECT_EQ(Read(OwnedSnapshot(100, 102, {100})), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kUnsettled);
  // A later base sees it.
  EXPECT_EQ(SetBase(kAt200, {{1, 9}}), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 9}}));
}

TEST_F(LedgerTest, UnknownWritersThatAbortAreHarmless) {
  Register(100);
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}}), Code::kOk);
  Abort(100);
  EXPECT_EQ(Read(kAt200), Code::kOk);
}

TEST_F(LedgerTest, TheSlotAtOpeningMustBeSettledInTheBase) {
  // 100 is forgotten as finished, others while they run.
  WriteAndCommit(100);
  slots_[0].writers[0] = slots_[1].writers[0] = kNoXid;
  slots_[0].floor = slots_[1].floor = 100;
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(kAt100, {}), Code::kUnsettled);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 101, {100}), {}), Code::kUnsettled);
  EXPECT_EQ(SetBase(OwnedSnapshot(101, 101, {}), {}), Code::kOk);
  ledgers_.GiveUp(kLedger);
  slots_[0].overflow = slots_[1].overflow = 120;
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(OwnedSnapshot(120, 130, {120}), {}), Code::kUnsettled);
  EXPECT_EQ(SetBase(OwnedSnapshot(121, 130, {121}), {}), Code::kOk);
}

TEST_F(LedgerTest, EitherSlotIsEnough) {
  for (int i = 0; i < 2; i++) {
    slots_[i].overflow = 150;
    ledgers_.Open(kLedger);
    EXPECT_EQ(SetBase(kAt100, {}), Code::kOk) << i;
    ledgers_.GiveUp(kLedger);
    slots_[i].overflow = kNoXid;
  }
}

TEST_F(LedgerTest, WhatWroteBeforeTheStartIsAnOverflow) {
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(OwnedSnapshot(99, 101, {99}), {}), Code::kUnsettled);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 101, {100}), {}), Code::kOk);
}

TEST_F(LedgerTest, TheBaseDropsWhatItsSnapshotSees) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 5}});
  for (Xid xid = 100; xid < 103; xid++) RegisterAndPublish(xid);
  Commit(100);
  Abort(101);
  EXPECT_EQ(SetBase(OwnedSnapshot(102, 103, {102}), {{1, 6}}), Code::kOk);
  EXPECT_EQ(Info().deltas, 1u);
  EXPECT_EQ(Info().floor, 101u);
  // Older snapshots have lost the deltas that they do not see.
  EXPECT_EQ(Read(kAt100), Code::kUnsettled);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}}), Code::kUnsettled);
  Commit(102);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 7}}));
}

TEST_F(LedgerTest, AnOlderBaseIsAsGoodWhileNothingWasForgotten) {
  ledgers_.Open(kLedger);
  RegisterAndPublish(100);
  Commit(100);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}}), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 6}}));
}

TEST_F(LedgerTest, ASnapshotToStoreUnderCountsItsOwnTransactionAsRunning) {
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(OwnedSnapshot(101, 101, {}), {}, 100), Code::kUnsettled);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 101, {100}), {}, 100), Code::kOk);
}

TEST_F(LedgerTest, LargeBasesAndSnapshots) {
  ledgers_.Open(kLedger);
  Groups groups;
  for (int i = 0; i < 500; i++) groups[i] = i + 1;  // of 16 blocks
  std::vector<Xid> running;
  for (Xid xid = 100; xid < 200; xid += 2) running.push_back(xid);
  const OwnedSnapshot snapshot(100, 200, running);
  EXPECT_EQ(SetBase(snapshot, groups), Code::kOk);
  EXPECT_EQ(Info().blocks, 1 + 16 + 2u);
  EXPECT_EQ(Read(snapshot), Code::kOk);
  EXPECT_EQ(groups_, groups);
  running.push_back(199);  // finished, as the base sees it
  EXPECT_EQ(Read(OwnedSnapshot(100, 200, running)), Code::kUnsettled);
  EXPECT_EQ(SetBase(snapshot, groups), Code::kOk);
  running.resize(kMaxLedgerRunning + 1, 200);
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 201, running), {}), Code::kTooLarge);
  EXPECT_EQ(Read(snapshot), Code::kOk);  // as it was
  EXPECT_EQ(groups_, groups);
  ledgers_.GiveUp(kLedger);
  ExpectNoneLeft();
}

// --- folding ---

TEST_F(LedgerTest, AFullLedgerFoldsWhatHasFinished) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 5}});
  const Xid last = 100 + kLedgerDeltas;
  for (Xid xid = 100; xid < last; xid++) EXPECT_EQ(RegisterAndPublish(xid), Code::kOk);
  Abort(101);
  for (Xid xid = 103; xid < last; xid++) Commit(xid);
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(RegisterAndPublish(last), Code::kOk);
  EXPECT_EQ(Info().deltas, 3u);  // 100, 102 and the new one
  EXPECT_EQ(Info().floor, last - 1);
  // A snapshot that saw all of them is served, one that does not see all that was folded is not.
  EXPECT_EQ(Read(kAt100), Code::kUnsettled);
  EXPECT_EQ(Read(OwnedSnapshot(100, last, {100, 102})), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5 + kLedgerDeltas - 3}}));
  EXPECT_EQ(Read(OwnedSnapshot(100, last, {100, 101, 102})), Code::kUnsettled);
  Commit(100);
  Commit(102);
  Commit(last);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 5 + kLedgerDeltas}}));
}

TEST_F(LedgerTest, WithoutABaseAFoldForgets) {
  ledgers_.Open(kLedger);
  for (Xid xid = 100; xid <= 100 + kLedgerDeltas; xid++) {
    EXPECT_EQ(RegisterAndPublish(xid), Code::kOk);
    Commit(xid);
  }
  EXPECT_EQ(Info().deltas, 1u);
  EXPECT_EQ(SetBase(kAt100, {}), Code::kUnsettled);
  EXPECT_EQ(SetBase(kAt200, {{1, 17}}), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 17}}));
}

TEST_F(LedgerTest, FullOfRunningWritersItIsGivenUp) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {});
  for (Xid xid = 100; xid < 100 + kLedgerDeltas; xid++) RegisterAndPublish(xid);
  EXPECT_EQ(RegisterAndPublish(150), Code::kFull);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, AFoldOfAnUnknownOutcomeGivesUp) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {});
  for (Xid xid = 100; xid < 100 + kLedgerDeltas; xid++) RegisterAndPublish(xid);
  Forget(103);
  EXPECT_EQ(RegisterAndPublish(150), Code::kUnsettled);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, GroupsComeAndGoInFolds) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 1}});
  Groups expected = {{1, 1}};
  for (int i = 0; i < 400; i++) {
    const Xid xid = 100 + static_cast<Xid>(i);
    Groups groups = {{i, 1}};
    if (i >= 100) groups[i - 100] = -1;  // then there are a hundred, of four blocks
    Register(xid);
    EXPECT_EQ(Publish(xid, groups), Code::kOk);
    Commit(xid);
    for (const auto &[group, rows] : groups)
      if ((expected[group] += rows) == 0) expected.erase(group);
    EXPECT_EQ(Read(OwnedSnapshot(xid + 1, xid + 1, {})), Code::kOk);
    EXPECT_EQ(groups_, expected);
  }
  ledgers_.GiveUp(kLedger);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, LargeDeltas) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 1}});
  Groups groups;
  for (int i = 0; i < 200; i++) groups[i] = 1;  // of 7 blocks
  Register(100);
  EXPECT_EQ(Publish(100, groups), Code::kOk);
  Commit(100);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  groups[1]++;
  EXPECT_EQ(groups_, groups);
  work_size_ = 1600;  // the base and the delta do not fit
  EXPECT_EQ(Read(kAt200), Code::kTooLarge);
  work_size_ = 7;
  EXPECT_EQ(Read(kAt100), Code::kTooLarge);
}

// --- fails closed ---

TEST_F(LedgerTest, WithoutMemory) {
  BlockPool::Chain others;
  ledgers_.Open(kLedger);
  EXPECT_TRUE(memory_.pool.Take(kBlocks - 2, &others));
  EXPECT_EQ(SetBase(OwnedSnapshot(100, 102, {100}), {{1, 1}}), Code::kNoMemory);  // wants two
  EXPECT_EQ(memory_.pool.FreeBlocks(), 1u);
  EXPECT_EQ(SetBase(kAt100, {{1, 1}}), Code::kOk);
  EXPECT_EQ(SetBase(kAt100, {{1, 2}}), Code::kNoMemory);  // and the old one stays
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 1}}));
  EXPECT_EQ(ledgers_.Open({kLedger.tag, 8}), Code::kNoMemory);
  EXPECT_EQ(RegisterAndPublish(100), Code::kNoMemory);
  EXPECT_FALSE(ledgers_.Has(kLedger));
  memory_.pool.Give(others);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, WhatCannotBeAddedGivesUp) {
  ledgers_.Open(kLedger);
  SetBase(kAt100, {{1, 1}});
  for (Xid xid = 100; xid < 100 + kLedgerDeltas; xid++) {
    RegisterAndPublish(xid);
    Commit(xid);
  }
  work_size_ = 7;
  EXPECT_EQ(RegisterAndPublish(150), Code::kTooLarge);
  ExpectNoneLeft();
}

TEST_F(LedgerTest, ContributionsHaveALimit) {
  ledgers_.Open(kLedger);
  Register(100);
  EXPECT_EQ(Publish(100, {}), Code::kOk);  // nothing is nothing
  EXPECT_EQ(Info().deltas, 0u);
  std::vector<unsigned char> bytes(kMaxContribution + 1);
  EXPECT_EQ(ledgers_.Publish(kLedger, 100, bytes.data(), kMaxContribution + 1, As(100), Work()), Code::kTooLarge);
  ExpectNoneLeft();
}

// Whoever opens a ledger anew finds in the slots those who had kept contributions for the one before.
TEST_F(LedgerTest, AContributionToALedgerThatWasOpenedAnewIsHarmless) {
  ledgers_.Open(kLedger);
  Register(100);  // and keeps its row
  ledgers_.GiveUp(kLedger);
  Register(100);  // and keeps nothing of a second row
  ledgers_.Open(kLedger);
  EXPECT_EQ(SetBase(kAt100, {{1, 5}}), Code::kOk);
  EXPECT_EQ(Publish(100, {{1, 1}}), Code::kOk);
  Commit(100);
  EXPECT_EQ(Read(kAt100), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kUnsettled);
  EXPECT_EQ(SetBase(kAt200, {{1, 7}}), Code::kOk);
  EXPECT_EQ(Read(kAt200), Code::kOk);
  EXPECT_EQ(groups_, (Groups{{1, 7}}));
}

}  // namespace
}  // namespace aggcache
