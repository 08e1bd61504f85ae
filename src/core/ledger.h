// Ledgers: what transactions add to and take from an aggregate, kept apart by transaction until it is folded, so that a
// reader can bring a result up to what its snapshot sees instead of computing it again.
//
// A ledger belongs to a tag (tag.h) and a program, which says what one row contributes. What a contribution looks like
// is the caller's: to the core it is bytes, which a function of the caller's adds up. Adding must not depend on order,
// and the contribution of a row that goes must undo the one of the row that came.
//
// The life of a ledger:
//   Open       it remembers the tag's slots as they are; from now on writers find it
//   Publish    a writer that is about to commit, or to prepare, puts its contributions in, as one delta
//   SetBase    a reader that has computed the aggregate leaves it, with its snapshot and the stamps of its other tags
//   Read       base + what of the deltas a snapshot sees; or the answer that this cannot be proven
//   GiveUp     what the ledger cannot keep exact, it does not keep at all
// docs/internals.md holds the argument; test/unit/ledger_model_test.cc checks it. The rules are in ledger_rules.h.
//
// What the writer has to do for each row, in this order: register in the tag's slots (StampTable), ask MayHave, and if
// it may, Has or ListOf, under the lock; then keep what the row contributes, or GiveUp. What a savepoint takes back is
// dropped. Before its outcome is decided (before PREPARE too), when no more rows can change: Publish. For rows that
// change later still: register, then GiveUp.
//
// Locking: the caller's lock of the tag's partition, shared for Has, ListOf, Read and Info, exclusive for the other
// functions that take a key or a partition. MayHave takes none. The server is asked about transactions under the lock.
//
// Memory: the table and its buckets in memory that the caller supplies; ledgers, bases and deltas in blocks of a pool,
// which others may use too. Nothing waits for memory: without a block for a delta the ledger is given up, without one
// for a base it has none.

#ifndef AGGCACHE_CORE_LEDGER_H
#define AGGCACHE_CORE_LEDGER_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/block_pool.h"
#include "core/snapshot.h"
#include "core/stamp.h"

