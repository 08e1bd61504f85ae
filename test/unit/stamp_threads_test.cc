// The stamps under threads: hits are exact, no registration is lost, and a check sees one moment of a slot.

#include "core/stamp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "core/tag.h"
#include "stamp_fixture.h"
#include "threaded_server.h"

namespace aggcache {
namespace {

TEST(StampThreads, HitsAreExact) {
  constexpr uint32_t kUsed = 2;
  constexpr int kWriterThreads = 6;  // more than a slot has places
  constexpr int kReaderThreads = 3;
  constexpr int kTransactions = 300;

  struct Entry {
    bool present = false;
    Stamp stamp;
    OwnedSnapshot snapshot;
    uint64_t value = 0;
  };

  StampSlot slots[kUsed] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, kUsed, &start);
  table.Begin(kStart);
  ThreadedServer server(kUsed);
  std::mutex entries_mutex;
  Entry entries[kUsed];
  std::atomic<int> writing{kWriterThreads};
  std::atomic<uint64_t> hits{0}, stores{0}, misses{0}, wrong{0};

  std::vector<std::thread> threads;
  for (int t = 0; t < kWriterThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      for (int i = 0; i < kTransactions; i++) {
        const Xid xid = server.BeginTransaction();
        for (unsigned statement = random() % 3 + 1; statement > 0; statement--) {
          const uint32_t slot = random() % kUsed;
          server.Write(xid, slot);
          while (!table.Register(slot, server.As(xid))) std::this_thread::yield();
          if (random() % 4 == 0) std::this_thread::yield();
        }
        server.End(xid, random() % 4 == 0 ? Outcome::kAborted : Outcome::kCommitted);
        // Quiet stretches, in which entries live.
        if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
      }
      writing--;
    });
  for (int t = 0; t < kReaderThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 100);
      OwnedSnapshot reader = server.TakeSnapshot();
      // After the last writer each reader goes on for a while: by then all must be hits.
      for (int rest = 200; rest > 0; rest -= writing == 0 ? 1 : 0) {
        const uint32_t slot = random() % kUsed;
        if (random() % 4 != 0) reader = server.TakeSnapshot();  // else: an old one
        Entry entry;
        {
          std::lock_guard<std::mutex> lock(entries_mutex);
          entry = entries[slot];
        }
        if (entry.present &&
            table.Check(entry.stamp, entry.snapshot.Get(), reader.Get(), server.As(kNoXid)) == StampCheck::kValid) {
          hits++;
          if (entry.value != server.Compute(slot, reader.Get())) wrong++;
          continue;
        }
        misses++;
        entry.stamp.slot = slot;
        entry.snapshot = reader;
        entry.value = server.Compute(slot, reader.Get());
        if (table.Settle(&entry.stamp, reader.Get(), server.As(kNoXid)) != StampCheck::kValid) continue;
        stores++;
        entry.present = true;
        std::lock_guard<std::mutex> lock(entries_mutex);
        entries[slot] = entry;
      }
    });
  for (std::thread &thread : threads) thread.join();

  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(hits, 0u);
  EXPECT_GT(stores, 0u);
  EXPECT_GT(misses, 0u);
  for (const StampSlot &slot : slots) {
    EXPECT_EQ(slot.sequence % 2, 0u);
    EXPECT_GT(slot.version, 0u);
  }
  std::printf("  %d hits, %d misses, %d stores, %d forgettings, overflow %s\n", static_cast<int>(hits),
              static_cast<int>(misses), static_cast<int>(stores), static_cast<int>(slots[0].version),
              slots[0].overflow != 0 ? "used" : "unused");
}

// Without a server in the way: nothing that was registered is ever lost from sight, whoever is at the slot.
TEST(StampThreads, EveryRegistrationIsKeptOrForgottenInTheOpen) {
  constexpr int kThreads = 4;
  constexpr Xid kEach = 30000;
  StampSlot slots[1] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, 1, &start);
  table.Begin(kStart);
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      for (Xid i = 0; i < kEach; i++) {
        const Xid xid = kStart + 1 + i * kThreads + static_cast<Xid>(t);
        const Transactions transactions{[](void *, Xid) noexcept { return Outcome::kRunning; }, nullptr, xid};
        while (!table.Register(0, transactions)) std::this_thread::yield();
        bool seen = slots[0].overflow >= xid;
        // Not one moment's picture, but ids only move from the writers to overflow, which is looked at again.
        for (const std::atomic<Xid> &writer : slots[0].writers) seen |= writer == xid;
        if (!seen && slots[0].overflow < xid) lost++;
      }
    });
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  // Each change registered one; all but the four that are left were forgotten, one at a time. Ids that an overflow had
  // passed already changed nothing.
  EXPECT_EQ(slots[0].sequence, 2 * (slots[0].version + kSlotWriters));
  EXPECT_LE(slots[0].version, kThreads * kEach - kSlotWriters);
}

// A check at the moment when a writer moves from the places to floor must not find it in neither.
TEST(StampThreads, ChecksSeeOneMoment) {
  constexpr Xid kRounds = 100000;
  StampSlot slots[1] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable table(slots, 1, &start);
  table.Begin(kStart);
  const auto committed = [](void *, Xid) noexcept { return Outcome::kCommitted; };
  const OwnedSnapshot reader(kStart + kRounds + 1, kStart + kRounds + 1, {});  // sees every writer
  std::atomic<Xid> registered{kStart};
  std::atomic<Xid> checking{0};  // the checker's round: the two go side by side
  int wrong = 0;
  std::thread checker([&] {
    for (Xid round = 0; round < kRounds; round++) {
      // An entry that sees all writers before this round's.
      const OwnedSnapshot stored(kStart + 1 + round, kStart + 1 + round, {});
      Stamp stamp;
      stamp.version = round;
      checking.store(round, std::memory_order_release);
      while (registered.load(std::memory_order_acquire) <= kStart + round) std::this_thread::yield();
      do {
        const Transactions transactions{committed, nullptr, kNoXid};
        if (table.Check(stamp, stored.Get(), reader.Get(), transactions) == StampCheck::kValid) wrong++;
      } while (!table.IsDead(stamp));
    }
  });
  for (Xid round = 0; round < kRounds; round++) {
    const Xid xid = kStart + 1 + round;
    while (checking.load(std::memory_order_acquire) < round) std::this_thread::yield();
    while (!table.Register(0, {committed, nullptr, xid})) std::this_thread::yield();
    registered.store(xid, std::memory_order_release);
    const OwnedSnapshot after(xid + 1, xid + 1, {});
    Stamp stamp;
    EXPECT_EQ(table.Settle(&stamp, after.Get(), {committed, nullptr, kNoXid}), StampCheck::kValid);
  }
  checker.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(slots[0].version, kRounds);
}

}  // namespace
}  // namespace aggcache
