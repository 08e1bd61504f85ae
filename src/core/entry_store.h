// The entries: a hash table of cached results in a fixed block of memory.
//
// Memory (offsets only, so it can be mapped anywhere):
//
//     | StoreHeader | keys that are gone | buckets: uint32[] | next: uint32[block_count] | blocks: 256 bytes each |
//
// An entry is a chain of blocks (block_pool.h) read as one stream: EntryHeader, key, stamps, snapshot ids, value. Most
// entries are one block, and a hit on one whose bytes are all in its first block follows no link.
//
// Locking: the buckets are divided into kPartitions partitions by the upper bits of the key's hash. The store takes no
// lock: the caller holds the partition's lock as each function says. Numbers that a hit changes under a shared lock
// (uses, clock) are relaxed atomics that may lose a count.
//
// The code is in three files: entry_store.cc (lookup, insertion), entry_stamps.cc (the hit rule over an entry's stamps)
// and entry_eviction.cc (which entry goes). entry_layout.h draws the memory to the byte.

#ifndef AGGCACHE_CORE_ENTRY_STORE_H
#define AGGCACHE_CORE_ENTRY_STORE_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/block_pool.h"
#include "core/snapshot.h"
#include "core/staleness.h"
#include "core/stamp.h"

namespace aggcache {

struct StoreHeader;
struct EntryHeader;

constexpr uint32_t kPartitions = 128;

// What a result is looked up by. The bytes are compared, not only the hash.
struct Key {
  uint64_t hash = 0;
  const void *bytes = nullptr;
  uint32_t size = 0;
};

// Everything an entry is made from. All pointers belong to the caller.
struct NewEntry {
  Key key;
  const void *value = nullptr;
  uint32_t value_size = 0;
  const Stamp *stamps = nullptr;
  uint32_t stamp_count = 0;
  Snapshot snapshot;
  uint64_t function = 0;   // whose result this is: database << 32 | function oid
  uint64_t role = 0;       // who asked for it
  int64_t stored_at = 0;   // microseconds, the caller's clock
  int64_t expires_at = 0;  // microseconds; 0 = never
  uint64_t cost_ns = 0;    // what computing it took
};

// What can be told of an entry without its bytes.
struct EntryInfo {
  uint64_t function = 0;
  uint64_t key_hash = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t stamp_count = 0;
  uint32_t memory = 0;  // bytes of blocks
  int64_t stored_at = 0;
  int64_t expires_at = 0;
  uint64_t cost_ns = 0;
  uint64_t uses = 0;  // hits counted since it was stored
  bool dead = false;  // can no longer be hit
};

struct StoreUsage {
  uint64_t memory = 0;  // bytes of blocks in all
  uint64_t memory_free = 0;
  uint64_t entries = 0;
};

enum class StoreCode : uint8_t {
  kOk,
  kNotFound,
  kNoMemory,   // no free blocks: evict and try again
  kTooLarge,   // would not fit into an empty store, or its snapshot holds more than kMaxRunning ids
  kRejected,   // everything that was looked at is worth more
  kNewerKept,  // a still valid result of a newer snapshot is there
};

class EntryStore {
 public:
  static constexpr uint32_t PartitionOf(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 57); }

  // Lays out an empty store in `memory` of `bytes`, 64-byte aligned.
  // REQUIRES: bytes >= kMinimumBytes, no one else uses it.
  static void Format(void *memory, size_t bytes) noexcept;
  static constexpr size_t kMinimumBytes = 512 * 1024;

  // A view of a formatted store. Cheap; each process makes its own.
  EntryStore() = default;
  EntryStore(void *memory, StampTable stamps) noexcept;

  // Reserves blocks for an entry and copies key, value and snapshot ids into them, so that no lock is held for that.
  // The reservation is given to Insert or back to Release. Takes no lock. The stamps need not be settled yet, only
  // counted. kNoMemory: the caller evicts and tries again. Unless kOk, *reserved is what it was. REQUIRES: *reserved is
  // empty.
  struct Reservation {
    uint32_t first = kNoBlock;
    uint32_t count = 0;
  };
  StoreCode Reserve(const NewEntry &entry, Reservation *reserved) noexcept;
  void Release(Reservation *reserved) noexcept;

  // Puts the entry in place of any with the same key. Always consumes or releases *reserved. kNoMemory: *reserved is
  // empty or of other sizes. Takes a time that does not grow with the size of the value.
  // REQUIRES: partition of the key's hash locked exclusively; stamps settled; *reserved comes from Reserve of this
  // entry (same key, value, snapshot and number of stamps).
  StoreCode Insert(const NewEntry &entry, Reservation *reserved) noexcept;

