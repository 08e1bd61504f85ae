// The rules of the ledgers. Internal to ledger.cc and to the model checker.
//
// Rules: which conditions are kept. The library is built with AllLedgerRules; the model checker also removes them one
//        by one, to show that each is needed and that it would notice.
// Room:  how many deltas a ledger holds. The library has kLedgerDeltas; the model checker fewer, because only a full
//        ledger folds.

#ifndef AGGCACHE_CORE_LEDGER_RULES_H
#define AGGCACHE_CORE_LEDGER_RULES_H

#include <algorithm>
#include <cstdint>
#include <new>

#include "core/ledger.h"
#include "core/ledger_layout.h"
#include "core/stamp_list.h"
#include "core/stamp_rules.h"

namespace aggcache {

struct AllLedgerRules {
  // Opening
  static constexpr bool kStart = true;  // who wrote before the cache came into use counts as forgotten while running
  // A base
  static constexpr bool kOpenedFloor = true;  // the slot as it was at opening must be settled in its snapshot
  static constexpr bool kOpenedOverflow = true;
  static constexpr bool kFloorAtBase = true;     // and what was forgotten before there was a base
  static constexpr bool kUnknown = true;         // who had registered at opening and runs as it sees it is not known
  static constexpr bool kInBase = true;          // deltas that it sees as finished are dropped
  static constexpr bool kFloorOfDropped = true;  // and raise floor, as folded ones do
  static constexpr bool kOwnWriteAtBase = true;  // whoever has written under the tag gives none
  // A fold
  static constexpr bool kOutcome = true;        // only committed deltas are added to the base
  static constexpr bool kFloorOfFolded = true;  // floor rises to those that were folded
  static constexpr bool kFull = true;           // a full ledger of which nothing has finished is given up
  // A read
  static constexpr bool kNewer = true;           // the reader sees as finished all that the base does
  static constexpr bool kFloorAtRead = true;     // what was folded is settled in the reader's snapshot
  static constexpr bool kUnknownAtRead = true;   // nothing unknown is visible in it
  static constexpr bool kStampsAtRead = true;    // the other tags are unchanged
  static constexpr bool kOwnWriteAtRead = true;  // own writes are not in the ledger
  static constexpr bool kSnapshotAtRead = true;  // deltas count by what the snapshot sees, not by their outcome alone
};

template <class Rules, int Room>
class LedgerRules {
 public:
  static LedgerCode Remember(LedgerTable *table, const LedgerKey &key) noexcept {
    LedgerHeader *ledger = Find(*table, key);
    if (!ledger) return LedgerCode::kNone;
    bool any = false;
    for (int i = 0; i < 2; i++) {
      OpenedSlot *opened = &ledger->opened[i];
      SlotRecord record;
      *opened = {kNoXid, kNever, {}};
      if (!table->stamps_.Look(SlotOf(*table, key.tag, i), &record)) continue;
      any = true;
      opened->floor = record.floor;
      opened->overflow = Rules::kStart ? std::max(record.overflow, record.start) : record.overflow;
      std::copy(record.writers, record.writers + kSlotWriters, opened->writers);
    }
    return any ? LedgerCode::kOk : LedgerCode::kUnsettled;
  }

  // At any answer but kOk and kNone the ledger must be given up.
  static LedgerCode Publish(LedgerTable *table, const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
                            const Transactions &transactions, const Adding &adding) noexcept {
    LedgerHeader *ledger = Find(*table, key);
    if (!ledger) return LedgerCode::kNone;
    if (size == 0) return LedgerCode::kOk;
    if (size > kMaxContribution) return LedgerCode::kTooLarge;
    if (ledger->delta_count >= Room) {
      const LedgerCode code = Fold(&table->pool_, ledger, transactions, adding);
      if (code != LedgerCode::kOk) return code;
    }
    BlockPool &pool = table->pool_;
    BlockPool::Chain chain;
    if (!pool.Take(BlocksFor(sizeof(DeltaHeader) + uint64_t{size}), &chain)) return LedgerCode::kNoMemory;
    auto *delta = new (pool.At(chain.first)) DeltaHeader{xid, kNoBlock, size, chain, 0};
    BlockPool::Cursor cursor = {chain.first, sizeof(DeltaHeader)};
    pool.Write(&cursor, contribution, size);
    if (ledger->first_delta == kNoBlock)
      ledger->first_delta = chain.first;
    else
      DeltaAt(pool, ledger->last_delta)->next_delta = chain.first;
    ledger->last_delta = delta->chain.first;
    ledger->delta_count++;
    return LedgerCode::kOk;
  }

