// Blocks of one size, which never fragment, in memory that the caller supplies: a lock-free stack of the free ones, and
// chains of those in use, each read and written as one stream of bytes.
//
// Blocks are named by their index, so that the memory can be mapped anywhere. `next` links the blocks of a chain, and
// the free blocks.
//
// Locking: the pool takes no lock. Who takes a chain owns its blocks, which are plain memory, until it gives them back,
// and says who else may read them meanwhile. A block that changes hands goes through the free stack, whose head orders
// the accesses of the old and the new owner.

#ifndef AGGCACHE_CORE_BLOCK_POOL_H
#define AGGCACHE_CORE_BLOCK_POOL_H

#include <atomic>
#include <cstdint>
#include <cstring>

namespace aggcache {

constexpr uint32_t kBlockBytes = 256;
constexpr uint32_t kNoBlock = 0xffffffff;

class BlockPool {
 public:
  // What all views of a pool share, on a cache line of its own as it is written often.
  struct alignas(64) Shared {
    std::atomic<uint64_t> free_head;
    std::atomic<uint64_t> free_blocks;  // lags behind the stack
  };
  // Atomic: a pop may look at the link of a block that another has just popped.
  using Link = std::atomic<uint32_t>;

  // Blocks that follow each other by their links; none follows the last.
  struct Chain {
    uint32_t first = kNoBlock;
    uint32_t last = kNoBlock;
    uint32_t count = 0;
  };

  // A place in a chain. `offset` may be kBlockBytes: the next block is looked up when a byte of it is wanted.
  struct Cursor {
    uint32_t block;
    uint32_t offset;
  };

  // Makes all blocks free. REQUIRES: room for `count` links at `next`, count <= kNoBlock; no one else uses them.
  static void Format(Shared *shared, Link *next, uint32_t count) noexcept;

  // A view of a formatted pool. Cheap; each process makes its own.
  BlockPool() = default;
  BlockPool(Shared *shared, Link *next, unsigned char *blocks, uint32_t count) noexcept
      : shared_(shared), next_(next), blocks_(blocks), count_(count) {}

  uint32_t count() const noexcept { return count_; }
  // How many blocks are free. While others take and give, it may be more than there are, never less.
  uint64_t FreeBlocks() const noexcept { return shared_->free_blocks.load(std::memory_order_relaxed); }

  // Takes a chain of `wanted` blocks. If there are not as many, takes none and answers false; *taken is what it was.
  // REQUIRES: wanted > 0.
  bool Take(uint32_t wanted, Chain *taken) noexcept;
  // Gives back a chain, in a time that does not grow with its length. REQUIRES: it was taken, as it stands.
  void Give(const Chain &chain) noexcept;

  unsigned char *At(uint32_t block) const noexcept { return blocks_ + uint64_t{block} * kBlockBytes; }
  uint32_t Next(uint32_t block) const noexcept { return next_[block].load(std::memory_order_relaxed); }

  // The place `offset` bytes after the beginning of `block`, there or further on in its chain. It may be the end of the
  // chain. REQUIRES: it is not beyond.
  Cursor Seek(uint32_t block, uint64_t offset) const noexcept {
    for (; offset > kBlockBytes; offset -= kBlockBytes) block = Next(block);
    return {block, static_cast<uint32_t>(offset)};
  }

  // REQUIRES for the functions below: the chain goes on for `size` bytes. They move the cursor behind them, Equals only
  // if it answers true.
  void Read(Cursor *cursor, void *to, uint64_t size) const noexcept {
    ForEachPiece(cursor, size, [to](const unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
      memcpy(static_cast<unsigned char *>(to) + done, bytes, piece);
      return true;
    });
  }
  void Write(Cursor *cursor, const void *from, uint64_t size) noexcept {
    ForEachPiece(cursor, size, [from](unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
      memcpy(bytes, static_cast<const unsigned char *>(from) + done, piece);
      return true;
    });
  }
  bool Equals(Cursor *cursor, const void *to, uint64_t size) const noexcept {
    return ForEachPiece(cursor, size, [to](const unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
      return memcmp(bytes, static_cast<const unsigned char *>(to) + done, piece) == 0;
    });
  }

 private:
  // Calls move(bytes in a block, how many, how far into the whole) for each piece of the next `size` bytes, while it
  // returns true. Returns whether it always did.
  template <typename Move>
  bool ForEachPiece(Cursor *cursor, uint64_t size, Move move) const noexcept {
    for (uint64_t done = 0; done < size;) {
      if (cursor->offset == kBlockBytes) *cursor = {Next(cursor->block), 0};
      const uint64_t left = size - done;
      const uint32_t room = kBlockBytes - cursor->offset;
      const uint32_t piece = left < room ? static_cast<uint32_t>(left) : room;
      if (!move(At(cursor->block) + cursor->offset, piece, done)) return false;
      cursor->offset += piece;
      done += piece;
    }
    return true;
  }

  uint32_t Pop(uint32_t wanted, uint32_t *first, uint32_t *last) noexcept;

  Shared *shared_ = nullptr;
  Link *next_ = nullptr;
  unsigned char *blocks_ = nullptr;
  uint32_t count_ = 0;
};
static_assert(sizeof(BlockPool::Shared) == 64, "one cache line");
static_assert(std::atomic<uint64_t>::is_always_lock_free && BlockPool::Link::is_always_lock_free,
              "atomics are shared between processes");

}  // namespace aggcache

#endif
