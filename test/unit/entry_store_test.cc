// Tests of what the entry store holds: every function, and every size around a block's end.
#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

TEST_F(EntryStoreTest, EmptyStore) {
  EXPECT_FALSE(Has(Small(1)));
  EXPECT_FALSE(store_.Remove(Small(1).LookupKey()));
  EXPECT_EQ(store_.EvictOne(0, Small(1).Entry(), 8, 0), StoreCode::kNotFound);
  const StoreUsage usage = store_.Usage();
  EXPECT_EQ(usage.entries, 0u);
  EXPECT_EQ(usage.memory, usage.memory_free);
  EXPECT_LT(usage.memory, bytes_);
  EXPECT_GT(usage.memory, bytes_ - bytes_ / 20);  // links and buckets take little
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, PutFindRemove) {
  Source source = Small(1);
  source.expires_at = 5000;
  source.stamps = {StampOf(3), StampOf(4)};
  source.running = {120, 130};
  ASSERT_EQ(Put(source), StoreCode::kOk);
  ExpectHolds(source);
  ExpectAddsUp();
  EXPECT_EQ(source.Memory(), kBlockBytes);
  EXPECT_FALSE(Has(Small(2)));
  EXPECT_TRUE(store_.Remove(source.LookupKey()));
  EXPECT_FALSE(store_.Remove(source.LookupKey()));
  EXPECT_FALSE(Has(source));
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, ViewsOfTheSameMemoryAgree) {
  ASSERT_EQ(Put(Small(1)), StoreCode::kOk);
  const EntryStore other(memory_.get(), table_);
  EXPECT_TRUE(static_cast<bool>(other.Find(Small(1).LookupKey())));
  EXPECT_EQ(other.Usage().entries, 1u);
}

// Mapped at another address, the store is the same: it holds offsets only.
TEST_F(EntryStoreTest, IsRelocatable) {
  for (int i = 0; i < 100; i++) {
    Source source = Small(i);
    source.value = Bytes(static_cast<size_t>(i) * 37, static_cast<uint64_t>(i));
    ASSERT_EQ(Put(source), StoreCode::kOk);
  }
  std::unique_ptr<void, FreeDeleter> moved(std::aligned_alloc(64, bytes_));
  memcpy(moved.get(), memory_.get(), bytes_);
  memset(memory_.get(), 0xee, bytes_);
  memory_ = std::move(moved);
  store_ = EntryStore(memory_.get(), table_);
  for (int i = 0; i < 100; i++) {
    Source source = Small(i);
    source.value = Bytes(static_cast<size_t>(i) * 37, static_cast<uint64_t>(i));
    ExpectHolds(source);
  }
  ExpectAddsUp();
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, CopyKeyStopsAtTheLimit) {
  Source source = Small(1);
  source.key = Bytes(1000, 1);
  ASSERT_EQ(Put(source), StoreCode::kOk);
  char key[400] = {};
  EXPECT_EQ(store_.CopyKey(store_.Find(source.LookupKey()), key, 300), 300u);
  EXPECT_EQ(memcmp(key, source.key.data(), 300), 0);
  EXPECT_EQ(key[300], 0);
  EXPECT_EQ(store_.CopyKey(store_.Find(source.LookupKey()), key, 0), 0u);
}

