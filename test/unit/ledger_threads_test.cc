// Ledgers under threads: answers are exact, whoever opens, publishes, folds and gives up meanwhile.

#include "core/ledger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "core/tag.h"
#include "ledger_fixture.h"
#include "threaded_server.h"

namespace aggcache {
namespace {

bool AddNumbers(void *, unsigned char *sum, uint32_t *size, uint32_t, const unsigned char *contribution,
                uint32_t) noexcept {
  uint64_t a = 0, b;
  if (*size > 0) memcpy(&a, sum, sizeof(a));
  memcpy(&b, contribution, sizeof(b));
  a += b;
  memcpy(sum, &a, sizeof(a));
  *size = sizeof(a);
  return true;
}

TEST(LedgerThreads, AnswersAreExact) {
  constexpr int kWriterThreads = 6;  // more than a slot has places
  constexpr int kReaderThreads = 3;
  constexpr int kTransactions = 300;

  StampSlot slots[kTableSlots] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable stamps(slots, kTableSlots, &start);
  stamps.Begin(kStart);
  ThreadedServer server(1);
  LedgerMemory<64> memory(stamps);
  LedgerTable &ledgers = memory.table;
  std::shared_mutex lock;  // of the partition
  std::atomic<int> writing{kWriterThreads};
  std::atomic<uint64_t> served{0}, patched{0}, missed{0}, opened{0}, wrong{0};

  std::vector<std::thread> threads;
  for (int t = 0; t < kWriterThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 1);
      alignas(8) unsigned char work[64];
      const Adding adding = {&AddNumbers, nullptr, work, sizeof(work)};
      for (int i = 0; i < kTransactions; i++) {
        const Xid xid = server.BeginTransaction();
        uint64_t kept = 0;
        const auto write = [&] {
          server.Write(xid, 0);
          while (!stamps.Register(stamps.SlotOf(kLedger.tag), server.As(xid))) std::this_thread::yield();
          while (!stamps.Register(stamps.AlternativeSlotOf(kLedger.tag), server.As(xid))) std::this_thread::yield();
        };
        for (unsigned statement = random() % 3 + 1; statement > 0; statement--) {
          write();
          if (ledgers.MayHave(kLedger.tag)) {
            std::shared_lock<std::shared_mutex> held(lock);
            if (ledgers.Has(kLedger)) kept += Mix(xid);
          }
          if (random() % 4 == 0) std::this_thread::yield();
        }
        {
          std::lock_guard<std::shared_mutex> held(lock);
          ledgers.Publish(kLedger, xid, &kept, kept != 0 ? sizeof(kept) : 0, server.As(xid), adding);
        }
        if (random() % 64 == 0) {  // a row after publication
          write();
          std::lock_guard<std::shared_mutex> held(lock);
          ledgers.GiveUp(kLedger);
        }
        server.End(xid, random() % 4 == 0 ? Outcome::kAborted : Outcome::kCommitted);
        if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
      }
      writing--;
    });
  for (int t = 0; t < kReaderThreads; t++)
    threads.emplace_back([&, t] {
      std::minstd_rand random(static_cast<unsigned>(t) + 100);
      alignas(8) unsigned char work[64];
      const Adding adding = {&AddNumbers, nullptr, work, sizeof(work)};
      OwnedSnapshot reader = server.TakeSnapshot();
      // After the last writer each reader goes on for a while: by then all must be served.
      for (int rest = 200; rest > 0; rest -= writing == 0 ? 1 : 0) {
        if (random() % 4 != 0) reader = server.TakeSnapshot();  // else: an old one
        LedgerTable::Answer answer;
        LedgerCode code;
        uint64_t sum = 0;
        {
          std::shared_lock<std::shared_mutex> held(lock);
          code = ledgers.Read(kLedger, reader.Get(), server.As(kNoXid), adding, &answer);
        }
        const uint64_t truth = server.Compute(0, reader.Get());
        if (code == LedgerCode::kOk) {
          if (answer.size > 0) memcpy(&sum, work, sizeof(sum));
          served++;
          if (answer.added > 0) patched++;
          if (sum != truth) wrong++;
          continue;
        }
        missed++;
        std::lock_guard<std::shared_mutex> held(lock);
        if (code == LedgerCode::kNone) {
          if (ledgers.Open(kLedger) == LedgerCode::kOk) opened++;
          continue;
        }
        LedgerBase base;
        base.snapshot = reader.Get();
        base.sum = &truth;
        base.sum_size = sizeof(truth);
        ledgers.SetBase(kLedger, base, server.As(kNoXid));
      }
    });
  for (std::thread &thread : threads) thread.join();

  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(served, 0u);
  EXPECT_GT(patched, 0u);
  EXPECT_GT(missed, 0u);
  EXPECT_GT(opened, 1u);
  ledgers.GiveUp(kLedger);
  EXPECT_EQ(memory.pool.FreeBlocks(), 64u);
  std::printf("  %d served, %d of them patched, %d missed, %d openings\n", static_cast<int>(served),
              static_cast<int>(patched), static_cast<int>(missed), static_cast<int>(opened));
}

