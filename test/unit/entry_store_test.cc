// Tests of the entry store: every function, every size around a block's end, eviction order, and threads.

#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

namespace aggcache {
namespace {

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

std::string Bytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (auto &byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

uint64_t Mix(uint64_t n) {
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
  return n ^ (n >> 31);
}

Outcome AllCommitted(void *, Xid) noexcept { return Outcome::kCommitted; }

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
    table_.Register(slot, transactions);
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
  for (size_t size : {0, 1, 7, 8, 159, 160, 161, 255, 256, 257, 416, 700}) {
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
  for (size_t key_size : {0, 1, 3, 40, 63, 64, 150, 156, 157, 159, 160, 161, 164, 300, 416})
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
  EXPECT_GT(store_.Usage().memory, EntryStore::kMinimumBytes * 9 / 10);
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
  EXPECT_EQ(EntryStore::MemoryFor(0, 160, 0, 0), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(0, 161, 0, 0), 512u);
  EXPECT_EQ(EntryStore::MemoryFor(4, 128, 2, 0), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(4, 120, 2, 1), 256u);
  EXPECT_EQ(EntryStore::MemoryFor(9, 128, 2, 0), 512u);
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

// --- eviction ---

constexpr uint32_t kAll = 1000000;  // a sample of everything

Source Costly() {
  Source source;
  source.cost_ns = 1000000000000;
  return source;
}

TEST_F(EntryStoreTest, EvictsByBenefit) {
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

// A costly entry that nobody uses any more goes in the end, when the store's clock has passed it.
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

// --- many random steps against a plain map ---

class EntryStoreRandomTest : public EntryStoreTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  EntryStoreRandomTest() : EntryStoreTest(512 * 1024) {}

  Source RandomSource() {
    Source source;
    const uint64_t id = random_() % 400;
    source.key = Bytes(Mix(id) % 3 == 0 ? Mix(id) % 700 : Mix(id) % 64, id);
    source.hash = Mix(source.key.size()) & 0xfe0000000000003fu;  // collisions, and all of some partitions
    const uint64_t kind = random_() % 20;
    source.value = Bytes(random_() % (kind == 0 ? 60000 : kind < 5 ? 3000 : 300), random_());
    const uint64_t stamps = random_() % (kind < 4 ? 60 : 4);
    for (uint64_t i = 0; i < stamps; i++) source.stamps.push_back(StampOf(static_cast<uint32_t>(random_() % 100)));
    const uint64_t running = random_() % (kind < 4 ? 100 : 3);
    for (uint64_t i = 0; i < running; i++) source.running.push_back(100 + i);
    source.cost_ns = random_() % 1000000;
    source.function = random_() % 5;
    source.expires_at = random_() % 4 ? 0 : 10000;
    return source;
  }

  // Takes out of the oracle what is no longer in the store, returns how many.
  size_t Forget() {
    size_t gone = 0;
    for (auto it = oracle_.begin(); it != oracle_.end();) {
      if (Has(it->second)) {
        ++it;
      } else {
        it = oracle_.erase(it);
        gone++;
      }
    }
    return gone;
  }

  std::mt19937_64 random_;
  std::map<std::string, Source> oracle_;
};

TEST_P(EntryStoreRandomTest, MatchesAMap) {
  random_.seed(GetParam());
  uint64_t no_memory = 0;
  for (int step = 0; step < 6000; step++) {
    const uint64_t what = random_() % 100;
    const Source source = RandomSource();
    const auto partition = EntryStore::PartitionOf(source.hash);
    if (what < 60) {
      StoreCode code = Put(source);
      while (code == StoreCode::kNoMemory) {
        no_memory++;
        // What is full must be emptied: any partition that holds something, whatever it is worth.
        for (const auto &other : oracle_)
          if (store_.EvictOne(EntryStore::PartitionOf(other.second.hash), Costly().Entry(), 5, 0) == StoreCode::kOk)
            break;
        ASSERT_EQ(Forget(), 1u);
        code = Put(source);
      }
      ASSERT_EQ(code, StoreCode::kOk);
      oracle_[source.key] = source;
    } else if (what < 75) {
      EXPECT_EQ(store_.Remove(source.LookupKey()), oracle_.erase(source.key) == 1);
    } else if (what < 85) {
      const StoreCode code = store_.EvictOne(partition, source.Entry(), 1 + random_() % 10, 0);
      EXPECT_EQ(Forget(), code == StoreCode::kOk ? 1u : 0u);
    } else if (what < 87) {
      uint64_t function = random_() % 5;
      const uint32_t removed = store_.RemoveIf(
          partition,
          [](void *context, const EntryInfo &info) noexcept {
            return info.function == *static_cast<uint64_t *>(context);
          },
          &function);
      EXPECT_EQ(Forget(), removed);
    } else if (what < 90) {
      EntryStore::Reservation reserved;
      if (store_.Reserve(source.Entry(), &reserved) == StoreCode::kOk) store_.Release(&reserved);
    } else if (what < 92) {
      Kill(static_cast<uint32_t>(random_() % 100));
    } else {
      const auto found = oracle_.find(source.key);
      ASSERT_EQ(Has(source), found != oracle_.end());
      if (found != oracle_.end()) ExpectHolds(found->second);
    }
    if (step % 100 == 0) {
      EXPECT_EQ(store_.Usage().entries, oracle_.size());
      ExpectAddsUp();
      for (const auto &entry : oracle_) {
        ExpectHolds(entry.second);
        const auto reference = store_.Find(entry.second.LookupKey());
        bool dead = false;
        for (const auto &stamp : entry.second.stamps) dead |= slots_[stamp.slot].version != stamp.version;
        EXPECT_EQ(store_.Info(reference).dead, dead);
      }
    }
    if (HasFailure()) FAIL() << "step " << step;
  }
  EXPECT_GT(no_memory, 0u);
  ExpectNoLeak();
}

INSTANTIATE_TEST_SUITE_P(Seeds, EntryStoreRandomTest, ::testing::Range(uint64_t{1}, uint64_t{9}));

// --- threads ---

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
        table_.Register(static_cast<uint32_t>(random() % 50), {AllCommitted, nullptr, 2 + random() % 1000});
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
