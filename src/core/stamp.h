// Stamp slots: the record of who changed what, from which the validity of a cached result is decided.
//
// A tag (tag.h) names a set of changes and maps to two slots of a fixed array. Each is a full record of the tag's
// changes, so that either of them alone can prove that an entry is valid. Two tags may share a slot: that costs misses,
// never a wrong hit, and only where both slots of a tag are shared with tags that are written. docs/internals.md holds
// the argument; test/unit/stamp_model_test.cc checks it for one slot.
//
// Locking: `sequence` is the slot's lock. It is even while the slot is at rest; who changes the slot moves it from
// even to odd by compare-and-swap, writes, and makes it even again. Readers take no lock: they read all fields and
// keep what they read if `sequence` was even and the same before and after. The server is never asked anything
// while `sequence` is odd, and what it is asked about a slot's writers it is asked after the slot was read: a
// transaction that still runs then cannot have been forgotten as finished in what was read.
//
// Who changes a slot may be stopped in the middle of it. Nobody waits for that for longer than a moment: what is asked
// about the slot is answered as not proven, and what should change it says that it has not.
//
// The rules themselves are in stamp_rules.h, so that the model checker can run the same code with fewer places and
// with one rule removed. Only the quick half of the hit rule is here, to be inlined.

#ifndef AGGCACHE_CORE_STAMP_H
#define AGGCACHE_CORE_STAMP_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/snapshot.h"

namespace aggcache {

constexpr int kSlotWriters = 4;

// One cache line.
struct alignas(64) StampSlot {
  std::atomic<uint64_t> sequence;          // odd while being changed
  std::atomic<uint64_t> version;           // counts every forgetting
  std::atomic<Xid> floor;                  // largest id forgotten after it had finished
  std::atomic<Xid> overflow;               // largest id forgotten while it may still have been running
  std::atomic<Xid> writers[kSlotWriters];  // top-level ids that changed rows under this slot; kNoXid is free
};
static_assert(sizeof(StampSlot) == 64, "a slot is one cache line");

// What an entry remembers of a slot.
struct Stamp {
  uint32_t slot = 0;
  // Set for a tag of changes that every transaction sees as soon as they commit, whatever its snapshot: TRUNCATE, DDL,
  // a changed watch or trigger. Such a change must have been visible to the snapshot that computed the result.
  bool immediate = false;
  // Set for a stamp of the same tag as the one before it: one of the two is enough.
  bool alternative = false;
  uint64_t version = 0;
};

// What a slot held at one moment.
struct SlotRecord {
  Xid floor = kNoXid;
  Xid overflow = kNoXid;
  Xid start = kNoXid;  // what Begin was given: counts as an overflow as well
  Xid writers[kSlotWriters] = {};
};

enum class StampCheck : uint8_t {
  kValid,      // the reader's snapshot sees what the entry's snapshot saw
  kChanged,    // a write, or the forgetting of one, separates the two
  kUnsettled,  // cannot be proven for this snapshot: too old, or a writer whose outcome is unknown
  kOwnWrite,   // the caller itself has changed rows under this slot
};

// View of the slot array in memory that the caller supplies and keeps.
class StampTable {
 public:
  StampTable() = default;
  // REQUIRES: `slots` points to `count` slots, zeroed before first use; count is a power of two.
  StampTable(StampSlot *slots, uint32_t count, std::atomic<Xid> *start) noexcept
      : slots_(slots), count_(count), start_(start) {}

  uint32_t SlotOf(uint64_t tag) const noexcept { return static_cast<uint32_t>(tag) & (count_ - 1); }
  // The tag's other slot.
  uint32_t AlternativeSlotOf(uint64_t tag) const noexcept {
    const uint32_t slot = static_cast<uint32_t>(tag >> 32) & (count_ - 1);
    return slot != SlotOf(tag) ? slot : slot ^ 1;
  }
  uint32_t count() const noexcept { return count_; }

  // The stamps of a tag, one for each of its slots, not settled yet. See Stamp::immediate.
  void MakeStamps(uint64_t tag, bool immediate, Stamp pair[2]) const noexcept {
    pair[0] = pair[1] = Stamp();
    pair[0].slot = SlotOf(tag);
    pair[1].slot = AlternativeSlotOf(tag);
    pair[0].immediate = pair[1].immediate = immediate;
    pair[1].alternative = true;
  }

  // Counts as an overflow of every slot: the ids up to `last` may have written without registering here. Called once
  // when the cache first comes into use after a start or a promotion, with (next id - 1). Later calls do nothing.
  // REQUIRES: last != kNoXid.
  void Begin(Xid last) noexcept;
  bool begun() const noexcept { return start_->load(std::memory_order_acquire) != kNoXid; }

  // Asks for a slot's memory, so that registering in several slots waits for all of them at once.
  void Prefetch(uint32_t slot) const noexcept {
#if defined(__x86_64__)
    // To be changed: the compiler's own asks for it to be read, unless it may count on newer processors.
    asm("prefetchw %0" : : "m"(slots_[slot]));
#else
    __builtin_prefetch(&slots_[slot], 1);
#endif
  }