  static LedgerCode SetBase(LedgerTable *table, const LedgerKey &key, const LedgerBase &base,
                            const Transactions &transactions) noexcept {
    LedgerHeader *ledger = Find(*table, key);
    if (!ledger) return LedgerCode::kNone;
    const Snapshot &snapshot = base.snapshot;
    if (base.sum_size > kMaxContribution || base.stamp_count > kMaxLedgerStamps ||
        snapshot.running_count > kMaxLedgerRunning)
      return LedgerCode::kTooLarge;
    if (Rules::kOwnWriteAtBase && MayHaveWritten(*table, key.tag, transactions.own)) return LedgerCode::kOwnWrite;
    // As for the stamps: otherwise what this transaction writes later would pass for seen by the base.
    if (transactions.own != kNoXid && !snapshot.IsRunning(transactions.own)) return LedgerCode::kUnsettled;
    if (Rules::kFloorAtBase && !IsFloorSettled(ledger->floor, snapshot, transactions)) return LedgerCode::kUnsettled;
    // Each of the two slots is a full record.
    const OpenedSlot *opened = &ledger->opened[0];
    if (!IsSettled(*opened, snapshot, transactions)) opened++;
    if (opened > ledger->opened && !IsSettled(*opened, snapshot, transactions)) return LedgerCode::kUnsettled;

    BlockPool &pool = table->pool_;
    BlockPool::Chain proof, sum;
    const uint64_t stamp_bytes = sizeof(PackedStamp) * base.stamp_count;
    const uint64_t running_bytes = sizeof(Xid) * snapshot.running_count;
    if (!TakeFor(&pool, stamp_bytes + running_bytes, &proof)) return LedgerCode::kNoMemory;
    if (!TakeFor(&pool, base.sum_size, &sum)) {
      Give(&pool, proof);
      return LedgerCode::kNoMemory;
    }
    BlockPool::Cursor cursor = {proof.first, 0};
    for (uint32_t i = 0; i < base.stamp_count; i++) {
      const PackedStamp packed = Pack(base.stamps[i]);
      pool.Write(&cursor, &packed, sizeof(packed));
    }
    pool.Write(&cursor, snapshot.running, running_bytes);
    cursor = {sum.first, 0};
    pool.Write(&cursor, base.sum, base.sum_size);

    Give(&pool, ledger->proof);
    Give(&pool, ledger->sum);
    ledger->has_base = 1;
    ledger->xmin = snapshot.xmin;
    ledger->xmax = snapshot.xmax;
    ledger->proof = proof;
    ledger->stamp_count = static_cast<uint16_t>(base.stamp_count);
    ledger->running_count = static_cast<uint16_t>(snapshot.running_count);
    ledger->sum = sum;
    ledger->sum_size = base.sum_size;
    for (int i = 0; i < kSlotWriters; i++) {
      const Xid writer = opened->writers[i];
      const bool unknown = Rules::kUnknown && writer != kNoXid && snapshot.IsRunning(writer);
      ledger->unknown[i] = unknown ? writer : kNoXid;
    }
    if (Rules::kInBase)
      DropIf(&pool, ledger, [&](const DeltaHeader &delta) noexcept {
        if (snapshot.IsRunning(delta.xid)) return false;
        if (Rules::kFloorOfDropped) ledger->floor = std::max(ledger->floor, delta.xid);
        return true;
      });
    return LedgerCode::kOk;
  }

