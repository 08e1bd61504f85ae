// Who keeps asking gets a place in a full store, whoever was there before; who asks once drives nobody out. A
// simulation by seconds: what is stored, evicted and given up as callers of the store do it.

#include "core/entry_store.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "entry_store_fixture.h"

namespace aggcache {
namespace {

class EntryFairnessTest : public EntryStoreTest {
 protected:
  // A result under a key that is spread as real ones are.
  static Source Result(uint64_t function, uint64_t n, uint64_t cost_ns, size_t size = 100) {
    Source source;
    source.key = std::to_string(function) + " " + std::to_string(n);
    source.hash = Mix(Mix(function) ^ n);
    source.value.assign(size, 'x');
    source.function = function;
    source.role = function % 100;  // functions of a role are 100 apart
    source.cost_ns = cost_ns;
    return source;
  }

  // One call: a hit, or a miss whose result is stored if that is worth it. Returns whether it hit.
  bool Ask(const Source &source) {
    const auto entry = store_.Find(source.LookupKey());
    if (entry) {
      store_.CountUse(entry);
      return true;
    }
    EntryStore::Reservation reserved;
    int rejections = 0;
    for (;;) {
      const StoreCode code = store_.Reserve(source.Entry(), &reserved);
      if (code == StoreCode::kOk) break;
      if (code != StoreCode::kNoMemory) return false;
      if (store_.EvictOne(next_partition_++ % kPartitions, source.Entry(), 16, 0) == StoreCode::kRejected &&
          ++rejections == 8) {
        store_.NoteRejected(source.Entry());
        return false;
      }
    }
    store_.Insert(source.Entry(), &reserved);
    return false;
  }

  // Fills the store with results of the function, and returns how many there are.
  uint64_t Fill(uint64_t function, uint64_t cost_ns, size_t size = 100) {
    uint64_t count = 0;
    for (;; count++) {
      const Source source = Result(function, count, cost_ns, size);
      if (store_.Usage().memory_free < source.Memory()) return count;
      Ask(source);
    }
  }

  uint64_t Resident(const std::vector<Source> &sources) const {
    uint64_t count = 0;
    for (const Source &source : sources) count += Has(source);
    return count;
  }

  static std::vector<Source> Results(uint64_t function, uint64_t count, uint64_t cost_ns, size_t size = 100) {
    std::vector<Source> results;
    for (uint64_t n = 0; n < count; n++) results.push_back(Result(function, n, cost_ns, size));
    return results;
  }