  // Write rule: puts transactions.own into the slot before the statement that changes rows ends.
  // Returns false if the slot is in another process's hands; the caller waits, without a lock, and tries again.
  // REQUIRES: transactions.own != kNoXid, begun().
  [[nodiscard]] bool Register(uint32_t slot, const Transactions &transactions) noexcept;

  // Store rule, for one slot: fills *stamp (its `slot` and `immediate` are given) if a result computed under `snapshot`
  // may be stored. Called after the result was computed. REQUIRES: `snapshot` counts transactions.own as running
  // (PostgreSQL leaves it out of xip; otherwise what this transaction writes later would pass for seen by the entry).
  // Answers kUnsettled if it does not.
  StampCheck Settle(Stamp *stamp, const Snapshot &snapshot, const Transactions &transactions) noexcept;

  // Store rule, for a list of stamps: leaves out those that cannot be settled where another one of the tag can, and
  // changes *count. If no stamp of some tag can be settled, the answer says why, for the first such tag.
  StampCheck SettleAll(Stamp *stamps, uint32_t *count, const Snapshot &snapshot,
                       const Transactions &transactions) noexcept;

  // Hit rule, for one slot: whether a result computed under `stored` is what `reader` sees.
  StampCheck Check(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                   const Transactions &transactions) const noexcept;

  // Hit rule, for a list of stamps: the first tag of which none is kValid decides, kOwnWrite above all others. kValid
  // for an empty list.
  StampCheck CheckAll(const Stamp *stamps, uint32_t count, const Snapshot &stored, const Snapshot &reader,
                      const Transactions &transactions) const noexcept;

  // Lists the transactions that registered under the slot and had not finished as `reader` sees it, the caller's own
  // left out. kValid: writers[0 .. *count) are all of them, whatever became of them since; kUnsettled: some may have
  // been forgotten. REQUIRES: room for kSlotWriters.
  StampCheck ListConcurrent(uint32_t slot, const Snapshot &reader, const Transactions &transactions, Xid *writers,
                            int *count) const noexcept;

  // Copies what the slot holds. Returns false if it could not be read, or if Begin has not been called.
  [[nodiscard]] bool Look(uint32_t slot, SlotRecord *record) const noexcept;

  // For a stamp whose Check gives kChanged: the writer that separates entry and reader, or, if it was forgotten, the
  // best guess. kNoXid if there is none. For people to read; nothing may depend on it.
  Xid Culprit(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
              const Transactions &transactions) const noexcept;

  // The same for a list of stamps whose CheckAll gives kChanged.
  Xid CulpritOf(const Stamp *stamps, uint32_t count, const Snapshot &stored, const Snapshot &reader,
                const Transactions &transactions) const noexcept;

  // Ends all results that carry the tag, at once and for every snapshot: its slots count a forgetting, of nothing.
  // Returns false if one of them is in another process's hands; the caller waits, without a lock, and tries again.
  [[nodiscard]] bool Expire(uint64_t tag) noexcept;

#ifdef AGGCACHE_DEBUG
  // Leaves all slots as a process that was stopped in the middle of a change would, or as it had found them.
  void Seize(bool seize) noexcept;
#endif

  // Whether the slot has forgotten anything since the stamp was made: then no snapshot can ever hit.
  bool IsDead(const Stamp &stamp) const noexcept;

 private:
  // The rest of the hit rule, when the slot is not quiet.
  StampCheck CheckFully(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                        const Transactions &transactions) const noexcept;

  StampSlot *slots_ = nullptr;
  uint32_t count_ = 0;
  std::atomic<Xid> *start_ = nullptr;  // what Begin was given
};

// Whether the slot is as the entry remembers it, without writers, and all that it ever forgot had finished before
// every id that a reader with this xmin asks about: nearly every hit. `start` is what Begin was given. False proves
// nothing, not even a change: the slot may just have been in motion.
inline bool IsQuiet(const StampSlot &slot, Xid start, const Stamp &stamp, Xid xmin) noexcept {
  // Acquire loads: each keeps the second look at `sequence` after itself.
  const uint64_t sequence = slot.sequence.load(std::memory_order_acquire);
  if (slot.version.load(std::memory_order_acquire) != stamp.version) return false;
  Xid writers = kNoXid;
  for (const std::atomic<Xid> &writer : slot.writers) writers |= writer.load(std::memory_order_acquire);
  return writers == kNoXid && slot.floor.load(std::memory_order_acquire) < xmin &&
         slot.overflow.load(std::memory_order_acquire) < xmin && start != kNoXid && start < xmin &&
         (sequence & 1) == 0 && slot.sequence.load(std::memory_order_relaxed) == sequence;
}

inline StampCheck StampTable::Check(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                                    const Transactions &transactions) const noexcept {
  if (IsQuiet(slots_[stamp.slot], start_->load(std::memory_order_acquire), stamp, reader.xmin))
    return StampCheck::kValid;
  return CheckFully(stamp, stored, reader, transactions);
}

inline bool StampTable::IsDead(const Stamp &stamp) const noexcept {
  return slots_[stamp.slot].version.load(std::memory_order_acquire) != stamp.version;
}

}  // namespace aggcache

#endif
