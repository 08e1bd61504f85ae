// Tests of an entry's stamps: the hit rule over them, wherever in the entry they lie.
#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

// Entries whose stamps stand in pairs, each of one tag: valid as long as one stamp of every pair is.
class AlternativesTest : public EntryStoreTest {
 protected:
  // `pairs` tags with slots 2 i and 2 i + 1.
  Source Make(uint32_t pairs, uint32_t value_size) {
    Source source;
    source.key = "key" + std::to_string(pairs) + "/" + std::to_string(value_size);
    source.hash = Mix(pairs * 1000003 + value_size);
    source.value = Bytes(value_size, 1);
    source.stamps.resize(pairs * 2);
    for (uint32_t i = 0; i < pairs * 2; i++) {
      source.stamps[i].slot = i;
      source.stamps[i].alternative = i % 2 == 1;
      source.stamps[i].version = slots_[i].version;
    }
    return source;
  }
  StampCheck Ask(const Source &source, Xid own = kNoXid) {
    Snapshot reader;
    reader.xmin = reader.xmax = 1000;
    const Transactions transactions = {AllCommitted, nullptr, own};
    return store_.Check(store_.Find(source.LookupKey()), reader, transactions);
  }
  void Write(uint32_t slot, Xid xid) {
    const Transactions transactions = {AllCommitted, nullptr, xid};
    EXPECT_TRUE(table_.Register(slot, transactions));
  }
};

TEST_F(AlternativesTest, OneOfEachPairIsEnough) {
  for (uint32_t pairs : {1u, 2u, 5u, 40u})
    for (uint32_t broken = 0; broken < pairs; broken++) {
      for (StampSlot *slot = slots_.get(); slot != slots_.get() + kSlots; slot++)
        for (auto &writer : slot->writers) writer = kNoXid;
      Source source = Make(pairs, 100 + broken);
      ASSERT_EQ(Put(source), StoreCode::kOk);
      EXPECT_EQ(Ask(source), StampCheck::kValid);
      Write(2 * broken, 500);  // finished for the reader, not for the entry
      EXPECT_EQ(Ask(source), StampCheck::kValid) << "first of pair " << broken;
      Write(2 * ((broken + 1) % pairs) + 1, 501);
      EXPECT_EQ(Ask(source), pairs > 1 ? StampCheck::kValid : StampCheck::kChanged);
      Write(2 * broken + 1, 502);
      EXPECT_EQ(Ask(source), StampCheck::kChanged) << "both of pair " << broken << " of " << pairs;
    }
}

TEST_F(AlternativesTest, AnOwnWriteInOneSlotIsAnothers) {
  Source source = Make(3, 50);
  ASSERT_EQ(Put(source), StoreCode::kOk);
  Write(2, 900);
  EXPECT_EQ(Ask(source, 900), StampCheck::kValid);
  Write(3, 900);
  EXPECT_EQ(Ask(source, 900), StampCheck::kOwnWrite);
  // above a change that is found before it
  Write(0, 500);
  Write(1, 500);
  EXPECT_EQ(Ask(source, 900), StampCheck::kOwnWrite);
  EXPECT_EQ(Ask(source), StampCheck::kChanged);
}

TEST_F(AlternativesTest, CopiesKeepTheirPairs) {
  for (uint32_t pairs : {2u, 40u}) {
    Source source = Make(pairs, 10);
    ASSERT_EQ(Put(source), StoreCode::kOk);
    const EntryStore::Reference entry = store_.Find(source.LookupKey());
    std::vector<Stamp> copied(store_.StampCount(entry));
    store_.CopyStamps(entry, copied.data());
    ASSERT_EQ(copied.size(), source.stamps.size());
    for (size_t i = 0; i < copied.size(); i++) {
      EXPECT_EQ(copied[i].slot, source.stamps[i].slot);
      EXPECT_EQ(copied[i].alternative, source.stamps[i].alternative);
    }
  }
}

