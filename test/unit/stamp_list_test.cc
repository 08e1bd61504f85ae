// The rules about lists of stamps, in which each tag stands as one stamp or as several of which one is enough.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "core/tag.h"
#include "stamp_fixture.h"

namespace aggcache {
namespace {

// --- SettleAll ---

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

// --- Expire ---

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
  EXPECT_TRUE(table_.Expire(tag));
  // for snapshots old and new, and though its neighbours are as they were
  EXPECT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt100.Get(), As(kNoXid)), StampCheck::kChanged);
  EXPECT_EQ(table_.CheckAll(stamps.data(), 4, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kChanged);
  EXPECT_EQ(table_.CheckAll(stamps.data() + 2, 2, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
  // what is stored from then on is not concerned
  uint32_t count = 4;
  ASSERT_EQ(table_.SettleAll(stamps.data(), &count, kAt100.Get(), As(kNoXid)), StampCheck::kValid);
  EXPECT_EQ(table_.CheckAll(stamps.data(), count, kAt100.Get(), kAt200.Get(), As(kNoXid)), StampCheck::kValid);
}

}  // namespace
}  // namespace aggcache