  // REQUIRES for the functions below: partition locked, shared suffices. The reference is good while the lock is held.
  struct Reference {
    uint32_t block = kNoBlock;
    explicit operator bool() const noexcept { return block != kNoBlock; }
  };
  Reference Find(const Key &key) const noexcept;
  EntryInfo Info(Reference entry) const noexcept;
  uint32_t ValueSize(Reference entry) const noexcept;
  int64_t StoredAt(Reference entry) const noexcept;
  int64_t ExpiresAt(Reference entry) const noexcept;
  uint64_t CostNs(Reference entry) const noexcept;
  // The hit rule over all stamps; the first that is not kValid decides, kOwnWrite above all others.
  StampCheck Check(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept;
  // Whether it is not newer than what the reader sees, and sees what the reader's session has committed (staleness.h).
  bool IsEarlier(Reference entry, const Snapshot &reader, const OwnCommits &own,
                 const Transactions &transactions) const noexcept;
  // The writer that makes Check answer kChanged, as far as it is known (StampTable::Culprit).
  Xid Culprit(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept;
  // Copies ValueSize() bytes.
  void CopyValue(Reference entry, void *to) const noexcept;
  uint32_t StampCount(Reference entry) const noexcept;
  // Copies StampCount() stamps.
  void CopyStamps(Reference entry, Stamp *to) const noexcept;
  // Copies up to `limit` bytes of the key, returns how many.
  uint32_t CopyKey(Reference entry, void *to, uint32_t limit) const noexcept;
  void CountUse(Reference entry) const noexcept;
  // Calls visit for every entry of the partition.
  void ForEach(uint32_t partition, void (*visit)(void *context, Reference entry) noexcept,
               void *context) const noexcept;

  // REQUIRES for the functions below: partition locked exclusively.
  bool Remove(const Key &key) noexcept;
  // Removes every entry of the partition for which `matches` says so, returns how many.
  uint32_t RemoveIf(uint32_t partition, bool (*matches)(void *context, const EntryInfo &entry) noexcept,
                    void *context) noexcept;
  // Looks at up to `sample` entries of the partition, going round its buckets from where the last call stopped, and
  // evicts the one of least priority (at once one that is dead, or expired at `now`). kRejected: the least is worth
  // more than `candidate`, and nothing is evicted; kNotFound: the partition is empty.
  StoreCode EvictOne(uint32_t partition, const NewEntry &candidate, uint32_t sample, int64_t now) noexcept;

  // For a candidate that is given up, as EvictOne rejected it often enough: whatever is asked for next is worth more
  // compared to what is there, and this key most of all. Once for each candidate. Takes no lock.
  void NoteRejected(const NewEntry &candidate) noexcept;

  // Whether a result under a key of this hash was among the latest to be evicted while it could still be hit. Takes no
  // lock.
  bool WasEvicted(uint64_t hash) const noexcept;
  // Takes no lock; the numbers need not fit each other.
  StoreUsage Usage() const noexcept;
  // What an entry of these sizes takes, in bytes of blocks.
  static uint64_t MemoryFor(uint32_t key_size, uint32_t value_size, uint32_t stamp_count,
                            uint32_t running_count) noexcept;

 private:
  EntryHeader *At(uint32_t block) const noexcept { return reinterpret_cast<EntryHeader *>(pool_.At(block)); }
  uint32_t *BucketsOf(uint32_t partition) const noexcept {
    return &buckets_[uint64_t{partition} * buckets_per_partition_];
  }
  uint32_t *BucketOf(uint64_t hash) const noexcept {
    return BucketsOf(PartitionOf(hash)) + (static_cast<uint32_t>(hash) & (buckets_per_partition_ - 1));
  }
  bool KeyIs(uint32_t block, const Key &key) const noexcept;
  // The link (in a bucket or an entry) that names the entry of `key`, or would.
  uint32_t *FindLink(const Key &key) const noexcept;
  // Takes the entry that *link names out of its bucket and frees its blocks.
  void Unlink(uint32_t *link, uint32_t partition) noexcept;

  template <typename Visit>
  void VisitStamps(uint32_t block, Visit visit) const noexcept;
  Snapshot CopySnapshot(uint32_t block, Xid running[kMaxRunning]) const noexcept;
  StampCheck CheckStamps(uint32_t block, const Snapshot &stored, const Snapshot &reader,
                         const Transactions &transactions) const noexcept;
  StampCheck CheckAcrossBlocks(uint32_t block, const Snapshot &reader, const Transactions &transactions) const noexcept;
  bool IsDead(uint32_t block) const noexcept;

  // How often the whole store has been turned over; it wraps.
  uint16_t Turnover() const noexcept;
  // The uses of an entry, aged. REQUIRES: its partition locked exclusively.
  uint32_t Weigh(EntryHeader *entry) const noexcept;
  // The keys that were rejected or evicted lately, as far as they lie with this one.
  std::atomic<uint64_t> *GoneSet(uint64_t hash) const noexcept;
  // Adds to how often a key that is not there was asked for.
  void Remember(uint64_t hash, uint64_t times) noexcept;
  // How often a result of this size must be asked for to be worth twice as much.
  uint64_t TimesForOne(uint64_t blocks) const noexcept;
  // How often the worth of the candidate has doubled, as its key was asked for before.
  int Doublings(const NewEntry &candidate) const noexcept;
  // Turns that into uses of the entry, and forgets it.
  uint32_t TakeCredit(const NewEntry &entry) noexcept;
  // How many blocks the results of a function or role take.
  std::atomic<uint32_t> &Held(uint64_t holder) const noexcept;
  // By how much more uses count as the function, or the role, holds little.
  double Handicap(uint64_t function, uint64_t role) const noexcept;
  // Where the hash of an evicted entry is kept.
  std::atomic<uint64_t> &EvictedPlace(uint64_t hash) const noexcept;

  StoreHeader *header_ = nullptr;
  uint32_t *buckets_ = nullptr;         // plain: under the partition's lock
  uint32_t buckets_per_partition_ = 0;  // a power of two
  std::atomic<uint64_t> *gone_ = nullptr;
  BlockPool pool_;
  StampTable stamps_;
};

}  // namespace aggcache

#endif