namespace aggcache {

constexpr uint32_t kLedgerPartitions = 128;
constexpr int kLedgerDeltas = 16;                 // that a ledger holds before it folds
constexpr uint32_t kMaxContribution = 64 * 1024;  // bytes of a base, or of a delta
constexpr uint32_t kMaxLedgerRunning = 512;       // ids that a base's snapshot lists as running
constexpr uint32_t kMaxLedgerStamps = 1024;       // of a base
constexpr uint32_t kMaxAbout = 240;               // bytes that tell writers what to keep

struct LedgerKey {
  uint64_t tag = 0;
  uint64_t program = 0;
};

enum class LedgerCode : uint8_t {
  kOk,
  kNone,       // there is no such ledger
  kExists,     // there is one already
  kNoBase,     // nobody has computed yet
  kUnsettled,  // cannot be proven: the snapshot is too old, or what became of a writer is unknown
  kChanged,    // another tag of the result has changed
  kOwnWrite,   // the caller itself has changed rows under the tag: they are not in the ledger yet
  kFull,       // too many writers at once
  kNoMemory,   // no blocks
  kTooLarge,   // contributions do not add up in the room that there is, or there are too many ids or stamps
};

// What writers are told of a ledger: what the key's program is, in bytes of the caller's.
struct LedgerAbout {
  LedgerKey key;
  uint32_t size = 0;
  alignas(8) unsigned char bytes[kMaxAbout];
};

// How contributions are added up, and the caller's memory to do it in.
struct Adding {
  // Adds a contribution to the sum of *size bytes, which may grow up to `room`. Returns false if it cannot; the sum is
  // lost then. Runs under the lock: bounded, no error, no wait. An empty sum (*size 0) is one of no rows.
  bool (*add)(void *context, unsigned char *sum, uint32_t *size, uint32_t room, const unsigned char *contribution,
              uint32_t contribution_size) noexcept;
  void *context;
  unsigned char *work;  // at its front the sum, at its end a contribution that does not lie in one block
  uint32_t work_size;
};

struct LedgerBase {
  Snapshot snapshot;              // under which it was computed
  const Stamp *stamps = nullptr;  // of all tags but the ledger's, settled under the snapshot after computing
  uint32_t stamp_count = 0;
  const void *sum = nullptr;
  uint32_t sum_size = 0;
};

struct LedgerInfo {
  bool has_base = false;
  Xid base_xmax = kNoXid;  // of its snapshot
  uint32_t deltas = 0;
  uint32_t sum_size = 0;
  uint32_t blocks = 0;
  Xid floor = kNoXid;                    // the largest id whose delta was folded, or forgotten
  const unsigned char *about = nullptr;  // under the lock only
  uint32_t about_size = 0;
};

// A full fence: of two that each write, pass one, and then read what the other has written, at least one sees it.
inline void FullFence() noexcept {
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer knows no fences, but that changes of one variable are in order.
  static std::atomic<uint32_t> order{0};
  order.fetch_add(1, std::memory_order_acq_rel);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

class LedgerTable {
 public:
  using Bucket = std::atomic<uint32_t>;

  // Bytes of a table with this many buckets. REQUIRES: buckets is a power of two, at least kLedgerPartitions.
  static constexpr size_t BytesFor(uint32_t buckets) noexcept { return kHeaderBytes + sizeof(Bucket) * buckets; }
  // REQUIRES: `memory` is at a multiple of 64 and has BytesFor(buckets) bytes; no one else uses it.
  static void Format(void *memory, uint32_t buckets) noexcept;

  // A view of a formatted table. Cheap; each process makes its own.
  LedgerTable() = default;
  LedgerTable(void *memory, BlockPool pool, StampTable stamps) noexcept;

  uint32_t PartitionOf(uint64_t tag) const noexcept { return BucketIndex(tag) % kLedgerPartitions; }
  // Blocks that are free, or a little more.
  uint64_t FreeBlocks() const noexcept { return pool_.FreeBlocks(); }

  // How many there are; 0 is as sure as MayHave after a FullFence().
  uint64_t ledgers() const noexcept;

  // Whether the tag may have ledgers; false is sure, for a writer that has registered in the tag's slots before. No
  // lock.
  bool MayHave(uint64_t tag) const noexcept {
    FullFence();
    return MayHaveAfterFence(tag);
  }
  // The same for several tags, all registered in before one FullFence().
  bool MayHaveAfterFence(uint64_t tag) const noexcept {
    return buckets_[BucketIndex(tag)].load(std::memory_order_acquire) != kNoBlock;
  }
  bool Has(const LedgerKey &key) const noexcept { return Find(key) != kNoBlock; }
  // Whether that is what writers are told of the ledger.
  bool IsAbout(const LedgerKey &key, const void *about, uint32_t size) const noexcept;
  // Copies what there is to know of the tag's ledgers, of up to `limit`. Returns how many there are.
  uint32_t ListOf(uint64_t tag, LedgerAbout *list, uint32_t limit) const noexcept;

  // kOk, kExists, kNoMemory; kUnsettled if the tag's slots cannot be read; kTooLarge: more than kMaxAbout bytes.
  LedgerCode Open(const LedgerKey &key, const void *about = nullptr, uint32_t about_size = 0) noexcept;

  // The two halves of Open, without releasing the lock in between: writers find the ledger before the slots are copied.
  // So who is not in the copy looks for ledgers after this one was there. For Open and the model checker.
  LedgerCode Announce(const LedgerKey &key, const void *about = nullptr, uint32_t about_size = 0) noexcept;
  LedgerCode Remember(const LedgerKey &key) noexcept;

  // Adds what transaction `xid` contributes. kNone if there is no ledger: whoever opens one later finds the transaction
  // in the slots. At any other answer but kOk the ledger has been given up. No contribution (size 0) is kOk.
  // REQUIRES: xid, a top-level id, has registered in the tag's slots, and its outcome is not decided.
  LedgerCode Publish(const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
                     const Transactions &transactions, const Adding &adding) noexcept;

  // Returns whether there was one. Always sound.
  bool GiveUp(const LedgerKey &key) noexcept;
  // Gives up all ledgers of the tag, of whatever program. Returns how many.
  uint32_t GiveUpAll(uint64_t tag) noexcept;
  // Gives up the ledgers of a partition that match. Returns how many.
  uint32_t GiveUpIf(uint32_t partition, bool (*matches)(void *context, const LedgerKey &, const LedgerInfo &) noexcept,
                    void *context) noexcept;

  // Makes room in a partition: gives up the ledgers that nobody has read since the last call for it. Returns how many.
  uint32_t Sweep(uint32_t partition) noexcept;

  // Gives the ledger its base, or replaces it. At any answer but kOk the ledger is as it was.
  LedgerCode SetBase(const LedgerKey &key, const LedgerBase &base, const Transactions &transactions) noexcept;

  struct Answer {
    uint32_t size = 0;   // of the sum, at the front of adding.work
    uint32_t added = 0;  // deltas in it
  };
  // kOk: the sum is what computing under `reader` would give. Otherwise the caller computes.
  LedgerCode Read(const LedgerKey &key, const Snapshot &reader, const Transactions &transactions, const Adding &adding,
                  Answer *answer) const noexcept;

  // Returns false if there is none.
  bool Info(const LedgerKey &key, LedgerInfo *info) const noexcept;

 private:
  template <class Rules, int Room>
  friend class LedgerRules;

  static constexpr size_t kHeaderBytes = 64;

  uint32_t BucketIndex(uint64_t tag) const noexcept { return static_cast<uint32_t>(tag) & (bucket_count_ - 1); }
  // The first block of a ledger, or kNoBlock.
  uint32_t Find(const LedgerKey &key) const noexcept;
  // Takes the ledger out of its bucket, where it follows `before` (kNoBlock: it is the first), and frees its blocks.
  void Unlink(uint32_t bucket, uint32_t before, uint32_t block) noexcept;
  template <class Matches>
  uint32_t UnlinkIf(uint32_t bucket, Matches matches) noexcept;

  std::atomic<uint64_t> *ledgers_ = nullptr;
  Bucket *buckets_ = nullptr;  // first blocks of ledgers; changed under the lock, read by MayHave without
  uint32_t bucket_count_ = 0;
  BlockPool pool_;
  StampTable stamps_;
};

}  // namespace aggcache

#endif
