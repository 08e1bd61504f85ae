// The rules of the stamp protocol, on one slot. Internal to stamp.cc and to the model checker.
//
// Rules:  which conditions are kept. The library is built with AllRules; the model checker also removes them one by
//         one, to show that each is needed and that it would notice.
// Places: how many writers a slot holds, at most kSlotWriters. The library uses all; the model checker fewer, because
//         only a full slot has to forget.
//
// Every operation has the same form: read a consistent copy of the slot, decide (asking the server, no lock held),
// and put the changed copy back only if the slot is still the one that was read; otherwise start again.
//
// None goes on for ever: a slot may stay odd for as long as whoever is changing it has been stopped, and the caller may
// hold a lock that others want. After a while a reader answers as if nothing could be proven, and a writer that it has
// not registered, so that it can wait where no lock is held.

#ifndef AGGCACHE_CORE_STAMP_RULES_H
#define AGGCACHE_CORE_STAMP_RULES_H

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/snapshot.h"
#include "core/stamp.h"

namespace aggcache {

struct AllRules {
  static constexpr bool kFloorAtStore = true;
  static constexpr bool kFloorAtHit = true;
  static constexpr bool kOverflowAtStore = true;
  static constexpr bool kOverflowAtHit = true;
  static constexpr bool kStart = true;       // ids up to `start` count as an overflow
  static constexpr bool kVersion = true;     // a forgetting since the store ends an entry
  static constexpr bool kVisibility = true;  // writers left must look the same to the entry and to the reader
  static constexpr bool kImmediateAtHit = true;
  // Alone not needed for exactness (the hit rule refuses the same entries): it spares storing what nobody can use.
  static constexpr bool kImmediateAtStore = true;
  static constexpr bool kOwnWriteAtStore = true;
  static constexpr bool kOwnWriteAtHit = true;
  static constexpr bool kOwnIsRunning = true;  // a snapshot to store under counts the storer itself as running
};

// Waiting for a few instructions of another process, which may have lost its processor in the middle of them.
class Backoff {
 public:
  // Returns false if it has been long enough.
  bool Wait() noexcept {
    if (++spins_ < kSpinsBeforeYield) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    } else {
      sched_yield();
    }
    return spins_ < kMostSpins;
  }

 private:
  static constexpr int kSpinsBeforeYield = 100;
  static constexpr int kMostSpins = 1000;
  int spins_ = 0;
};

// Whether all that was forgotten as finished, up to `floor`, had finished as the snapshot sees it. An id that runs now,
// after `floor` was read, is not among them.
inline bool IsFloorSettled(Xid floor, const Snapshot &snapshot, const Transactions &transactions) noexcept {
  if (floor < snapshot.xmin) return true;
  if (floor >= snapshot.xmax) return false;
  for (uint32_t i = 0; i < snapshot.running_count; i++) {
    const Xid xid = snapshot.running[i];
    if (xid <= floor && xid != transactions.own && transactions.outcome(transactions.context, xid) != Outcome::kRunning)
      return false;
  }
  return true;
}

template <class Rules, int Places>
class StampProtocol {
 public:
  static_assert(Places >= 1 && Places <= kSlotWriters, "places beyond the slot");

  // Returns false if the slot could not be changed.
  static bool Register(StampSlot *slot, const Transactions &transactions) noexcept {
    const Xid own = transactions.own;
    // Only this transaction puts its id there. If it is taken out right after this look, overflow was raised to it or
    // beyond, and covers all that it will ever write.
    for (int i = 0; i < Places; i++)
      if (slot->writers[i].load(std::memory_order_relaxed) == own) return true;
    // An overflow that reaches it covers it as well: nobody stores or hits before all ids up to there have finished.
    // More writers at once than a slot has places for thus do not drive each other out again and again.
    if (own <= slot->overflow.load(std::memory_order_relaxed)) return true;
    Backoff backoff;
    for (Copy copy; Read(*slot, &copy, &backoff);) {
      int place = -1;
      for (int i = 0; i < Places; i++) {
        if (copy.writers[i] == own) return true;
        if (copy.writers[i] == kNoXid) place = i;
      }
      if (place < 0) place = MakeRoom(&copy, transactions);
      copy.writers[place] = own;
      if (PutBack(slot, copy)) return true;
      if (!backoff.Wait()) break;
    }
    return false;
  }

  // Returns false if the slot could not be changed.
  static bool Expire(StampSlot *slot) noexcept {
    Backoff backoff;
    for (Copy copy; Read(*slot, &copy, &backoff);) {
      copy.version++;
      if (PutBack(slot, copy)) return true;
      if (!backoff.Wait()) break;
    }
    return false;
  }

