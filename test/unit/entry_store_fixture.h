// What tests of the entry store share: entries to be made, and a store with slots of its own.

#ifndef AGGCACHE_TEST_ENTRY_STORE_FIXTURE_H
#define AGGCACHE_TEST_ENTRY_STORE_FIXTURE_H

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/entry_store.h"
#include "core/tag.h"

namespace aggcache {

constexpr uint32_t kSlots = 1024;

struct FreeDeleter {
  void operator()(void *memory) const { std::free(memory); }
};

// What an entry is made from, owning its bytes.
struct Source {
  std::string key;
  uint64_t hash = 0;
  std::string value;
  std::vector<Stamp> stamps;
  Xid xmin = 100;
  Xid xmax = 200;
  std::vector<Xid> running;
  uint64_t function = 7;
  uint64_t role = 3;
  int64_t stored_at = 1000;
  int64_t expires_at = 0;
  uint64_t cost_ns = 1000;

  Key LookupKey() const { return {hash, key.data(), static_cast<uint32_t>(key.size())}; }

  NewEntry Entry() const {
    NewEntry entry;
    entry.key = LookupKey();
    entry.value = value.data();
    entry.value_size = static_cast<uint32_t>(value.size());
    entry.stamps = stamps.data();
    entry.stamp_count = static_cast<uint32_t>(stamps.size());
    entry.snapshot.xmin = xmin;
    entry.snapshot.xmax = xmax;
    entry.snapshot.running = running.data();
    entry.snapshot.running_count = static_cast<uint32_t>(running.size());
    entry.function = function;
    entry.role = role;
    entry.stored_at = stored_at;
    entry.expires_at = expires_at;
    entry.cost_ns = cost_ns;
    return entry;
  }

  uint64_t Memory() const {
    return EntryStore::MemoryFor(static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size()),
                                 static_cast<uint32_t>(stamps.size()), static_cast<uint32_t>(running.size()));
  }
};