// Without locks in the way: either the writer finds the ledger, or whoever opened it finds the writer in the slots.
TEST(LedgerThreads, WriterOrOpenerSeesTheOther) {
  constexpr int kRounds = 20000;
  StampSlot slots[kTableSlots] = {};
  std::atomic<Xid> start{kNoXid};
  StampTable stamps(slots, kTableSlots, &start);
  stamps.Begin(kStart);
  LedgerMemory<8> memory(stamps);
  const auto running = [](void *, Xid) noexcept { return Outcome::kRunning; };
  std::atomic<int> round{0}, arrived{0};
  std::atomic<bool> found{false};
  int neither = 0, both = 0;
  std::thread writer([&] {
    for (int i = 1; i <= kRounds; i++) {
      while (round.load(std::memory_order_acquire) < i) std::this_thread::yield();
      const Xid own = kStart + static_cast<Xid>(i);
      const Transactions transactions{running, nullptr, own};
      (void)stamps.Register(stamps.SlotOf(kLedger.tag), transactions);
      (void)stamps.Register(stamps.AlternativeSlotOf(kLedger.tag), transactions);
      found.store(memory.table.MayHave(kLedger.tag), std::memory_order_relaxed);
      arrived.store(i, std::memory_order_release);
    }
  });
  for (int i = 1; i <= kRounds; i++) {
    round.store(i, std::memory_order_release);
    if (i % 4 == 0) std::this_thread::yield();
    const Xid xid = kStart + static_cast<Xid>(i);
    EXPECT_EQ(memory.table.Open(kLedger), LedgerCode::kOk);
    // A base whose snapshot does not see the writer: whether the ledger knows of it shows in what it answers to a
    // snapshot that does.
    const Xid others[] = {xid};
    LedgerBase base;
    base.snapshot = {xid, xid + 1, others, 1};
    const Transactions committed{[](void *, Xid) noexcept { return Outcome::kCommitted; }, nullptr, kNoXid};
    const bool based = memory.table.SetBase(kLedger, base, committed) == LedgerCode::kOk;
    while (arrived.load(std::memory_order_acquire) < i) std::this_thread::yield();
    unsigned char work[8];
    LedgerTable::Answer answer;
    const bool known =
        !based || memory.table.Read(kLedger, {xid + 1, xid + 1, nullptr, 0}, committed,
                                    {&AddNumbers, nullptr, work, sizeof(work)}, &answer) == LedgerCode::kUnsettled;
    const bool finds = found.load(std::memory_order_relaxed);
    neither += !known && !finds;
    both += known && finds;
    memory.table.GiveUp(kLedger);
  }
  writer.join();
  EXPECT_EQ(neither, 0);
  std::printf("  both saw the other in %d of %d rounds\n", both, kRounds);
}

}  // namespace
}  // namespace aggcache
