// The rules of StampTable one by one, and under threads.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core/tag.h"

namespace aggcache {
namespace {

// A snapshot that owns its list of running ids.
class OwnedSnapshot {
 public:
  OwnedSnapshot() = default;
  OwnedSnapshot(Xid xmin, Xid xmax, std::vector<Xid> running)
      : xmin_(xmin), xmax_(xmax), running_(std::move(running)) {}

  Snapshot Get() const {
    Snapshot snapshot;
    snapshot.xmin = xmin_;
    snapshot.xmax = xmax_;
    snapshot.running = running_.data();
    snapshot.running_count = static_cast<uint32_t>(running_.size());
    return snapshot;
  }

 private:
  Xid xmin_ = kNoXid;
  Xid xmax_ = kNoXid;
  std::vector<Xid> running_;
};

TEST(SnapshotTest, IsRunning) {
  const OwnedSnapshot snapshot(10, 20, {15, 10});
  EXPECT_FALSE(snapshot.Get().IsRunning(9));
  EXPECT_TRUE(snapshot.Get().IsRunning(10));
  EXPECT_FALSE(snapshot.Get().IsRunning(11));
  EXPECT_TRUE(snapshot.Get().IsRunning(15));
  EXPECT_FALSE(snapshot.Get().IsRunning(19));
  EXPECT_TRUE(snapshot.Get().IsRunning(20));
}

constexpr uint32_t kTableSlots = 8;
constexpr Xid kStart = 99;  // ids of the tests begin at 100

class StampTest : public ::testing::Test {
 protected:
  StampTest() : table_(slots_, kTableSlots, &start_) { table_.Begin(kStart); }

  Transactions As(Xid own) { return {&Answer, this, own}; }
  void Write(Xid xid, uint32_t slot = 0) { table_.Register(slot, As(xid)); }
  void Commit(Xid xid) { outcomes_[xid] = Outcome::kCommitted; }
  void Abort(Xid xid) { outcomes_[xid] = Outcome::kAborted; }
  void Forget(Xid xid) { outcomes_[xid] = Outcome::kUnknown; }
  void WriteAndCommit(Xid xid) {
    Write(xid);
    Commit(xid);
  }

  StampCheck Settle(const OwnedSnapshot &snapshot, Xid own = kNoXid) {
    return table_.Settle(&stamp_, snapshot.Get(), As(own));
  }
  StampCheck Check(const OwnedSnapshot &stored, const OwnedSnapshot &reader, Xid own = kNoXid) {
    return table_.Check(stamp_, stored.Get(), reader.Get(), As(own));
  }
  std::vector<Xid> Writers(uint32_t slot = 0) const {
    std::vector<Xid> writers;
    for (const std::atomic<Xid> &writer : slots_[slot].writers)
      if (writer != kNoXid) writers.push_back(writer);
    std::sort(writers.begin(), writers.end());
    return writers;
  }

  StampSlot slots_[kTableSlots] = {};
  std::atomic<Xid> start_{kNoXid};
  StampTable table_;
  Stamp stamp_;
  std::map<Xid, Outcome> outcomes_;  // absent: running
  std::vector<Xid> asked_;