TEST_F(EntryStoreTest, EqualHashesAreToldApartByBytes) {
  std::vector<Source> sources;
  // Same hash, keys of many lengths that are each other's prefixes, and of one length that differ in one place only.
  for (size_t size : {0, 1, 7, 8, 143, 144, 145, 255, 256, 257, 416, 700}) {
    Source source;
    source.hash = 42;
    source.key = std::string(size, 'k');
    source.value = "size " + std::to_string(size);
    sources.push_back(source);
    for (size_t at : {size_t{0}, size / 2, size - 1}) {
      Source other = source;
      if (size == 0 || other.key[at] == 'd') continue;
      other.key[at] = 'd';
      other.value += " other at " + std::to_string(at);
      if (std::none_of(sources.begin(), sources.end(), [&](const Source &s) { return s.key == other.key; }))
        sources.push_back(other);
    }
  }
  for (const auto &source : sources) ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_EQ(store_.Usage().entries, sources.size());
  for (const auto &source : sources) ExpectHolds(source);
  // Out of the middle, the end and the beginning of the chain.
  for (int where : {1, 0, 2}) {
    const size_t i = (sources.size() - 1) * static_cast<size_t>(where) / 2;
    EXPECT_TRUE(store_.Remove(sources[i].LookupKey()));
    EXPECT_FALSE(Has(sources[i]));
    sources.erase(sources.begin() + static_cast<ptrdiff_t>(i));
    for (const auto &source : sources) ExpectHolds(source);
  }
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, EqualBytesWithAnotherHashAreAnotherKey) {
  Source source = Small(1);
  Source other = source;
  other.hash ^= uint64_t{1} << 40;  // same partition and bucket
  ASSERT_EQ(Put(source), StoreCode::kOk);
  EXPECT_FALSE(Has(other));
}

TEST_F(EntryStoreTest, EverySizeAroundABlocksEnd) {
  uint64_t seed = 0;
  for (size_t key_size : {0, 1, 3, 40, 63, 64, 134, 140, 141, 143, 144, 145, 148, 300, 416})
    for (size_t stamp_count : {0, 1, 2, 13, 14, 22, 40})
      for (size_t running_count : {0, 1, 3, 20, 40})
        for (int delta = -9; delta <= 9; delta++) {
          Source source;
          source.hash = Mix(++seed);
          source.key = Bytes(key_size, seed);
          for (size_t i = 0; i < stamp_count; i++) source.stamps.push_back(StampOf(static_cast<uint32_t>(i)));
          for (size_t i = 0; i < running_count; i++) source.running.push_back(100 + i);
          // The value ends `delta` bytes from the end of the block in which it may begin, or of the one after.
          const uint64_t without = source.Memory();
          size_t room = 0;
          source.value = std::string(room, 'v');
          while (source.Memory() == without) source.value.resize(++room);
          const auto size = static_cast<ptrdiff_t>(room) - 1 + delta + (seed % 2 ? 0 : kBlockBytes);
          if (size < 0) continue;
          source.value = Bytes(static_cast<size_t>(size), seed);
          ASSERT_EQ(Put(source), StoreCode::kOk);
          ExpectHolds(source);
          EXPECT_EQ(Check(source, 100, 200, source.running), StampCheck::kValid);
          if (HasFailure()) {
            FAIL() << key_size << " " << stamp_count << " " << running_count << " " << delta;
          }
          if (stamp_count > 0) {
            // The last stamp is where it should be.
            Kill(static_cast<uint32_t>(stamp_count) - 1);
            EXPECT_TRUE(store_.Info(store_.Find(source.LookupKey())).dead);
            EXPECT_NE(Check(source, 100, 200, source.running), StampCheck::kValid);
          }
          EXPECT_TRUE(store_.Remove(source.LookupKey()));
        }
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, MinimumSize) {
  Format(EntryStore::kMinimumBytes);
  EXPECT_GT(store_.Usage().memory, EntryStore::kMinimumBytes * 8 / 9);
  int stored = 0;
  while (Put(Small(stored)) == StoreCode::kOk) stored++;
  EXPECT_EQ(store_.Usage().memory_free, 0u);
  EXPECT_EQ(store_.Usage().memory, static_cast<uint64_t>(stored) * kBlockBytes);
  for (int i = 0; i < stored; i++) ExpectHolds(Small(i));
  EXPECT_EQ(Put(Small(stored)), StoreCode::kNoMemory);
  ASSERT_TRUE(store_.Remove(Small(stored / 2).LookupKey()));
  EXPECT_EQ(Put(Small(stored)), StoreCode::kOk);
  ExpectAddsUp();
  ExpectNoLeak();
}

// No size of memory may be laid out past its end (under AddressSanitizer this sees a byte too many).
TEST_F(EntryStoreTest, AnySizeOfMemory) {
  for (size_t more = 0; more < 70 * 1024; more += 997) {
    Format((EntryStore::kMinimumBytes + more) / 64 * 64);
    ExpectNoLeak();
  }
}

