// How a ledger lies in its blocks, and how its parts are taken apart and added up. For the files that implement
// LedgerTable, and the model checker.
//
// All of it is plain memory under the partition's lock.

#ifndef AGGCACHE_CORE_LEDGER_LAYOUT_H
#define AGGCACHE_CORE_LEDGER_LAYOUT_H

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/block_pool.h"
#include "core/ledger.h"
#include "core/packed_stamp.h"
#include "core/snapshot.h"
#include "core/stamp.h"

namespace aggcache {

// A slot as it was when the ledger was opened.
struct OpenedSlot {
  Xid floor;
  Xid overflow;  // kNever if the slot could not be read
  Xid writers[kSlotWriters];
};
constexpr Xid kNever = ~Xid{0};  // no snapshot has seen it finish

// The ledger's one block.
struct LedgerHeader {
  LedgerKey key;
  uint32_t next_ledger;  // in the bucket, or kNoBlock
  uint32_t first_delta;  // first block of the oldest, or kNoBlock
  uint32_t last_delta;
  uint32_t delta_count;
  Xid floor;  // the largest id whose delta was folded, or forgotten
  OpenedSlot opened[2];

  // The base, if there is one.
  Xid xmin;
  Xid xmax;
  Xid unknown[kSlotWriters];  // had registered before the opening, and run as the base sees it; kNoXid is none
  uint32_t has_base;
  uint32_t sum_size;
  uint16_t stamp_count;
  uint16_t running_count;
  BlockPool::Chain proof;  // stamps, then running ids
  BlockPool::Chain sum;

  BlockPool::Chain about;  // what the opener says of it to writers
  uint32_t about_size;

  mutable std::atomic<uint32_t> used;  // read since the last Sweep
};
static_assert(sizeof(LedgerHeader) <= kBlockBytes, "a ledger is one block");
static_assert(kMaxLedgerStamps <= UINT16_MAX && kMaxLedgerRunning <= UINT16_MAX, "the numbers have 16 bits");

// At the front of a delta's first block; the contribution follows.
struct DeltaHeader {
  Xid xid;
  uint32_t next_delta;
  uint32_t size;
  BlockPool::Chain chain;
  uint32_t unused;
};
static_assert(sizeof(DeltaHeader) == 32, "a contribution is aligned");

constexpr uint32_t BlocksFor(uint64_t bytes) { return static_cast<uint32_t>((bytes + kBlockBytes - 1) / kBlockBytes); }

// --- the parts ---

inline bool TakeFor(BlockPool *pool, uint64_t bytes, BlockPool::Chain *chain) noexcept {
  *chain = BlockPool::Chain();
  return bytes == 0 || pool->Take(BlocksFor(bytes), chain);
}
inline void Give(BlockPool *pool, const BlockPool::Chain &chain) noexcept {
  if (chain.count > 0) pool->Give(chain);
}

inline DeltaHeader *DeltaAt(const BlockPool &pool, uint32_t block) noexcept {
  return reinterpret_cast<DeltaHeader *>(pool.At(block));
}

// Takes the deltas out for which `drops` answers true.
template <class Drops>
void DropIf(BlockPool *pool, LedgerHeader *ledger, Drops drops) noexcept {
  uint32_t *link = &ledger->first_delta;
  ledger->last_delta = kNoBlock;
  while (*link != kNoBlock) {
    DeltaHeader *delta = DeltaAt(*pool, *link);
    if (drops(*delta)) {
      *link = delta->next_delta;
      ledger->delta_count--;
      Give(pool, BlockPool::Chain(delta->chain));
    } else {
      ledger->last_delta = *link;
      link = &delta->next_delta;
    }
  }
}

inline bool CopySum(const BlockPool &pool, const LedgerHeader &ledger, const Adding &adding) noexcept {
  if (ledger.sum_size > adding.work_size) return false;
  BlockPool::Cursor cursor = {ledger.sum.first, 0};
  pool.Read(&cursor, adding.work, ledger.sum_size);
  return true;
}

inline bool AddDelta(const BlockPool &pool, const DeltaHeader &delta, const Adding &adding, uint32_t *size) noexcept {
  const unsigned char *bytes = pool.At(delta.chain.first) + sizeof(DeltaHeader);
  uint32_t room = std::min(adding.work_size, kMaxContribution);
  if (delta.chain.count > 1) {
    if (uint64_t{*size} + delta.size > adding.work_size) return false;
    unsigned char *copy = adding.work + (adding.work_size - delta.size);
    BlockPool::Cursor cursor = {delta.chain.first, sizeof(DeltaHeader)};
    pool.Read(&cursor, copy, delta.size);
    bytes = copy;
    room = std::min(room, adding.work_size - delta.size);
  }
  return adding.add(adding.context, adding.work, size, room, bytes, delta.size) && *size <= room;
}

}  // namespace aggcache

#endif