  static StampCheck Settle(StampSlot *slot, Xid start, Stamp *stamp, const Snapshot &snapshot,
                           const Transactions &transactions) noexcept {
    if (start == kNoXid) return StampCheck::kUnsettled;
    if (Rules::kOwnIsRunning && transactions.own != kNoXid && !snapshot.IsRunning(transactions.own))
      return StampCheck::kUnsettled;
    Backoff backoff;
    for (Copy copy; Read(*slot, &copy, &backoff);) {
      if (Rules::kOwnWriteAtStore && copy.Has(transactions.own)) return StampCheck::kOwnWrite;
      if (!OverflowIsSettled<Rules::kOverflowAtStore>(copy, start, snapshot) ||
          (Rules::kFloorAtStore && !IsFloorSettled(copy.floor, snapshot, transactions)))
        return StampCheck::kUnsettled;

      bool forgets = false;
      for (Xid &writer : copy.writers) {
        if (writer == kNoXid) continue;
        if (!snapshot.IsRunning(writer)) {
          copy.floor = std::max(copy.floor, writer);
          writer = kNoXid;
          forgets = true;
        } else if (Rules::kImmediateAtStore && stamp->immediate) {
          // The snapshot does not see it, the computation may have.
          const Outcome outcome = transactions.outcome(transactions.context, writer);
          if (outcome == Outcome::kCommitted) return StampCheck::kChanged;
          if (outcome == Outcome::kUnknown) return StampCheck::kUnsettled;
        }
      }
      if (forgets) copy.version++;
      // With nothing to forget, the copy read is proof enough: who registers after it is not seen by the snapshot.
      if (!forgets || PutBack(slot, copy)) {
        stamp->version = copy.version;
        return StampCheck::kValid;
      }
      if (!backoff.Wait()) break;
    }
    return StampCheck::kUnsettled;
  }

  static StampCheck Check(const StampSlot &slot, Xid start, const Stamp &stamp, const Snapshot &stored,
                          const Snapshot &reader, const Transactions &transactions) noexcept {
    if (start == kNoXid) return StampCheck::kUnsettled;
    Copy copy;
    Backoff backoff;
    // It may hold the caller's own id: no staleness must be accepted.
    if (!Read(slot, &copy, &backoff))
      return transactions.own != kNoXid ? StampCheck::kOwnWrite : StampCheck::kUnsettled;
    if (Rules::kOwnWriteAtHit && copy.Has(transactions.own)) return StampCheck::kOwnWrite;
    if (Rules::kVersion && copy.version != stamp.version) return StampCheck::kChanged;
    if (!OverflowIsSettled<Rules::kOverflowAtHit>(copy, start, reader) ||
        (Rules::kFloorAtHit && !IsFloorSettled(copy.floor, reader, transactions)))
      return StampCheck::kUnsettled;
    for (Xid writer : copy.writers) {
      if (writer == kNoXid) continue;
      const StampCheck check = CheckWriter(writer, stamp.immediate, stored, reader, transactions);
      if (check != StampCheck::kValid) return check;
    }
    return StampCheck::kValid;
  }

  static StampCheck ListConcurrent(const StampSlot &slot, Xid start, const Snapshot &reader,
                                   const Transactions &transactions, Xid *writers, int *count) noexcept {
    *count = 0;
    if (start == kNoXid) return StampCheck::kUnsettled;
    Copy copy;
    Backoff backoff;
    if (!Read(slot, &copy, &backoff)) return StampCheck::kUnsettled;
    if (!OverflowIsSettled<Rules::kOverflowAtHit>(copy, start, reader) ||
        (Rules::kFloorAtHit && !IsFloorSettled(copy.floor, reader, transactions)))
      return StampCheck::kUnsettled;
    for (Xid writer : copy.writers)
      if (writer != kNoXid && writer != transactions.own && reader.IsRunning(writer)) writers[(*count)++] = writer;
    return StampCheck::kValid;
  }

  // Returns false if the slot could not be read.
  static bool Look(const StampSlot &slot, SlotRecord *record) noexcept {
    Copy copy;
    Backoff backoff;
    if (!Read(slot, &copy, &backoff)) return false;
    *record = SlotRecord();
    record->floor = copy.floor;
    record->overflow = copy.overflow;
    std::copy(copy.writers, copy.writers + Places, record->writers);
    return true;
  }

  static Xid Culprit(const StampSlot &slot, const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                     const Transactions &transactions) noexcept {
    Copy copy;
    Backoff backoff;
    if (!Read(slot, &copy, &backoff)) return kNoXid;
    for (Xid writer : copy.writers)
      if (writer != kNoXid &&
          CheckWriter(writer, stamp.immediate, stored, reader, transactions) == StampCheck::kChanged)
        return writer;
    if (copy.version == stamp.version) return kNoXid;
    // Forgotten since: whoever the entry saw as running, if it is the last of them.
    if (stored.IsRunning(copy.floor)) return copy.floor;
    return stored.IsRunning(copy.overflow) ? copy.overflow : kNoXid;
  }

