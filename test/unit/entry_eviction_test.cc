// Tests of eviction: its order, what it refuses, and what is remembered of it.
#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <vector>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

constexpr uint32_t kAll = 1000000;  // a sample of everything

TEST_F(EntryStoreTest, EvictsByBenefit) {
  // Function and role hold so much that a use counts no more than it is.
  for (int i = 0; i < 1000; i++) {
    Source other = Small(1000 + i);
    other.hash |= uint64_t{1} << 57;  // partition 1
    ASSERT_EQ(Put(other), StoreCode::kOk);
  }
  // By what was saved per byte: 1 (cheap), 2 (large), 3 (used twice), 4 (costly), 5 (used much), in another order.
  Source cheap = Small(1), large = Small(2), twice = Small(3), costly = Small(4), much = Small(5);
  cheap.cost_ns = 1000;
  large.cost_ns = 8000;
  large.value.resize(1000);  // 5 blocks: as 1600 a block
  twice.cost_ns = 700;       // 3 * 700
  costly.cost_ns = 5000;
  much.cost_ns = 1000;  // 11 * 1000
  for (const auto *source : {&costly, &much, &large, &cheap, &twice}) ASSERT_EQ(Put(*source), StoreCode::kOk);
  for (int i = 0; i < 2; i++) store_.CountUse(store_.Find(twice.LookupKey()));
  for (int i = 0; i < 10; i++) store_.CountUse(store_.Find(much.LookupKey()));
  for (const auto *source : {&cheap, &large, &twice, &costly, &much}) {
    EXPECT_TRUE(Has(*source)) << source->key;
    EXPECT_EQ(store_.EvictOne(0, Costly().Entry(), kAll, 0), StoreCode::kOk);
    EXPECT_FALSE(Has(*source)) << source->key;
  }
  EXPECT_EQ(store_.EvictOne(0, Costly().Entry(), kAll, 0), StoreCode::kNotFound);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, RejectsACandidateThatIsWorthLess) {
  for (int i = 0; i < 20; i++) {
    Source source = Small(i);
    source.cost_ns = 5000;
    ASSERT_EQ(Put(source), StoreCode::kOk);
  }
  Source candidate = Small(100);
  candidate.cost_ns = 4999;
  for (int i = 0; i < 50; i++) EXPECT_EQ(store_.EvictOne(0, candidate.Entry(), 8, 0), StoreCode::kRejected);
  EXPECT_EQ(store_.Usage().entries, 20u);
  candidate.cost_ns = 9999;  // but twice as large
  candidate.value.resize(300);
  EXPECT_EQ(store_.EvictOne(0, candidate.Entry(), 8, 0), StoreCode::kRejected);
  candidate.cost_ns = 10000;
  EXPECT_EQ(store_.EvictOne(0, candidate.Entry(), 8, 0), StoreCode::kOk);
  EXPECT_EQ(store_.Usage().entries, 19u);
}

TEST_F(EntryStoreTest, DeadAndExpiredGoFirst) {
  std::vector<Source> sources;
  for (int i = 0; i < 30; i++) {
    Source source = Small(i);
    source.cost_ns = i % 3 == 0 ? 1 : 1000000;
    source.stamps = {StampOf(20), StampOf(i % 3 == 1 ? 21 : 22)};
    source.expires_at = i % 3 == 2 ? 5000 : 0;
    sources.push_back(source);
    ASSERT_EQ(Put(source), StoreCode::kOk);
  }
  Source worthless = Small(100);
  worthless.cost_ns = 0;
  EXPECT_EQ(store_.EvictOne(0, worthless.Entry(), kAll, 4999), StoreCode::kRejected);
  Kill(21);
  for (int i = 0; i < 20; i++) EXPECT_EQ(store_.EvictOne(0, worthless.Entry(), kAll, 5000), StoreCode::kOk);
  for (int i = 0; i < 30; i++) EXPECT_EQ(Has(sources[static_cast<size_t>(i)]), i % 3 == 0);
  EXPECT_EQ(store_.EvictOne(0, worthless.Entry(), kAll, 5000), StoreCode::kRejected);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, TellsWhatWasEvictedUntilItIsStoredAgain) {
  Source source = Small(1);
  source.hash = 0x1234567;
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_FALSE(store_.WasEvicted(source.hash));
  EXPECT_EQ(store_.EvictOne(EntryStore::PartitionOf(source.hash), Costly().Entry(), 8, 0), StoreCode::kOk);
  EXPECT_TRUE(store_.WasEvicted(source.hash));
  EXPECT_FALSE(store_.WasEvicted(source.hash + 16));
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_FALSE(store_.WasEvicted(source.hash));
}

TEST_F(EntryStoreTest, AnExpiredEntryThatGoesIsNotCalledEvicted) {
  Source source = Small(1);
  source.expires_at = 2000;
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_EQ(store_.EvictOne(EntryStore::PartitionOf(source.hash), Costly().Entry(), 8, 3000), StoreCode::kOk);
  EXPECT_FALSE(store_.WasEvicted(source.hash));
}

// A costly entry that nobody uses any more goes in the end, when the store's clock has passed it.
TEST_F(EntryStoreTest, UnusedEntriesAge) {
  Source idle = Small(1), used = Small(2);
  idle.cost_ns = used.cost_ns = 100000;
  ASSERT_EQ(Put(idle), StoreCode::kOk);
  ASSERT_EQ(Put(used), StoreCode::kOk);
  int evictions = 0;
  for (int i = 10; Has(idle) && i < 5000; i++) {
    Source source = Small(i);
    source.cost_ns = 1000;
    if (i >= 20) {  // ten cheap ones at a time
      EXPECT_EQ(store_.EvictOne(0, source.Entry(), kAll, 0), StoreCode::kOk);
      evictions++;
    }
    ASSERT_EQ(Put(source), StoreCode::kOk);
    store_.CountUse(store_.Find(used.LookupKey()));
  }
  EXPECT_FALSE(Has(idle));
  EXPECT_TRUE(Has(used));
  EXPECT_GT(evictions, 900);  // the clock rises by one cheap entry's worth about every ten evictions
  EXPECT_LT(evictions, 1200);
}

// The sample goes round: every entry is looked at, however small the sample, and in a single long chain too.
TEST_F(EntryStoreTest, EveryEntryGetsItsTurn) {
  for (const bool one_bucket : {false, true}) {
    for (uint32_t sample : {1u, 3u, 7u}) {
      for (int i = 0; i < 100; i++) {
        Source source = Small(i);
        if (one_bucket) source.hash = 5;
        source.cost_ns = 1000000;
        if (i == 37) source.stamps = {StampOf(30)};
        ASSERT_EQ(Put(source), StoreCode::kOk);
      }
      Kill(30);
      Source worthless;
      worthless.cost_ns = 0;
      uint32_t calls = 1;
      while (store_.EvictOne(0, worthless.Entry(), sample, 0) == StoreCode::kRejected && calls < 1000) calls++;
      EXPECT_LE(calls, 100 / sample + 2);
      Source dead = Small(37);
      if (one_bucket) dead.hash = 5;
      EXPECT_FALSE(Has(dead));
      EXPECT_EQ(store_.Usage().entries, 99u);
      ExpectNoLeak();
    }
  }
}

}  // namespace
}  // namespace aggcache