// The stored snapshot reaches the hit rule whole, wherever its ids lie.
TEST_F(EntryStoreTest, CheckComparesTheSnapshots) {
  slots_[9].writers[0] = 150;
  int n = 0;
  for (size_t key_size : {0, 10, 140, 300})
    for (size_t running_count : {1, 2, 15, 40, 1000, 4096}) {
      Source source = Small(n++);
      source.key = Bytes(key_size, 1);
      source.xmin = 100;
      source.xmax = 10000;
      source.stamps = {StampOf(8), StampOf(9)};
      for (size_t i = 1; i < running_count; i++) source.running.push_back(200 + i);
      source.running.push_back(150);  // the last one counts
      ASSERT_EQ(Put(source), StoreCode::kOk);
      EXPECT_EQ(Check(source, 120, 10000, {150}), StampCheck::kValid);
      EXPECT_EQ(Check(source, 151, 10000), StampCheck::kChanged);
      EXPECT_EQ(Check(source, 120, 10000, {150}, 150), StampCheck::kOwnWrite);
      // Had it been finished, another reader would be right.
      source.running.back() = 200;
      ASSERT_EQ(Put(source), StoreCode::kOk);
      EXPECT_NE(Check(source, 120, 10000, {150}), StampCheck::kValid);
      EXPECT_EQ(Check(source, 151, 10000), StampCheck::kValid);
    }
}

TEST_F(EntryStoreTest, CheckAnswersTheFirstReasonButOwnWritesFirst) {
  slots_[2].overflow = 500;    // unsettled for who has xmin <= 500
  slots_[3].writers[0] = 600;  // a writer
  for (size_t key_size : {10, 300}) {
    Source source = Small(1);
    source.key = Bytes(key_size, 1);
    source.xmin = source.xmax = 550;
    source.stamps = {StampOf(1), StampOf(2), StampOf(3), StampOf(4)};
    ASSERT_EQ(Put(source), StoreCode::kOk);
    EXPECT_EQ(Check(source, 550, 560), StampCheck::kValid);
    EXPECT_EQ(Check(source, 400, 560), StampCheck::kUnsettled);
    Kill(4);
    EXPECT_EQ(Check(source, 550, 560), StampCheck::kChanged);
    EXPECT_EQ(Check(source, 400, 560), StampCheck::kUnsettled);
    EXPECT_EQ(Check(source, 400, 560, {}, 555), StampCheck::kUnsettled);
    EXPECT_EQ(Check(source, 400, 700, {600}, 600), StampCheck::kOwnWrite);
    Kill(1);
    EXPECT_EQ(Check(source, 400, 560), StampCheck::kChanged);
    EXPECT_EQ(Check(source, 400, 700, {600}, 600), StampCheck::kOwnWrite);
  }
}

TEST_F(EntryStoreTest, CheckKeepsImmediate) {
  slots_[5].writers[0] = 150;
  Source source = Small(1);
  source.running = {150};
  source.stamps = {StampOf(5)};
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_EQ(Check(source, 100, 200, {150}), StampCheck::kValid);
  source.stamps[0].immediate = true;  // committed since, and visible to all at once
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_NE(Check(source, 100, 200, {150}), StampCheck::kValid);
}

TEST_F(EntryStoreTest, StampsKeepAllTheirBits) {
  slots_[kSlots - 1].version = 0xfedcba9876543210u;
  Source source = Small(1);
  source.stamps = {StampOf(kSlots - 1)};
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_FALSE(store_.Info(store_.Find(source.LookupKey())).dead);
  for (int bit = 0; bit < 64; bit++) {
    slots_[kSlots - 1].version = 0xfedcba9876543210u ^ uint64_t { 1 } << bit;
    EXPECT_TRUE(store_.Info(store_.Find(source.LookupKey())).dead) << bit;
  }
}

TEST_F(EntryStoreTest, CopyStampsGivesThemAsStored) {
  for (uint32_t count : {0u, 1u, 5u, 100u}) {
    Source source = Small(static_cast<int>(count));
    for (uint32_t i = 0; i < count; i++) {
      Stamp stamp = StampOf(i % kSlots);
      stamp.immediate = i % 3 == 0;
      source.stamps.push_back(stamp);
    }
    const size_t expected = source.stamps.size();
    ASSERT_EQ(Put(source), StoreCode::kOk);
    const EntryStore::Reference entry = store_.Find(source.LookupKey());
    ASSERT_EQ(store_.StampCount(entry), expected);
    std::vector<Stamp> stamps(expected);
    store_.CopyStamps(entry, stamps.data());
    for (size_t i = 0; i < expected; i++) {
      EXPECT_EQ(stamps[i].slot, source.stamps[i].slot);
      EXPECT_EQ(stamps[i].immediate, source.stamps[i].immediate);
    }
  }
}

}  // namespace
}  // namespace aggcache