 private:
  static Outcome Answer(void *context, Xid xid) noexcept {
    auto *self = static_cast<StampTest *>(context);
    for (const StampSlot &slot : self->slots_) EXPECT_EQ(slot.sequence % 2, 0u) << "asked under a lock";
    self->asked_.push_back(xid);
    const auto found = self->outcomes_.find(xid);
    return found == self->outcomes_.end() ? Outcome::kRunning : found->second;
  }
};

const OwnedSnapshot kAt100(100, 100, {});  // nothing has begun
const OwnedSnapshot kAt200(200, 200, {});  // all below 200 has finished

TEST_F(StampTest, SlotOfUsesLowBits) {
  EXPECT_EQ(table_.count(), kTableSlots);
  EXPECT_EQ(table_.SlotOf(WideTag(1, 2)), WideTag(1, 2) % kTableSlots);
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

// --- Culprit ---

TEST_F(StampTest, CulpritIsWhoSeparatesEntryAndReader) {
  const OwnedSnapshot stored(101, 104, {101, 102, 103});
  for (Xid xid : {101, 102, 103}) Write(xid);
  ASSERT_EQ(Settle(stored), StampCheck::kValid);
  Abort(101);
  Commit(102);
  const OwnedSnapshot reader(103, 104, {103});
  ASSERT_EQ(Check(stored, reader), StampCheck::kChanged);
  EXPECT_EQ(table_.Culprit(stamp_, stored.Get(), reader.Get(), As(kNoXid)), 102u);
  EXPECT_EQ(table_.Culprit(stamp_, stored.Get(), stored.Get(), As(kNoXid)), kNoXid);
}

TEST_F(StampTest, CulpritForgotten) {
  ASSERT_EQ(Settle(kAt100), StampCheck::kValid);
  for (Xid xid : {100, 101, 102, 103, 104}) WriteAndCommit(xid);
  // the first four have made room for the last
  ASSERT_EQ(Writers(), std::vector<Xid>{104});
  ASSERT_EQ(Check(kAt100, kAt200), StampCheck::kChanged);
  EXPECT_EQ(table_.Culprit(stamp_, kAt100.Get(), kAt200.Get(), As(kNoXid)), 104u);
  const OwnedSnapshot reader(104, 105, {104});
  EXPECT_EQ(table_.Culprit(stamp_, kAt100.Get(), reader.Get(), As(kNoXid)), 103u);
}

// --- ListConcurrent ---

TEST_F(StampTest, ListsWhoHadNotFinished) {
  for (Xid xid : {100, 101, 102, 103}) Write(xid);
  Commit(100);
  Commit(101);
  Abort(102);
  Xid writers[kSlotWriters];
  int count = -1;
  // 100 is seen as finished; 101 and 102 have finished since; 103 is the caller's own
  const OwnedSnapshot reader(101, 104, {101, 102, 103});
  ASSERT_EQ(table_.ListConcurrent(0, reader.Get(), As(103), writers, &count), StampCheck::kValid);
  std::sort(writers, writers + count);
  EXPECT_EQ(std::vector<Xid>(writers, writers + count), (std::vector<Xid>{101, 102}));
  ASSERT_EQ(table_.ListConcurrent(1, reader.Get(), As(103), writers, &count), StampCheck::kValid);
  EXPECT_EQ(count, 0);
  ASSERT_EQ(table_.ListConcurrent(0, kAt200.Get(), As(kNoXid), writers, &count), StampCheck::kValid);
  EXPECT_EQ(count, 0);
}

TEST_F(StampTest, ListsNothingBeforeBegin) {
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots_, kTableSlots, &start);
  Xid writers[kSlotWriters];
  int count;
  EXPECT_EQ(table.ListConcurrent(0, kAt100.Get(), As(kNoXid), writers, &count), StampCheck::kUnsettled);
  // 99 may have been prepared before the start
  EXPECT_EQ(table_.ListConcurrent(0, OwnedSnapshot(99, 101, {99}).Get(), As(kNoXid), writers, &count),
            StampCheck::kUnsettled);
}

// Random histories: whatever was forgotten, the list holds every writer that the snapshot sees as running, or says that
// it may not.
TEST_F(StampTest, ListIsCompleteOrUnsettled) {
  std::mt19937 random(20261);
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  int listed = 0, unsettled = 0;
  for (int round = 0; round < 20000; round++) {
    for (StampSlot &slot : slots_) {
      slot.floor = slot.overflow = kNoXid;
      for (std::atomic<Xid> &writer : slot.writers) writer = kNoXid;
    }
    outcomes_.clear();
    Xid next = 100;
    std::vector<Xid> open, wrote;
    OwnedSnapshot reader;
    Xid reader_limit = kNoXid;
    for (int step = 0, steps = 4 + below(24); step < steps || reader_limit == kNoXid; step++) {
      const uint32_t what = below(8);
      if (what < 3) {
        open.push_back(next++);
      } else if (what < 5 && !open.empty()) {
        const Xid xid = open[below(static_cast<uint32_t>(open.size()))];
        Write(xid);
        wrote.push_back(xid);
      } else if (what < 7 && !open.empty()) {
        const uint32_t i = below(static_cast<uint32_t>(open.size()));
        outcomes_[open[i]] = below(3) == 0 ? Outcome::kAborted : Outcome::kCommitted;
        open.erase(open.begin() + i);
      } else if (reader_limit == kNoXid) {
        reader_limit = next;
        reader = OwnedSnapshot(open.empty() ? next : *std::min_element(open.begin(), open.end()), next, open);
      }
    }
    Xid writers[kSlotWriters];
    int count;
    asked_.clear();
    if (table_.ListConcurrent(0, reader.Get(), As(kNoXid), writers, &count) != StampCheck::kValid) {
      unsettled++;
      continue;
    }
    for (Xid xid : wrote) {
      if (!reader.Get().IsRunning(xid)) continue;
      EXPECT_NE(std::find(writers, writers + count, xid), writers + count) << "round " << round << ", writer " << xid;
      listed++;
    }
  }
  EXPECT_GT(listed, 1000);
  EXPECT_GT(unsettled, 500);
}

// --- Register ---

TEST_F(StampTest, TheTwoSlotsOfATagDiffer) {
  for (uint64_t tag = 0; tag < 4096; tag++) {
    const uint64_t spread = Mix(tag);
    EXPECT_NE(table_.SlotOf(spread), table_.AlternativeSlotOf(spread));
    EXPECT_LT(table_.AlternativeSlotOf(spread), kTableSlots);
  }
  EXPECT_NE(table_.SlotOf(0), table_.AlternativeSlotOf(0));
}

// Stamps of two tags: slots 0 and 1, and slots 2 and 3.
std::vector<Stamp> TwoTags() {
  std::vector<Stamp> stamps(4);
  for (uint32_t i = 0; i < 4; i++) {
    stamps[i].slot = i;
    stamps[i].alternative = i % 2 == 1;
  }
  return stamps;
}

TEST_F(StampTest, SettleAllKeepsWhatCanBeSettled) {
  const OwnedSnapshot snapshot(110, 110, {});
  std::vector<Stamp> stamps = TwoTags();
  uint32_t count = 4;
  EXPECT_EQ(table_.SettleAll(stamps.data(), &count, snapshot.Get(), As(kNoXid)), StampCheck::kValid);
  EXPECT_EQ(count, 4u);
  // What is left of a tag begins with a stamp that is no alternative to the tag before it.
  Write(105, 2);
  stamps = TwoTags();
  EXPECT_EQ(table_.SettleAll(stamps.data(), &count, snapshot.Get(), As(105)), StampCheck::kUnsettled);  // xip lacks it
  const OwnedSnapshot own(105, 110, {105});
  stamps = TwoTags();
  count = 4;
  ASSERT_EQ(table_.SettleAll(stamps.data(), &count, own.Get(), As(105)), StampCheck::kValid);
  ASSERT_EQ(count, 3u);
  EXPECT_EQ(stamps[2].slot, 3u);
  EXPECT_FALSE(stamps[2].alternative);
  EXPECT_TRUE(stamps[1].alternative);
}

TEST_F(StampTest, SettleAllNeedsOneOfEachTag) {
  const OwnedSnapshot own(105, 110, {105});
  Write(105, 2);
  Write(105, 3);
  std::vector<Stamp> stamps = TwoTags();
  uint32_t count = 4;
  EXPECT_EQ(table_.SettleAll(stamps.data(), &count, own.Get(), As(105)), StampCheck::kOwnWrite);
}

// --- CheckAll, CulpritOf ---

TEST_F(StampTest, CheckAllOfNothingIsValid) {
  EXPECT_EQ(table_.CheckAll(nullptr, 0, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
  EXPECT_EQ(table_.CulpritOf(nullptr, 0, kAt100.Get(), kAt200.Get(), As(kNoXid)), kNoXid);
}

TEST_F(StampTest, CheckAllNeedsOneOfEachTag) {
  const std::vector<Stamp> stamps = TwoTags();
  const auto check = [&](Xid own) { return table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(own)); };
  EXPECT_EQ(check(kNoXid), StampCheck::kValid);
  Write(110, 2);
  Commit(110);
  EXPECT_EQ(check(kNoXid), StampCheck::kValid);
  EXPECT_EQ(check(110), StampCheck::kValid);
  Write(111, 1);
  Commit(111);
  EXPECT_EQ(check(kNoXid), StampCheck::kValid);
  Write(112, 3);
  Commit(112);
  EXPECT_EQ(check(kNoXid), StampCheck::kChanged);
  EXPECT_EQ(check(112), StampCheck::kChanged);  // its own write is in one slot only: another tag's
}

TEST_F(StampTest, CulpritOfIsInAllSlotsOfItsTag) {
  const std::vector<Stamp> stamps = TwoTags();
  Write(110, 0);  // of another tag, which shares a slot
  Write(111, 2);
  Write(111, 3);
  Commit(110);
  Commit(111);
  ASSERT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kChanged);
  EXPECT_EQ(table_.CulpritOf(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(kNoXid)), 111u);
}

TEST_F(StampTest, ExpireEndsAllOfATagAndNothingElse) {
  const uint64_t tag = FunctionTag(5, 16384), other = CallTag(5, 16384, 42);
  std::vector<Stamp> stamps;
  for (uint64_t each : {tag, other}) {
    for (bool alternative : {false, true}) {
      Stamp stamp;
      stamp.slot = alternative ? table_.AlternativeSlotOf(each) : table_.SlotOf(each);
      stamp.alternative = alternative;
      ASSERT_EQ(table_.Settle(&stamp, kAt100.Get(), As(kNoXid)), StampCheck::kValid);
      stamps.push_back(stamp);
    }
  }
  ASSERT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
  table_.Expire(tag);
  // for snapshots old and new, and though its neighbours are as they were
  EXPECT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt100.Get(), As(kNoXid)), StampCheck::kChanged);
  EXPECT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kChanged);
  EXPECT_EQ(table_.CheckAll(stamps.data() + 2, 2, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
  // what is stored from then on is not concerned
  uint32_t count = 4;
  ASSERT_EQ(table_.SettleAll(stamps.data(), &count, kAt100.Get(), As(kNoXid)), StampCheck::kValid);
  EXPECT_EQ(table_.CheckAll(stamps.data(), count, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
}

// Against the rule as it reads: of each tag the first check, unless another one is kValid; of the tags the first that
// is not kValid, unless one is kOwnWrite.
TEST_F(StampTest, CheckAllOfRandomLists) {
  std::mt19937 random(7);
  std::map<StampCheck, int> answers;
  for (int round = 0; round < 5000; round++) {
    for (StampSlot &slot : slots_) {
      slot.overflow = random() % 8 == 0 ? 150 : 0;
      slot.version = random() % 4 == 0 ? 1 : 0;
      for (std::atomic<Xid> &writer : slot.writers) writer = random() % 8 == 0 ? 120 + random() % 3 : kNoXid;
    }
    for (Xid xid : {120, 121, 122}) outcomes_[xid] = random() % 2 == 0 ? Outcome::kAborted : Outcome::kCommitted;
    std::vector<Stamp> stamps(random() % 8);
    for (size_t i = 0; i < stamps.size(); i++) {
      stamps[i].slot = random() % kTableSlots;
      stamps[i].immediate = random() % 4 == 0;
      stamps[i].alternative = i > 0 && random() % 2 == 0;
    }
    const OwnedSnapshot reader(random() % 2 == 0 ? 120 : 160, 160, {});
    const Transactions transactions = As(random() % 2 == 0 ? 121 : kNoXid);
    std::vector<StampCheck> tags;
    for (const Stamp &stamp : stamps) {
      const StampCheck check = table_.Check(stamp, kAt100.Get(), reader.Get(), transactions);
      if (!stamp.alternative)
        tags.push_back(check);
      else if (check == StampCheck::kValid)
        tags.back() = check;
    }
    StampCheck expected = StampCheck::kValid;
    for (StampCheck check : tags)
      if (expected == StampCheck::kValid || check == StampCheck::kOwnWrite) expected = check;
    const uint32_t count = static_cast<uint32_t>(stamps.size());
    ASSERT_EQ(table_.CheckAll(stamps.data(), count, kAt100.Get(), reader.Get(), transactions), expected) << round;
    answers[expected]++;
  }
  for (StampCheck check : {StampCheck::kValid, StampCheck::kChanged, StampCheck::kUnsettled, StampCheck::kOwnWrite})
    EXPECT_GT(answers[check], 100) << static_cast<int>(check);
}

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

// --- immediate stamps ---

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

// --- threads ---

// A server with a table per slot: ids, outcomes and snapshots as PostgreSQL orders them.
class ThreadedServer {
 public:
  explicit ThreadedServer(uint32_t slots) : rows_(slots) {}

  Xid BeginTransaction() {
    std::lock_guard<std::mutex> lock(mutex_);
    outcomes_.push_back(Outcome::kRunning);
    running_.push_back(kStart + outcomes_.size());
    return running_.back();
  }
  void Write(Xid xid, uint32_t slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    rows_[slot].push_back(xid);
  }
  void End(Xid xid, Outcome outcome) {
    std::lock_guard<std::mutex> lock(mutex_);
    outcomes_[xid - kStart - 1] = outcome;
    running_.erase(std::find(running_.begin(), running_.end(), xid));
    last_finished_ = std::max(last_finished_, xid);
  }
  OwnedSnapshot TakeSnapshot() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Xid> running;
    Xid xmin = last_finished_ + 1;
    for (Xid xid : running_) {
      if (xid > last_finished_) continue;
      running.push_back(xid);
      xmin = std::min(xmin, xid);
    }
    return OwnedSnapshot(xmin, last_finished_ + 1, std::move(running));
  }
  // The rows that a snapshot sees, as a sum that two different sets will hardly share.
  uint64_t Compute(uint32_t slot, const Snapshot &snapshot) {
    std::lock_guard<std::mutex> lock(mutex_);
    uint64_t sum = 0;
    for (Xid xid : rows_[slot])
      if (outcomes_[xid - kStart - 1] == Outcome::kCommitted && !snapshot.IsRunning(xid)) sum += Mix(xid);
    return sum;
  }
  Transactions As(Xid own) { return {&Answer, this, own}; }

 private:
  static Outcome Answer(void *context, Xid xid) noexcept {
    auto *self = static_cast<ThreadedServer *>(context);
    std::lock_guard<std::mutex> lock(self->mutex_);
    return self->outcomes_[xid - kStart - 1];
  }

  std::mutex mutex_;
  std::vector<Outcome> outcomes_;
  std::vector<Xid> running_;
  Xid last_finished_ = kStart;
  std::vector<std::vector<Xid>> rows_;
};

TEST(StampThreads, HitsAreExact) {
  constexpr uint32_t kUsed = 2;
  constexpr int kWriterThreads = 6;  // more than a slot has places
  constexpr int kReaderThreads = 3;
  constexpr int kTransactions = 300;

  struct Entry {
    bool present = false;
    Stamp stamp;
    OwnedSnapshot snapshot;
    uint64_t value = 0;
  };

  StampSlot slots[kUsed] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, kUsed, &start);
  table.Begin(kStart);
  ThreadedServer server(kUsed);
  std::mutex entries_mutex;
  Entry entries[kUsed];
  std::atomic<int> writing{kWriterThreads};
  std::atomic<uint64_t> hits{0}, stores{0}, misses{0}, wrong{0};

  std::vector<std::thread> threads;
  for (int t = 0; t < kWriterThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      for (int i = 0; i < kTransactions; i++) {
        const Xid xid = server.BeginTransaction();
        for (unsigned statement = random() % 3 + 1; statement > 0; statement--) {
          const uint32_t slot = random() % kUsed;
          server.Write(xid, slot);
          table.Register(slot, server.As(xid));
          if (random() % 4 == 0) std::this_thread::yield();
        }
        server.End(xid, random() % 4 == 0 ? Outcome::kAborted : Outcome::kCommitted);
        // Quiet stretches, in which entries live.
        if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
      }
      writing--;
    });
  for (int t = 0; t < kReaderThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 100);
      OwnedSnapshot reader = server.TakeSnapshot();
      // After the last writer each reader goes on for a while: by then all must be hits.
      for (int rest = 200; rest > 0; rest -= writing == 0 ? 1 : 0) {
        const uint32_t slot = random() % kUsed;
        if (random() % 4 != 0) reader = server.TakeSnapshot();  // else: an old one
        Entry entry;
        {
          std::lock_guard<std::mutex> lock(entries_mutex);
          entry = entries[slot];
        }
        if (entry.present &&
            table.Check(entry.stamp, entry.snapshot.Get(), reader.Get(), server.As(kNoXid)) == StampCheck::kValid) {
          hits++;
          if (entry.value != server.Compute(slot, reader.Get())) wrong++;
          continue;
        }
        misses++;
        entry.stamp.slot = slot;
        entry.snapshot = reader;
        entry.value = server.Compute(slot, reader.Get());
        if (table.Settle(&entry.stamp, reader.Get(), server.As(kNoXid)) != StampCheck::kValid) continue;
        stores++;
        entry.present = true;
        std::lock_guard<std::mutex> lock(entries_mutex);
        entries[slot] = entry;
      }
    });
  for (std::thread &thread : threads) thread.join();

  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(hits, 0u);
  EXPECT_GT(stores, 0u);
  EXPECT_GT(misses, 0u);
  for (const StampSlot &slot : slots) {
    EXPECT_EQ(slot.sequence % 2, 0u);
    EXPECT_GT(slot.version, 0u);
  }
  std::printf("  %d hits, %d misses, %d stores, %d forgettings, overflow %s\n", static_cast<int>(hits),
              static_cast<int>(misses), static_cast<int>(stores), static_cast<int>(slots[0].version),
              slots[0].overflow != 0 ? "used" : "unused");
}