TEST_F(EntryStoreTest, TooLarge) {
  Source source = Small(1);
  source.value.resize(bytes_);
  EXPECT_EQ(Put(source), StoreCode::kTooLarge);
  NewEntry entry = Small(1).Entry();
  entry.value_size = entry.stamp_count = 0xffffffff;  // and no sum of sizes wraps
  EntryStore::Reservation reserved;
  EXPECT_EQ(store_.Reserve(entry, &reserved), StoreCode::kTooLarge);
  entry = Small(1).Entry();
  entry.key.size = 0xffffffff;
  EXPECT_EQ(store_.Reserve(entry, &reserved), StoreCode::kTooLarge);
  source = Small(1);
  source.running.assign(kMaxRunning + 1, 100);
  EXPECT_EQ(Put(source), StoreCode::kTooLarge);
  source.running.resize(kMaxRunning);
  EXPECT_EQ(Put(source), StoreCode::kOk);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, MemoryForCountsEverything) {
  EXPECT_EQ(EntryStore::MemoryFor(0, 0, 0, 0), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(0, 144, 0, 0), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(0, 145, 0, 0), 512u);
  EXPECT_EQ(EntryStore::MemoryFor(4, 112, 2, 0), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(4, 104, 2, 1), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(9, 112, 2, 0), 512u);
  EXPECT_GT(EntryStore::MemoryFor(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), uint64_t{22} * 0xffffffff);
}

TEST_F(EntryStoreTest, ReservationsAreGivenBack) {
  Source source = Small(1);
  source.value = Bytes(100000, 1);
  const uint64_t before = store_.Usage().memory_free;
  EntryStore::Reservation reserved;
  ASSERT_EQ(store_.Reserve(source.Entry(), &reserved), StoreCode::kOk);
  EXPECT_EQ(store_.Usage().memory_free, before - source.Memory());
  EXPECT_FALSE(Has(source));
  store_.Release(&reserved);
  EXPECT_EQ(reserved.first, kNoBlock);
  EXPECT_EQ(store_.Usage().memory_free, before);
  store_.Release(&reserved);  // an empty one
  EXPECT_EQ(store_.Usage().memory_free, before);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, ReserveWithoutEnoughTakesNothing) {
  Source half = Small(1);
  half.value.resize(store_.Usage().memory / 2);
  ASSERT_EQ(Put(half), StoreCode::kOk);
  Source other = Small(2);
  other.value.resize(store_.Usage().memory / 2);
  const uint64_t before = store_.Usage().memory_free;
  EXPECT_EQ(Put(other), StoreCode::kNoMemory);
  EXPECT_EQ(store_.Usage().memory_free, before);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, InsertRefusesAnotherEntrysReservation) {
  Source source = Small(1);
  Source longer = source;
  longer.value = Bytes(1000, 1);
  EntryStore::Reservation reserved;
  EXPECT_EQ(store_.Insert(source.Entry(), &reserved), StoreCode::kNoMemory);
  ASSERT_EQ(store_.Reserve(source.Entry(), &reserved), StoreCode::kOk);
  EXPECT_EQ(store_.Insert(longer.Entry(), &reserved), StoreCode::kNoMemory);
  EXPECT_EQ(reserved.first, kNoBlock);
  EXPECT_FALSE(Has(source));
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, StampsAreTakenWhenInserted) {
  Source source = Small(1);
  source.stamps = {StampOf(5)};
  EntryStore::Reservation reserved;
  ASSERT_EQ(store_.Reserve(source.Entry(), &reserved), StoreCode::kOk);
  Kill(5);
  source.stamps = {StampOf(5)};  // settled after the blocks were reserved
  ASSERT_EQ(store_.Insert(source.Entry(), &reserved), StoreCode::kOk);
  EXPECT_EQ(Check(source, 100, 200), StampCheck::kValid);
}