  uint32_t next_partition_ = 0;
};

constexpr uint64_t kMs = 1000000;

// The acceptance: one role holds 10^5 results, hits each of them all the time, and each is worth more than those of
// another role, which asks for ten of them twice a second. After twenty seconds these are hits.
TEST_F(EntryFairnessTest, TenResultsGetIntoAStoreOfAHundredThousandHotOnes) {
  Format(size_t{28} * 1024 * 1024);
  const uint64_t count = Fill(1, 20 * kMs);
  ASSERT_GE(count, 100000u);
  const std::vector<Source> hot = Results(1, count, 20 * kMs);
  for (const Source &source : hot)
    for (int i = 0; i < 1000; i++) store_.CountUse(store_.Find(source.LookupKey()));

  const std::vector<Source> others = Results(2, 10, kMs);
  uint64_t late_hits = 0;
  for (int half_second = 0; half_second < 60; half_second++) {
    for (const Source &source : hot) Ask(source);
    for (const Source &source : others) late_hits += Ask(source) && half_second >= 40;
  }
  EXPECT_EQ(Resident(others), 10u);
  EXPECT_GE(late_hits, 195u);
  // at the price of as many others
  EXPECT_GE(Resident(hot), count - 40);
  ExpectAddsUp();
}

// The same where the hot ones do not even fit, so that something is evicted or rejected all the time.
TEST_F(EntryFairnessTest, TenResultsGetInWhereTheStoreIsFoughtFor) {
  Format(size_t{2} * 1024 * 1024);
  const uint64_t room = Fill(1, 5 * kMs);
  const std::vector<Source> hot = Results(1, room + room / 10, 5 * kMs);
  const std::vector<Source> others = Results(2, 10, kMs);
  uint64_t late_hits = 0;
  for (int half_second = 0; half_second < 120; half_second++) {
    for (const Source &source : hot) Ask(source);
    for (const Source &source : others) late_hits += Ask(source) && half_second >= 60;
  }
  EXPECT_GE(late_hits, 500u);  // of 600
}

// And where the role that has it spreads over many functions, each of which holds little.
TEST_F(EntryFairnessTest, ManyFunctionsOfOneRoleGetNoMore) {
  Format(size_t{2} * 1024 * 1024);
  const uint64_t room = store_.Usage().memory_free / kBlockBytes;
  std::vector<Source> hot;
  for (uint64_t n = 0; n < room + room / 10; n++) hot.push_back(Result(1 + 100 * (n % 300), n, 5 * kMs));
  const std::vector<Source> others = Results(2, 10, kMs);
  uint64_t late_hits = 0;
  for (int half_second = 0; half_second < 120; half_second++) {
    for (const Source &source : hot) Ask(source);
    for (const Source &source : others) late_hits += Ask(source) && half_second >= 60;
  }
  EXPECT_GE(late_hits, 500u);  // of 600
}

// Results that once were used much, and are no longer, go.
TEST_F(EntryFairnessTest, WhatNobodyUsesAnyMoreMakesRoom) {
  Format(size_t{1} * 1024 * 1024);
  const uint64_t count = Fill(1, kMs);
  const std::vector<Source> idle = Results(1, count, kMs);
  for (const Source &source : idle)
    for (int i = 0; i < 1000; i++) store_.CountUse(store_.Find(source.LookupKey()));
  const std::vector<Source> now = Results(2, count / 2, kMs);
  int rounds = 0;
  while (Resident(now) < count / 2 && rounds < 100) {
    for (const Source &source : now) Ask(source);
    rounds++;
  }
  EXPECT_LE(rounds, 12);  // 1000 uses are ten doublings
}

// Also if nothing is ever asked for twice, which has no credit: as many results as the store has room for take a half.
TEST_F(EntryFairnessTest, UsesAge) {
  Format(size_t{1} * 1024 * 1024);
  const uint64_t count = Fill(1, kMs);
  const std::vector<Source> idle = Results(1, count, kMs);
  for (const Source &source : idle)
    for (int i = 0; i < 15; i++) store_.CountUse(store_.Find(source.LookupKey()));
  for (uint64_t n = 0; n < count; n++) Ask(Result(2, n, kMs));
  EXPECT_EQ(Resident(idle), count);
  for (uint64_t n = count; n < 16 * count; n++) Ask(Result(2, n, kMs));
  EXPECT_LT(Resident(idle), count / 4);
}

// A clock that no rejection raised would stand still here: the results are costly, and nobody has used them.
TEST_F(EntryFairnessTest, RejectionsRaiseTheClock) {
  Format(size_t{1} * 1024 * 1024);
  const uint64_t count = Fill(1, 8 * kMs);
  const std::vector<Source> idle = Results(1, count, 8 * kMs);
  for (uint64_t n = 0; n < 4 * count; n++) Ask(Result(2, n, kMs));
  EXPECT_EQ(Resident(idle), count);
  for (uint64_t n = 4 * count; n < 16 * count; n++) Ask(Result(2, n, kMs));
  EXPECT_LT(Resident(idle), count / 4);
}

// A scan of results that are asked for once, fifty times as many as there is room for, leaves the hot ones where they
// are, be they as cheap as its own.
TEST_F(EntryFairnessTest, AScanDrivesNoHotOnesOut) {
  Format(size_t{1} * 1024 * 1024);
  const uint64_t count = Fill(1, kMs);
  const std::vector<Source> hot = Results(1, count, kMs);
  for (int i = 0; i < 4; i++)
    for (const Source &source : hot) Ask(source);
  uint64_t hits = 0, calls = 0, next = 0;
  for (uint64_t n = 0; n < 50 * count; n++) {
    Ask(Result(2, n, kMs));
    // Each hot one is used twice in the time that it takes to compute what fills the store.
    for (int i = 0; i < 2; i++, calls++) hits += Ask(hot[next++ % count]);
  }
  std::printf("  %.4f of the calls hit, %llu of %llu are there\n",
              static_cast<double>(hits) / static_cast<double>(calls), static_cast<unsigned long long>(Resident(hot)),
              static_cast<unsigned long long>(count));
  EXPECT_GE(hits, calls * 99 / 100);
  EXPECT_GE(Resident(hot), count * 98 / 100);
}

// A short one does not either where the hot ones are not used meanwhile.
TEST_F(EntryFairnessTest, AShortScanDrivesNoIdleOnesOut) {
  Format(size_t{4} * 1024 * 1024);
  const uint64_t count = Fill(1, kMs);
  const std::vector<Source> hot = Results(1, count, kMs);
  for (int i = 0; i < 20; i++)
    for (const Source &source : hot) Ask(source);
  for (uint64_t n = 0; n < 2 * count; n++) Ask(Result(2, n, kMs));
  EXPECT_EQ(Resident(hot), count);
}

// Asking again and again pays for a small part of the store: a large result does not empty it.
TEST_F(EntryFairnessTest, ALargeResultGetsLittleCredit) {
  Format(size_t{4} * 1024 * 1024);
  const uint64_t count = Fill(1, kMs);
  const std::vector<Source> hot = Results(1, count, kMs);
  const Source large = Result(2, 0, kMs, size_t{2} * 1024 * 1024);
  const Source small = Result(2, 1, kMs, size_t{10} * 1024);
  for (int i = 0; i < 40; i++) {
    for (const Source &source : hot) Ask(source);
    Ask(large);
    Ask(small);
  }
  EXPECT_FALSE(Has(large));
  EXPECT_TRUE(Has(small));
  EXPECT_GE(Resident(hot), count * 95 / 100);
}

}  // namespace
}  // namespace aggcache