// Without a server in the way: nothing that was registered is ever lost from sight, whoever is at the slot.
TEST(StampThreads, EveryRegistrationIsKeptOrForgottenInTheOpen) {
  constexpr int kThreads = 4;
  constexpr Xid kEach = 30000;
  StampSlot slots[1] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, 1, &start);
  table.Begin(kStart);
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      for (Xid i = 0; i < kEach; i++) {
        const Xid xid = kStart + 1 + i * kThreads + static_cast<Xid>(t);
        const Transactions transactions{[](void *, Xid) noexcept { return Outcome::kRunning; }, nullptr, xid};
        table.Register(0, transactions);
        bool seen = slots[0].overflow >= xid;
        // Not one moment's picture, but ids only move from the writers to overflow, which is looked at again.
        for (const std::atomic<Xid> &writer : slots[0].writers) seen |= writer == xid;
        if (!seen && slots[0].overflow < xid) lost++;
      }
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  // Each change registered one; all but the four that are left were forgotten, one at a time. Ids that an overflow had
  // passed already changed nothing.
  EXPECT_EQ(slots[0].sequence, 2 * (slots[0].version + kSlotWriters));
  EXPECT_LE(slots[0].version, kThreads * kEach - kSlotWriters);
}

// A check at the moment when a writer moves from the places to floor must not find it in neither.
TEST(StampThreads, ChecksSeeOneMoment) {
  constexpr Xid kRounds = 100000;
  StampSlot slots[1] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, 1, &start);
  table.Begin(kStart);
  const auto committed = [](void *, Xid) noexcept { return Outcome::kCommitted; };
  const OwnedSnapshot reader(kStart + kRounds + 1, kStart + kRounds + 1, {});  // sees every writer
  std::atomic<Xid> registered{kStart};
  std::atomic<Xid> checking{0};  // the checker's round: the two go side by side
  int wrong = 0;
  std::thread checker([&] {
    for (Xid round = 0; round < kRounds; round++) {
      // An entry that sees all writers before this round's.
      const OwnedSnapshot stored(kStart + 1 + round, kStart + 1 + round, {});
      Stamp stamp;
      stamp.version = round;
      checking.store(round, std::memory_order_release);
      while (registered.load(std::memory_order_acquire) <= kStart + round) std::this_thread::yield();
      do {
        const Transactions transactions{committed, nullptr, kNoXid};
        if (table.Check(stamp, stored.Get(), reader.Get(), transactions) == StampCheck::kValid) wrong++;
      } while (!table.IsDead(stamp));
    }
  });
  for (Xid round = 0; round < kRounds; round++) {
    const Xid xid = kStart + 1 + round;
    while (checking.load(std::memory_order_acquire) < round) std::this_thread::yield();
    table.Register(0, {committed, nullptr, xid});
    registered.store(xid, std::memory_order_release);
    const OwnedSnapshot after(xid + 1, xid + 1, {});
    Stamp stamp;
    EXPECT_EQ(table.Settle(&stamp, after.Get(), {committed, nullptr, kNoXid}), StampCheck::kValid);
  }
  checker.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(slots[0].version, kRounds);
}

}  // namespace
}  // namespace aggcache