 private:
  // What a slot held at one moment, and then what it shall hold.
  struct Copy {
    uint64_t sequence;
    uint64_t version;
    Xid floor;
    Xid overflow;
    Xid writers[Places];

    bool Has(Xid xid) const noexcept {
      if (xid == kNoXid) return false;
      for (Xid writer : writers)
        if (writer == xid) return true;
      return false;
    }
  };

  // Returns false if the slot was being changed all the time.
  static bool Read(const StampSlot &slot, Copy *copy, Backoff *backoff) noexcept {
    do {
      copy->sequence = slot.sequence.load(std::memory_order_acquire);
      if ((copy->sequence & 1) != 0) continue;
      // A field of a later change was stored with release, after that change made `sequence` odd. Who acquires it
      // therefore finds `sequence` different at the second look.
      copy->version = slot.version.load(std::memory_order_acquire);
      copy->floor = slot.floor.load(std::memory_order_acquire);
      copy->overflow = slot.overflow.load(std::memory_order_acquire);
      for (int i = 0; i < Places; i++) copy->writers[i] = slot.writers[i].load(std::memory_order_acquire);
      if (slot.sequence.load(std::memory_order_relaxed) == copy->sequence) return true;
    } while (backoff->Wait());
    return false;
  }

  // Changes the slot to `copy` if it has not changed since it was read.
  static bool PutBack(StampSlot *slot, const Copy &copy) noexcept {
    uint64_t sequence = copy.sequence;
    if (!slot->sequence.compare_exchange_strong(sequence, copy.sequence + 1, std::memory_order_acq_rel,
                                                std::memory_order_relaxed))
      return false;
    slot->version.store(copy.version, std::memory_order_release);
    slot->floor.store(copy.floor, std::memory_order_release);
    slot->overflow.store(copy.overflow, std::memory_order_release);
    for (int i = 0; i < Places; i++) slot->writers[i].store(copy.writers[i], std::memory_order_release);
    slot->sequence.store(copy.sequence + 2, std::memory_order_release);
    return true;
  }

  // Forgets writers that have finished or, if none has, the smallest. Returns a free place. The server is asked only if
  // the caller knows of none: that takes locks which all transactions share.
  static int MakeRoom(Copy *copy, const Transactions &transactions) noexcept {
    int place = -1;
    if (transactions.known_finished)
      place = Forget(copy, [&](Xid xid) { return transactions.known_finished(transactions.context, xid); });
    // kUnknown is older than the commit log, hence finished.
    if (place < 0)
      place =
          Forget(copy, [&](Xid xid) { return transactions.outcome(transactions.context, xid) != Outcome::kRunning; });
    if (place < 0) {
      place = static_cast<int>(std::min_element(copy->writers, copy->writers + Places) - copy->writers);
      copy->overflow = std::max(copy->overflow, copy->writers[place]);
    }
    copy->version++;
    return place;
  }

  // Forgets the writers that have finished. REQUIRES: a full slot. Returns a free place, or -1.
  template <class HasFinished>
  static int Forget(Copy *copy, HasFinished has_finished) noexcept {
    int place = -1;
    for (int i = 0; i < Places; i++) {
      if (!has_finished(copy->writers[i])) continue;
      copy->floor = std::max(copy->floor, copy->writers[i]);
      copy->writers[i] = kNoXid;
      place = i;
    }
    return place;
  }

  template <bool Slots>
  static bool OverflowIsSettled(const Copy &copy, Xid start, const Snapshot &snapshot) noexcept {
    return (!Slots || copy.overflow < snapshot.xmin) && (!Rules::kStart || start < snapshot.xmin);
  }

  // Whether a writer left in the slot, not the caller's own transaction, makes no difference between the snapshots.
  static StampCheck CheckWriter(Xid writer, bool immediate, const Snapshot &stored, const Snapshot &reader,
                                const Transactions &transactions) noexcept {
    const bool runs_in_stored = stored.IsRunning(writer);
    const bool runs_in_reader = reader.IsRunning(writer);
    // Finished as both see it: whether it committed is then the same for both.
    if (!runs_in_stored && !runs_in_reader) return StampCheck::kValid;
    const bool runs_in_both = runs_in_stored && runs_in_reader;
    if (runs_in_both && !(Rules::kImmediateAtHit && immediate)) return StampCheck::kValid;
    if (!runs_in_both && !Rules::kVisibility) return StampCheck::kValid;
    switch (transactions.outcome(transactions.context, writer)) {
      case Outcome::kAborted: return StampCheck::kValid;
      case Outcome::kCommitted: return StampCheck::kChanged;
      case Outcome::kRunning:
        // Finished as one of the snapshots sees it, so it cannot run; whoever says so is not to be trusted.
        return runs_in_both ? StampCheck::kValid : StampCheck::kUnsettled;
      case Outcome::kUnknown: break;
    }
    return StampCheck::kUnsettled;
  }
};

}  // namespace aggcache

#endif
