// The entry store under threads: readers, writers and evictions at once, and who owns which blocks.
#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

class EntryStoreThreadTest : public EntryStoreTest {
 protected:
  EntryStoreThreadTest() : EntryStoreTest(EntryStore::kMinimumBytes) {}

  // Every byte of a value tells which key and version it belongs to.
  static char ByteOf(uint64_t key, uint64_t version, size_t at) {
    return static_cast<char>(Mix(key * 1000003 + version) + at * 7);
  }

  static Source SourceOf(uint64_t key, uint64_t version) {
    Source source;
    source.key = Bytes(key % 5 == 0 ? 200 : 20, key);
    source.hash = Mix(key) & ~(uint64_t{0x78} << 57);  // 8 partitions: threads meet
    const uint64_t size = Mix(version) % 16 ? Mix(version) % 500 : Mix(version) % 20000;
    source.value.resize(sizeof(version) + size);
    memcpy(&source.value[0], &version, sizeof(version));
    for (size_t i = 0; i < size; i++) source.value[sizeof(version) + i] = ByteOf(key, version, i);
    source.cost_ns = Mix(key) % 100000;
    return source;
  }

  std::array<std::shared_mutex, kPartitions> locks_;
};

TEST_F(EntryStoreThreadTest, ManyThreads) {
  constexpr int kThreads = 6;
  constexpr int kSteps = 4000;
  std::atomic<uint64_t> hits{0}, stored{0}, evicted{0}, wrong{0};
  const auto work = [&](int thread) {
    std::mt19937_64 random(static_cast<uint64_t>(thread));
    EntryStore store(memory_.get(), table_);
    std::vector<char> value;
    for (int step = 0; step < kSteps; step++) {
      const uint64_t id = random() % 1000;
      Source source = SourceOf(id, random());
      const uint32_t partition = EntryStore::PartitionOf(source.hash);
      const uint64_t what = random() % 100;
      bool found = false;
      if (what < 70) {
        std::shared_lock<std::shared_mutex> guard(locks_[partition]);
        const auto entry = store.Find(source.LookupKey());
        if (entry) {
          found = true;
          Snapshot reader;
          reader.xmin = reader.xmax = 1000;
          store.Check(entry, reader, {AllCommitted, nullptr, kNoXid});
          value.resize(store.ValueSize(entry));
          store.CopyValue(entry, value.data());
          store.CountUse(entry);
          uint64_t version;
          memcpy(&version, value.data(), sizeof(version));
          bool right = true;
          for (size_t i = 0; i + sizeof(version) < value.size(); i++)
            right &= value[sizeof(version) + i] == ByteOf(id, version, i);
          if (!right) wrong++;
          hits++;
        }
      }
      if (!found && what < 85) {
        Stamp stamp;
        stamp.slot = static_cast<uint32_t>(random() % 50);
        Snapshot now;
        now.xmin = now.xmax = 100000;
        table_.Settle(&stamp, now, {AllCommitted, nullptr, kNoXid});
        source.stamps = {stamp};
        EntryStore::Reservation reserved;
        StoreCode code = store.Reserve(source.Entry(), &reserved);
        for (int tries = 0; code == StoreCode::kNoMemory && tries < 500; tries++) {
          const uint32_t victims = static_cast<uint32_t>(random() % 8);
          {
            std::unique_lock<std::shared_mutex> guard(locks_[victims]);
            if (store.EvictOne(victims, tries < 20 ? source.Entry() : Costly().Entry(), 5, 0) == StoreCode::kOk)
              evicted++;
          }
          code = store.Reserve(source.Entry(), &reserved);
        }
        if (code == StoreCode::kOk) {
          if (random() % 10 == 0) {
            store.Release(&reserved);
          } else {
            std::unique_lock<std::shared_mutex> guard(locks_[partition]);
            store.Insert(source.Entry(), &reserved);
            stored++;
          }
        }
      } else if (what >= 98) {
        std::unique_lock<std::shared_mutex> guard(locks_[partition]);
        store.Remove(source.LookupKey());
      } else if (what >= 96) {
        (void)table_.Register(static_cast<uint32_t>(random() % 50), {AllCommitted, nullptr, 2 + random() % 1000});
      } else if (what >= 94) {
        const StoreUsage usage = store.Usage();
        if (usage.memory_free > usage.memory) wrong++;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) threads.emplace_back(work, i);
  for (auto &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(hits, 100u);
  EXPECT_GT(stored, 100u);
  EXPECT_GT(evicted, 100u);
  ExpectAddsUp();
  ExpectNoLeak();
}

// The free stack alone, with chains of many lengths: what one thread holds, no other does.
TEST_F(EntryStoreThreadTest, FreeBlocksHaveOneOwner) {
  constexpr int kThreads = 4;
  std::atomic<uint64_t> taken{0}, wrong{0};
  const auto work = [&](int thread) {
    std::mt19937_64 random(static_cast<uint64_t>(thread) + 100);
    EntryStore store(memory_.get(), table_);
    for (int step = 0; step < 3000; step++) {
      Source source;
      // Its own partition needs no lock: only this thread uses it.
      source.hash = static_cast<uint64_t>(thread) << 57;
      source.key = "thread " + std::to_string(thread);
      source.value = std::string(random() % (step % 50 == 0 ? 200000 : 3000), static_cast<char>(random()));
      EntryStore::Reservation reserved;
      if (store.Reserve(source.Entry(), &reserved) != StoreCode::kOk) continue;
      taken++;
      if (store.Insert(source.Entry(), &reserved) != StoreCode::kOk) wrong++;
      std::string value(source.value.size(), '\0');
      const auto entry = store.Find(source.LookupKey());
      if (!entry || store.ValueSize(entry) != value.size()) {
        wrong++;
        continue;
      }
      store.CopyValue(entry, &value[0]);
      if (value != source.value) wrong++;
      if (random() % 2) store.Remove(source.LookupKey());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) threads.emplace_back(work, i);
  for (auto &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(taken, 1000u);
  ExpectAddsUp();
  ExpectNoLeak();
}

// A small free stack, so that the same block comes back on top while another thread is in the middle of a long pop:
// without the tag in the stack's head this gives a block to two.
TEST_F(EntryStoreThreadTest, FreeStackKnowsABlockThatCameBack) {
  Source most = Small(0);
  most.value.resize(store_.Usage().memory - 100 * kBlockBytes);
  ASSERT_EQ(Put(most), StoreCode::kOk);
  const auto work = [&](int thread) {
    std::mt19937_64 random(static_cast<uint64_t>(thread));
    EntryStore store(memory_.get(), table_);
    std::array<EntryStore::Reservation, 3> held;
    const std::string value(59 * kBlockBytes, 'v');
    NewEntry entry;
    entry.value = value.data();
    for (int step = 0; step < 200000; step++) {
      auto &reserved = held[random() % held.size()];
      if (reserved.first != kNoBlock) {
        store.Release(&reserved);
      } else {
        entry.value_size = thread % 2 == 0 ? static_cast<uint32_t>(value.size()) : 0;
        store.Reserve(entry, &reserved);
      }
    }
    for (auto &reserved : held) store.Release(&reserved);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) threads.emplace_back(work, i);
  for (auto &thread : threads) thread.join();
  ExpectAddsUp();
  ExpectNoLeak();
}

}  // namespace
}  // namespace aggcache
