// Who wrote, for people: Culprit and ListConcurrent.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "stamp_fixture.h"

namespace aggcache {
namespace {

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

}  // namespace
}  // namespace aggcache