TEST_F(EntryStoreTest, ReplacesTheSameKey) {
  Source first = Small(1);
  first.value = Bytes(1000, 1);
  ASSERT_EQ(Put(first), StoreCode::kOk);
  store_.CountUse(store_.Find(first.LookupKey()));
  Source second = first;
  second.value = "another";
  second.cost_ns = 5;
  ASSERT_EQ(Put(second), StoreCode::kOk);
  ExpectHolds(second);
  EXPECT_EQ(store_.Info(store_.Find(second.LookupKey())).uses, 0u);
  EXPECT_EQ(store_.Usage().entries, 1u);
  ExpectAddsUp();
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, ANewerResultIsKeptWhileItIsGood) {
  Source newer = Small(1);
  newer.xmax = 300;
  newer.stamps = {StampOf(5)};
  newer.expires_at = 2000;
  Source older = newer;
  older.xmax = 299;
  older.value = "an older value";
  ASSERT_EQ(Put(newer), StoreCode::kOk);
  EXPECT_EQ(Put(older), StoreCode::kNewerKept);
  ExpectHolds(newer);
  ExpectAddsUp();
  // It gives way to one of its own age, when expired, and when dead.
  older.xmax = 300;
  EXPECT_EQ(Put(older), StoreCode::kOk);
  ExpectHolds(older);
  older.xmax = 299;
  older.stored_at = 2000;
  older.expires_at = 3000;
  EXPECT_EQ(Put(older), StoreCode::kOk);
  ExpectHolds(older);
  older.xmax = 298;
  EXPECT_EQ(Put(older), StoreCode::kNewerKept);
  Kill(5);
  EXPECT_EQ(Put(older), StoreCode::kOk);
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, CountUse) {
  ASSERT_EQ(Put(Small(1)), StoreCode::kOk);
  for (int i = 0; i < 3; i++) store_.CountUse(store_.Find(Small(1).LookupKey()));
  EXPECT_EQ(store_.Info(store_.Find(Small(1).LookupKey())).uses, 3u);
}

TEST_F(EntryStoreTest, RemoveIf) {
  for (int i = 0; i < 200; i++) {
    Source source = Small(i);
    source.hash = static_cast<uint64_t>(i) / 10;  // ten to a bucket
    source.function = static_cast<uint64_t>(i) % 3;
    source.value = Bytes(static_cast<size_t>(i) * 5, 1);
    ASSERT_EQ(Put(source), StoreCode::kOk);
  }
  uint64_t wanted = 1;
  const auto matches = [](void *context, const EntryInfo &info) noexcept {
    return info.function == *static_cast<uint64_t *>(context);
  };
  EXPECT_EQ(store_.RemoveIf(1, matches, &wanted), 0u);
  EXPECT_EQ(store_.RemoveIf(0, matches, &wanted), 67u);
  EXPECT_EQ(store_.RemoveIf(0, matches, &wanted), 0u);
  EXPECT_EQ(store_.Usage().entries, 133u);
  ExpectAddsUp();
  ExpectNoLeak();
}

TEST_F(EntryStoreTest, PartitionsAreApart) {
  for (uint64_t p = 0; p < kPartitions; p++) {
    Source source = Small(static_cast<int>(p));
    source.hash |= p << 57;
    EXPECT_EQ(EntryStore::PartitionOf(source.hash), p);
    ASSERT_EQ(Put(source), StoreCode::kOk);
  }
  for (uint32_t p = 0; p < kPartitions; p++) {
    uint32_t seen = 0;
    store_.ForEach(
        p, [](void *context, EntryStore::Reference) noexcept { ++*static_cast<uint32_t *>(context); }, &seen);
    EXPECT_EQ(seen, 1u);
    EXPECT_EQ(store_.EvictOne(p, Small(0).Entry(), 5, 0), StoreCode::kOk);
    EXPECT_EQ(store_.EvictOne(p, Small(0).Entry(), 5, 0), StoreCode::kNotFound);
    EXPECT_EQ(store_.Usage().entries, kPartitions - p - 1);
  }
}

}  // namespace
}  // namespace aggcache
