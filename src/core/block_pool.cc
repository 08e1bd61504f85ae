// The stack of free blocks. See block_pool.h for the contract.
//
// Its head names the first free block and holds a tag that changes with every push and pop, so that an exchange fails
// if anything happened since the head was read (even if the same block is on top again).

#include "core/block_pool.h"

#include <new>

namespace aggcache {

namespace {

// How many blocks a pop tries to take by one exchange. Long enough that a long chain needs few exchanges, short enough
// that walking the links seldom loses to another process.
constexpr uint32_t kPopBatch = 64;

constexpr uint64_t PackHead(uint32_t tag, uint32_t block) { return static_cast<uint64_t>(tag) << 32 | block; }
constexpr uint32_t HeadTag(uint64_t head) { return static_cast<uint32_t>(head >> 32); }
constexpr uint32_t HeadBlock(uint64_t head) { return static_cast<uint32_t>(head); }

}  // namespace

void BlockPool::Format(Shared *shared, Link *next, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; i++) new (&next[i]) Link(i + 1 < count ? i + 1 : kNoBlock);
  shared->free_blocks.store(count, std::memory_order_relaxed);
  shared->free_head.store(PackHead(0, count > 0 ? 0 : kNoBlock), std::memory_order_release);
}

// Takes up to `wanted` blocks, a chain from *first to *last, and returns how many; zero only if none are free.
//
// The links walked may be stale or belong to another's chain by now, but they always name a block or none; and if
// anything was pushed or popped since the head was read, the exchange fails. The exchange releases as well as acquires:
// what this walk has read is then ordered before what the next owner of the blocks writes.
uint32_t BlockPool::Pop(uint32_t wanted, uint32_t *first, uint32_t *last) noexcept {
  uint64_t head = shared_->free_head.load(std::memory_order_acquire);
  for (;;) {
    *first = *last = HeadBlock(head);
    if (*first == kNoBlock) return 0;
    uint32_t count = 1;
    uint32_t rest = Next(*last);
    for (; count < wanted && rest != kNoBlock; count++) {
      *last = rest;
      rest = Next(rest);
    }
    if (shared_->free_head.compare_exchange_weak(head, PackHead(HeadTag(head) + 1, rest), std::memory_order_acq_rel,
                                                 std::memory_order_acquire)) {
      shared_->free_blocks.fetch_sub(count, std::memory_order_relaxed);
      return count;
    }
    if (wanted > 1) wanted /= 2;  // shorter walks lose less often
  }
}

bool BlockPool::Take(uint32_t wanted, Chain *taken) noexcept {
  // Else a long chain that waits for others to be given back would take and give back all free blocks at each try.
  if (FreeBlocks() < wanted) return false;

  Chain chain;
  while (chain.count < wanted) {
    uint32_t first, last;
    const uint32_t left = wanted - chain.count;
    const uint32_t batch = Pop(left < kPopBatch ? left : kPopBatch, &first, &last);
    if (batch == 0) {
      if (chain.count > 0) Give(chain);
      return false;
    }
    if (chain.count == 0)
      chain.first = first;
    else
      next_[chain.last].store(first, std::memory_order_relaxed);
    chain.last = last;
    chain.count += batch;
  }
  next_[chain.last].store(kNoBlock, std::memory_order_relaxed);
  *taken = chain;
  return true;
}

void BlockPool::Give(const Chain &chain) noexcept {
  // Counted before they are there, so that the number is never less than what is there and never passes zero.
  shared_->free_blocks.fetch_add(chain.count, std::memory_order_relaxed);
  uint64_t head = shared_->free_head.load(std::memory_order_relaxed);
  do {
    next_[chain.last].store(HeadBlock(head), std::memory_order_relaxed);
  } while (!shared_->free_head.compare_exchange_weak(head, PackHead(HeadTag(head) + 1, chain.first),
                                                     std::memory_order_release, std::memory_order_relaxed));
}

}  // namespace aggcache