inline std::string Bytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (auto &byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

inline Outcome AllCommitted(void *, Xid) noexcept { return Outcome::kCommitted; }

// Checks of what the store holds, and of all its blocks being accounted for.
class EntryStoreTest : public ::testing::Test {
 protected:
  explicit EntryStoreTest(size_t bytes = 4 * 1024 * 1024) : slots_(new StampSlot[kSlots]()), bytes_(bytes) {
    start_.store(kNoXid);
    table_ = StampTable(slots_.get(), kSlots, &start_);
    table_.Begin(1);
    Format(bytes);
  }

  void Format(size_t bytes) {
    bytes_ = bytes;
    memory_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    memset(memory_.get(), 0, bytes);
    EntryStore::Format(memory_.get(), bytes);
    store_ = EntryStore(memory_.get(), table_);
  }

  StoreCode Put(const Source &source) {
    EntryStore::Reservation reserved;
    const StoreCode code = store_.Reserve(source.Entry(), &reserved);
    if (code != StoreCode::kOk) {
      EXPECT_EQ(reserved.first, kNoBlock);
      return code;
    }
    EXPECT_EQ(uint64_t{reserved.count} * kBlockBytes, source.Memory());
    const StoreCode inserted = store_.Insert(source.Entry(), &reserved);
    EXPECT_EQ(reserved.first, kNoBlock);
    EXPECT_EQ(reserved.count, 0u);
    return inserted;
  }

  bool Has(const Source &source) const { return static_cast<bool>(store_.Find(source.LookupKey())); }

  void ExpectHolds(const Source &source) const {
    const auto entry = store_.Find(source.LookupKey());
    ASSERT_TRUE(entry);
    ASSERT_EQ(store_.ValueSize(entry), source.value.size());
    std::string value(source.value.size() + 1, 'x');  // one more, to see that it is left alone
    store_.CopyValue(entry, &value[0]);
    EXPECT_EQ(value.back(), 'x');
    value.pop_back();
    EXPECT_TRUE(value == source.value);
    std::string key(source.key.size(), '\0');
    EXPECT_EQ(store_.CopyKey(entry, &key[0], static_cast<uint32_t>(key.size())), key.size());
    EXPECT_TRUE(key == source.key);
    const EntryInfo info = store_.Info(entry);
    EXPECT_EQ(info.function, source.function);
    EXPECT_EQ(info.key_hash, source.hash);
    EXPECT_EQ(info.key_size, source.key.size());
    EXPECT_EQ(info.value_size, source.value.size());
    EXPECT_EQ(info.stamp_count, source.stamps.size());
    EXPECT_EQ(info.memory, source.Memory());
    EXPECT_EQ(info.stored_at, source.stored_at);
    EXPECT_EQ(info.expires_at, source.expires_at);
    EXPECT_EQ(info.cost_ns, source.cost_ns);
    EXPECT_EQ(store_.StoredAt(entry), source.stored_at);
    EXPECT_EQ(store_.ExpiresAt(entry), source.expires_at);
    EXPECT_EQ(store_.CostNs(entry), source.cost_ns);
  }

  // Reads every entry of every partition: how many there are, and the memory they take.
  void Count(uint64_t *entries, uint64_t *memory) const {
    struct Context {
      const EntryStore *store;
      uint64_t entries, memory;
    } context = {&store_, 0, 0};
    for (uint32_t p = 0; p < kPartitions; p++)
      store_.ForEach(
          p,
          [](void *to, EntryStore::Reference entry) noexcept {
            auto *sum = static_cast<Context *>(to);
            sum->entries++;
            sum->memory += sum->store->Info(entry).memory;
          },
          &context);
    *entries = context.entries;
    *memory = context.memory;
  }

  void ExpectAddsUp() const {
    uint64_t entries, memory;
    Count(&entries, &memory);
    const StoreUsage usage = store_.Usage();
    EXPECT_EQ(usage.entries, entries);
    EXPECT_EQ(usage.memory, usage.memory_free + memory);
  }

  // Removes everything and takes all blocks at once: none has leaked, none is there twice.
  void ExpectNoLeak() {
    for (uint32_t p = 0; p < kPartitions; p++)
      store_.RemoveIf(
          p, [](void *, const EntryInfo &) noexcept { return true; }, nullptr);
    const StoreUsage usage = store_.Usage();
    EXPECT_EQ(usage.entries, 0u);
    EXPECT_EQ(usage.memory, usage.memory_free);
    Source all;
    all.value = Bytes(usage.memory - EntryStore::MemoryFor(0, 0, 0, 0), 1);
    while (all.Memory() < usage.memory) all.value += 'x';
    ASSERT_EQ(Put(all), StoreCode::kOk);
    ExpectHolds(all);
    EXPECT_EQ(store_.Usage().memory_free, 0u);
    EXPECT_TRUE(store_.Remove(all.LookupKey()));
  }

  Stamp StampOf(uint32_t slot) const {
    Stamp stamp;
    stamp.slot = slot;
    stamp.version = slots_[slot].version.load();
    return stamp;
  }

  // Makes the slot forget.
  void Kill(uint32_t slot) { slots_[slot].version.fetch_add(1); }

  StampCheck Check(const Source &source, Xid xmin, Xid xmax, std::vector<Xid> running = {}, Xid own = kNoXid) const {
    Snapshot reader;
    reader.xmin = xmin;
    reader.xmax = xmax;
    reader.running = running.data();
    reader.running_count = static_cast<uint32_t>(running.size());
    const Transactions transactions = {AllCommitted, nullptr, own};
    const auto entry = store_.Find(source.LookupKey());
    EXPECT_TRUE(entry);
    return store_.Check(entry, reader, transactions);
  }

  // An entry in partition 0, of one block.
  static Source Small(int n) {
    Source source;
    source.key = "key " + std::to_string(n);
    source.hash = Mix(static_cast<uint64_t>(n) + 1) >> 7;
    source.value = "value " + std::to_string(n);
    return source;
  }

  std::unique_ptr<StampSlot[]> slots_;
  std::atomic<Xid> start_;
  StampTable table_;
  size_t bytes_;
  std::unique_ptr<void, FreeDeleter> memory_;
  EntryStore store_;
};

// A candidate for which everything else is evicted.
inline Source Costly() {
  Source source;
  source.cost_ns = 1000000000000;
  return source;
}

}  // namespace aggcache

#endif