  static LedgerCode Read(const LedgerTable &table, const LedgerKey &key, const Snapshot &reader,
                         const Transactions &transactions, const Adding &adding, LedgerTable::Answer *answer) noexcept {
    const LedgerHeader *ledger = Find(table, key);
    if (!ledger) return LedgerCode::kNone;
    if (Rules::kOwnWriteAtRead && MayHaveWritten(table, key.tag, transactions.own)) return LedgerCode::kOwnWrite;
    if (!ledger->has_base) return LedgerCode::kNoBase;

    // What the base's snapshot sees as finished, its own deltas among it, the reader's must as well.
    const BlockPool &pool = table.pool_;
    Xid running[kMaxLedgerRunning];
    BlockPool::Cursor cursor = {ledger->proof.first, 0};
    if (ledger->running_count > 0) {
      cursor = pool.Seek(cursor.block, sizeof(PackedStamp) * ledger->stamp_count);
      pool.Read(&cursor, running, sizeof(Xid) * ledger->running_count);
    }
    const Snapshot stored = {ledger->xmin, ledger->xmax, running, ledger->running_count};
    if (Rules::kNewer && !SeesAllOf(reader, stored)) return LedgerCode::kUnsettled;
    if (Rules::kFloorAtRead && !IsFloorSettled(ledger->floor, reader, transactions)) return LedgerCode::kUnsettled;
    if (Rules::kUnknownAtRead)
      for (const Xid xid : ledger->unknown)
        if (xid != kNoXid && See(xid, reader, transactions) != Outcome::kAborted) return LedgerCode::kUnsettled;

    if (Rules::kStampsAtRead) {
      ListCheck check(table.stamps_, stored, reader, transactions);
      cursor = {ledger->proof.first, 0};
      for (uint32_t i = 0; i < ledger->stamp_count; i++) {
        PackedStamp packed;
        pool.Read(&cursor, &packed, sizeof(packed));
        if (!check.Next(Unpack(packed))) break;
      }
      switch (check.Answer()) {
        case StampCheck::kValid: break;
        case StampCheck::kChanged: return LedgerCode::kChanged;
        case StampCheck::kOwnWrite: return LedgerCode::kOwnWrite;
        case StampCheck::kUnsettled: return LedgerCode::kUnsettled;
      }
    }

    ledger->used.store(1, std::memory_order_relaxed);
    *answer = LedgerTable::Answer();
    if (!CopySum(pool, *ledger, adding)) return LedgerCode::kTooLarge;
    answer->size = ledger->sum_size;
    for (uint32_t block = ledger->first_delta; block != kNoBlock; block = DeltaAt(pool, block)->next_delta) {
      const DeltaHeader &delta = *DeltaAt(pool, block);
      switch (Rules::kSnapshotAtRead ? See(delta.xid, reader, transactions) : Ask(delta.xid, transactions)) {
        case Outcome::kCommitted: break;
        case Outcome::kAborted: continue;
        case Outcome::kRunning:
          // Finished as the snapshot sees it, so it cannot run; whoever says so is not to be trusted.
          if (!Rules::kSnapshotAtRead) continue;
          return LedgerCode::kUnsettled;
        case Outcome::kUnknown: return LedgerCode::kUnsettled;
      }
      if (!AddDelta(pool, delta, adding, &answer->size)) return LedgerCode::kTooLarge;
      answer->added++;
    }
    return LedgerCode::kOk;
  }

  static LedgerHeader *Find(const LedgerTable &table, const LedgerKey &key) noexcept {
    const uint32_t block = table.Find(key);
    return block == kNoBlock ? nullptr : reinterpret_cast<LedgerHeader *>(table.pool_.At(block));
  }

 private:
  static uint32_t SlotOf(const LedgerTable &table, uint64_t tag, int which) noexcept {
    return which == 0 ? table.stamps_.SlotOf(tag) : table.stamps_.AlternativeSlotOf(tag);
  }

