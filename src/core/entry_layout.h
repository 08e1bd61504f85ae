// How the store lies in memory: its header, and the parts of an entry. For the files that implement EntryStore only.
//
// Who may touch what:
//   buckets, blocks of entries in them, eviction hands   the partition's lock (plain memory)
//   blocks of a reservation                              who holds the reservation (plain memory)
//   uses and clock of an entry                           relaxed atomics, under a shared lock too
//   weight of an entry, and what it was weighed at       the partition's lock, exclusively
//   store clock, numbers, what was evicted or rejected   atomics, no lock
//   free blocks                                          the pool (block_pool.h)

#ifndef AGGCACHE_CORE_ENTRY_LAYOUT_H
#define AGGCACHE_CORE_ENTRY_LAYOUT_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/block_pool.h"
#include "core/entry_store.h"
#include "core/packed_stamp.h"

namespace aggcache {

constexpr uint64_t AlignUp(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

constexpr uint32_t kEvictedPlaces = 16;  // of each partition
constexpr uint32_t kHolders = 4096;      // counts of what functions and roles hold; a power of two
constexpr uint32_t kGoneWays = 8;        // places of a set of keys that are gone: one cache line

//      0          64     128     192                         8384              24768
//     | geometry | pool | clock | partitions: 64 bytes each | evicted: 16 KiB | held: 16 KiB | gone | buckets |
//     next | blocks |
//
// Gone, buckets, next and blocks each begin on a cache line.
// What is written often is on cache lines of its own; the geometry never changes after Format.
struct StoreHeader {
  struct alignas(64) Partition {
    std::atomic<uint32_t> entries;  // changed under the exclusive lock, read by Usage without
    uint32_t hand_bucket;           // where EvictOne goes on: bucket of the partition ...
    uint32_t hand_depth;            // ... and how many of its entries were looked at
  };

  // geometry
  uint64_t gone_offset;
  uint64_t buckets_offset;
  uint64_t next_offset;
  uint64_t blocks_offset;
  uint32_t buckets_per_partition;
  uint32_t block_count;
  uint32_t gone_sets;  // a power of two

  BlockPool::Shared pool;

  alignas(64) std::atomic<uint64_t> clock;  // bits of a double, only ever raised
  std::atomic<uint64_t> turned_over;        // blocks that were evicted though they could be hit, or asked for in vain

  Partition partitions[kPartitions];

  // For each partition, the hashes of entries that were evicted though they could still be hit, as far as they have not
  // been overwritten by others.
  std::atomic<uint64_t> evicted[kPartitions][kEvictedPlaces];

  // How many blocks the results of each function, and of each role, take; those that share a count are taken for one.
  std::atomic<uint32_t> held[kHolders];
};
static_assert(offsetof(StoreHeader, pool) == 64 && offsetof(StoreHeader, clock) == 128, "as drawn above");
static_assert(offsetof(StoreHeader, partitions) == 192 && sizeof(StoreHeader::Partition) == 64, "as drawn above");
static_assert(offsetof(StoreHeader, evicted) == 192 + 64 * kPartitions, "as drawn above");
static_assert(offsetof(StoreHeader, held) == offsetof(StoreHeader, evicted) + 8 * kPartitions * kEvictedPlaces,
              "as drawn above");
static_assert(sizeof(StoreHeader) == offsetof(StoreHeader, held) + 4 * kHolders, "as drawn above");

//      0      8      12         16           20            24              26           28           32     40
//     | hash | next | key size | value size | stamp count | running count | turnover   | last block | xmin | xmax |
//      48         56          64           72     80     88      96       100            104    112
//     | function | stored_at | expires_at | cost | uses | clock | weight | weighed uses | role | key | stamps |
//     running ids | value
//
// Of the stream's later parts the stamps start at a multiple of 4 (12 bytes each), the running ids and after them the
// value at a multiple of 8. So what does not cross a block's end is aligned in memory.
struct EntryHeader {
  bool IsExpired(int64_t now) const noexcept { return expires_at != 0 && expires_at <= now; }

  uint64_t hash;
  uint32_t next_entry;  // first block of the next entry in the bucket, or kNoBlock
  uint32_t key_size;
  uint32_t value_size;
  uint32_t stamp_count;
  uint16_t running_count;
  uint16_t turnover;    // of the store when it was weighed
  uint32_t last_block;  // so that giving the blocks back takes no walk
  Xid xmin;
  Xid xmax;
  uint64_t function;
  int64_t stored_at;
  int64_t expires_at;
  uint64_t cost_ns;
  std::atomic<uint64_t> uses;
  std::atomic<uint64_t> clock;  // the store's, at the latest use
  uint32_t weight;              // the uses up to the latest weighing, the older ones the less
  uint32_t weighed_uses;        // how many they were (the lower half)
  uint64_t role;
};
static_assert(offsetof(EntryHeader, key_size) == 12 && offsetof(EntryHeader, last_block) == 28, "as drawn above");
static_assert(offsetof(EntryHeader, xmin) == 32 && offsetof(EntryHeader, function) == 48, "as drawn above");
static_assert(offsetof(EntryHeader, cost_ns) == 72 && offsetof(EntryHeader, clock) == 88, "as drawn above");
static_assert(kMaxRunning <= UINT16_MAX, "the number of running ids has 16 bits");
static_assert(offsetof(EntryHeader, weight) == 96 && offsetof(EntryHeader, turnover) == 26, "as drawn above");
static_assert(sizeof(EntryHeader) == 112 && sizeof(EntryHeader) < kBlockBytes, "a header fits into one block");
static_assert(sizeof(EntryHeader) % 8 == 0 && kBlockBytes % 64 == 0, "ids and values are aligned in their block");

// Where the parts of an entry are in its stream. 64 bits: sizes that a caller gives may add up to more than 32.
struct EntryLayout {
  EntryLayout(uint32_t key_size, uint32_t value_size, uint32_t stamp_count, uint32_t running_count) noexcept
      : stamps(AlignUp(kKey + key_size, 4)),
        running(AlignUp(stamps + uint64_t{stamp_count} * sizeof(PackedStamp), 8)),
        value(running + uint64_t{running_count} * sizeof(Xid)),
        end(value + value_size) {}
  explicit EntryLayout(const EntryHeader &entry) noexcept
      : EntryLayout(entry.key_size, entry.value_size, entry.stamp_count, entry.running_count) {}
  explicit EntryLayout(const NewEntry &entry) noexcept
      : EntryLayout(entry.key.size, entry.value_size, entry.stamp_count, entry.snapshot.running_count) {}

  uint64_t blocks() const noexcept { return (end + kBlockBytes - 1) / kBlockBytes; }
  uint64_t memory() const noexcept { return AlignUp(end, kBlockBytes); }

  static constexpr uint64_t kKey = sizeof(EntryHeader);
  uint64_t stamps;
  uint64_t running;
  uint64_t value;
  uint64_t end;
};

// What lies at `offset` of an entry's stream. REQUIRES: it is in the first block.
inline const unsigned char *PartAt(const EntryHeader &entry, uint64_t offset) noexcept {
  return reinterpret_cast<const unsigned char *>(&entry) + offset;
}

}  // namespace aggcache

#endif
