// The entry store against a plain map, in many random steps.
#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

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

}  // namespace
}  // namespace aggcache