  // Whether the caller's transaction may have registered under the tag. Either slot is a full record.
  static bool MayHaveWritten(const LedgerTable &table, uint64_t tag, Xid own) noexcept {
    if (own == kNoXid) return false;
    for (int i = 0; i < 2; i++) {
      SlotRecord record;
      if (!table.stamps_.Look(SlotOf(table, tag, i), &record)) continue;
      return own <= record.overflow ||
             std::find(record.writers, record.writers + kSlotWriters, own) != record.writers + kSlotWriters;
    }
    return true;
  }

  static bool IsSettled(const OpenedSlot &opened, const Snapshot &snapshot, const Transactions &transactions) noexcept {
    if (opened.overflow == kNever) return false;
    return (!Rules::kOpenedOverflow || opened.overflow < snapshot.xmin) &&
           (!Rules::kOpenedFloor || IsFloorSettled(opened.floor, snapshot, transactions));
  }

  // Whether all that has finished as `older` sees it has finished as `newer` does.
  static bool SeesAllOf(const Snapshot &newer, const Snapshot &older) noexcept {
    if (newer.xmin >= older.xmax) return true;
    if (newer.xmax < older.xmax) return false;
    for (uint32_t i = 0; i < newer.running_count; i++)
      if (!older.IsRunning(newer.running[i])) return false;
    return true;
  }

  static Outcome Ask(Xid xid, const Transactions &transactions) noexcept {
    return transactions.outcome(transactions.context, xid);
  }

  // kAborted: what xid did is not visible in the snapshot, for whatever reason. kCommitted: it is. Else: nobody knows.
  static Outcome See(Xid xid, const Snapshot &snapshot, const Transactions &transactions) noexcept {
    return snapshot.IsRunning(xid) ? Outcome::kAborted : Ask(xid, transactions);
  }

  // Takes the deltas that have finished out of a full ledger.
  static LedgerCode Fold(BlockPool *pool, LedgerHeader *ledger, const Transactions &transactions,
                         const Adding &adding) noexcept {
    if (ledger->has_base && !CopySum(*pool, *ledger, adding)) return LedgerCode::kTooLarge;
    LedgerCode code = LedgerCode::kFull;
    uint32_t size = ledger->sum_size;
    DropIf(pool, ledger, [&](const DeltaHeader &delta) noexcept {
      if (code != LedgerCode::kFull && code != LedgerCode::kOk) return false;
      const Outcome outcome = Ask(delta.xid, transactions);
      if (outcome == Outcome::kRunning) return false;
      code = LedgerCode::kOk;
      if (Rules::kFloorOfFolded) ledger->floor = std::max(ledger->floor, delta.xid);
      if (!ledger->has_base) return true;
      // Its outcome is older than the commit log: the base can never be completed.
      if (outcome == Outcome::kUnknown) code = LedgerCode::kUnsettled;
      if ((outcome == Outcome::kCommitted || !Rules::kOutcome) && !AddDelta(*pool, delta, adding, &size))
        code = LedgerCode::kTooLarge;
      return true;
    });
    if (code == LedgerCode::kFull && !Rules::kFull) {
      bool first = true;
      DropIf(pool, ledger, [&](const DeltaHeader &delta) noexcept {
        if (!first) return false;
        first = false;
        ledger->floor = std::max(ledger->floor, delta.xid);
        return true;
      });
      return LedgerCode::kOk;
    }
    if (code != LedgerCode::kOk || !ledger->has_base) return code;
    if (BlocksFor(size) != ledger->sum.count) {
      BlockPool::Chain sum;
      if (!TakeFor(pool, size, &sum)) return LedgerCode::kNoMemory;
      Give(pool, ledger->sum);
      ledger->sum = sum;
    }
    ledger->sum_size = size;
    BlockPool::Cursor cursor = {ledger->sum.first, 0};
    pool->Write(&cursor, adding.work, size);
    return LedgerCode::kOk;
  }
};

}  // namespace aggcache

#endif
