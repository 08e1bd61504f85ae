// The entries: layout, lookup, insertion and eviction. See entry_store.h for the contract and the locks.
//
// Who may touch what:
//   buckets, blocks of entries in them, eviction hands   the partition's lock (plain memory)
//   blocks of a reservation                              who holds the reservation (plain memory)
//   uses and clock of an entry                           relaxed atomics, under a shared lock too
//   free stack, store clock, numbers                     atomics, no lock
// A block that changes hands goes through the free stack, whose head orders the accesses of the old and new owner.

#include "core/entry_store.h"

#include <cassert>
#include <cstring>
#include <new>

#include "core/packed_stamp.h"
#include "core/stamp_list.h"

namespace aggcache {

namespace {

constexpr uint64_t AlignUp(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

// How many blocks a pop tries to take by one exchange. Long enough that a large entry needs few exchanges, short
// enough that walking the links seldom loses to another process.
constexpr uint32_t kPopBatch = 64;

// The free stack's head: the first free block, and a tag that changes with every push and pop, so that an exchange
// fails if anything happened since the head was read (even if the same block is on top again).
constexpr uint64_t PackHead(uint32_t tag, uint32_t block) { return static_cast<uint64_t>(tag) << 32 | block; }
constexpr uint32_t HeadTag(uint64_t head) { return static_cast<uint32_t>(head >> 32); }
constexpr uint32_t HeadBlock(uint64_t head) { return static_cast<uint32_t>(head); }

// Clocks and priorities are doubles that are never negative: their bits order as they do.
double FromBits(uint64_t bits) noexcept {
  double number;
  memcpy(&number, &bits, sizeof(number));
  return number;
}

uint64_t ToBits(double number) noexcept {
  uint64_t bits;
  memcpy(&bits, &number, sizeof(bits));
  return bits;
}

// What an entry is worth: nanoseconds saved per byte, on top of when it was last used.
double Priority(uint64_t clock, uint64_t uses, uint64_t cost_ns, uint64_t memory) noexcept {
  return FromBits(clock) + static_cast<double>(uses) * static_cast<double>(cost_ns) / static_cast<double>(memory);
}

bool IsExpired(int64_t expires_at, int64_t now) noexcept { return expires_at != 0 && expires_at <= now; }

}  // namespace

//      0          64         128        192                         8384
//     | geometry | free      | clock    | partitions: 64 bytes each | evicted: 16 KiB | buckets | next | blocks |
//
// Buckets, next and blocks each begin on a cache line.
// What is written often is on cache lines of its own; the geometry never changes after Format.
struct EntryStore::Header {
  struct alignas(64) Partition {
    std::atomic<uint32_t> entries;  // changed under the exclusive lock, read by Usage without
    uint32_t hand_bucket;           // where EvictOne goes on: bucket of the partition ...
    uint32_t hand_depth;            // ... and how many of its entries were looked at
  };

  // geometry
  uint64_t buckets_offset;
  uint64_t next_offset;
  uint64_t blocks_offset;
  uint32_t buckets_per_partition;
  uint32_t block_count;

  alignas(64) std::atomic<uint64_t> free_head;
  std::atomic<uint64_t> free_blocks;  // lags behind the stack: a hint, exact when nothing is under way

  alignas(64) std::atomic<uint64_t> clock;  // bits of a double, only ever raised

  Partition partitions[kPartitions];

  // For each partition, the hashes of entries that were evicted though they could still be hit, as far as they have not
  // been overwritten by others.
  std::atomic<uint64_t> evicted[kPartitions][kEvictedPlaces];
};

//      0      8      12         16           20            24              28           32     40
//     | hash | next | key size | value size | stamp count | running count | last block | xmin | xmax |
//      48         56          64           72     80     88      96
//     | function | stored_at | expires_at | cost | uses | clock | key | stamps | running ids | value
//
// Of the stream's later parts the stamps start at a multiple of 4 (12 bytes each), the running ids and after them the
// value at a multiple of 8. So what does not cross a block's end is aligned in memory.
struct EntryStore::EntryHeader {
  uint64_t hash;
  uint32_t next_entry;  // first block of the next entry in the bucket, or kNoBlock
  uint32_t key_size;
  uint32_t value_size;
  uint32_t stamp_count;
  uint32_t running_count;
  uint32_t last_block;  // so that giving the blocks back takes no walk
  Xid xmin;
  Xid xmax;
  uint64_t function;
  int64_t stored_at;
  int64_t expires_at;
  uint64_t cost_ns;
  std::atomic<uint64_t> uses;
  std::atomic<uint64_t> clock;  // the store's, at the latest use
};

// Where the parts of an entry are in its stream. 64 bits: sizes that a caller gives may add up to more than 32.
struct EntryStore::Layout {
  Layout(uint32_t key_size, uint32_t value_size, uint32_t stamp_count, uint32_t running_count) noexcept
      : stamps(AlignUp(kKey + key_size, 4)),
        running(AlignUp(stamps + uint64_t{stamp_count} * sizeof(PackedStamp), 8)),
        value(running + uint64_t{running_count} * sizeof(Xid)),
        end(value + value_size) {}
  explicit Layout(const EntryHeader &entry) noexcept
      : Layout(entry.key_size, entry.value_size, entry.stamp_count, entry.running_count) {}
  explicit Layout(const NewEntry &entry) noexcept
      : Layout(entry.key.size, entry.value_size, entry.stamp_count, entry.snapshot.running_count) {}

  uint64_t blocks() const noexcept { return (end + kBlockBytes - 1) / kBlockBytes; }
  uint64_t memory() const noexcept { return AlignUp(end, kBlockBytes); }

  static constexpr uint64_t kKey = sizeof(EntryHeader);
  uint64_t stamps;
  uint64_t running;
  uint64_t value;
  uint64_t end;
};

// A place in an entry's stream. `offset` may be kBlockBytes: the next block is looked up when a byte of it is wanted.
struct EntryStore::Cursor {
  uint32_t block;
  uint32_t offset;
};

// --- layout and construction ---

void EntryStore::Format(void *memory, size_t bytes) noexcept {
  static_assert(offsetof(Header, free_head) == 64 && offsetof(Header, clock) == 128, "as drawn above");
  static_assert(offsetof(Header, partitions) == 192 && sizeof(Header::Partition) == 64, "as drawn above");
  static_assert(offsetof(Header, evicted) == 192 + 64 * kPartitions, "as drawn above");
  static_assert(sizeof(Header) == offsetof(Header, evicted) + 8 * kPartitions * kEvictedPlaces, "as drawn above");
  static_assert(offsetof(EntryHeader, key_size) == 12 && offsetof(EntryHeader, last_block) == 28, "as drawn above");
  static_assert(offsetof(EntryHeader, xmin) == 32 && offsetof(EntryHeader, function) == 48, "as drawn above");
  static_assert(offsetof(EntryHeader, cost_ns) == 72 && offsetof(EntryHeader, clock) == 88, "as drawn above");
  static_assert(sizeof(EntryHeader) == 96 && sizeof(EntryHeader) < kBlockBytes, "a header fits into one block");
  static_assert(sizeof(EntryHeader) % 8 == 0 && kBlockBytes % 64 == 0, "ids and values are aligned in their block");
  static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free,
                "atomics are shared between processes");
  static_assert(uint64_t{kPartitions - 1} == ~uint64_t{0} >> 57, "a partition is 7 bits of the hash");
  assert(bytes >= kMinimumBytes);
  assert(reinterpret_cast<uintptr_t>(memory) % 64 == 0);

  // Between one bucket a block and one every two: entries are at least one block, so chains stay short in a full store.
  const uint64_t room = bytes - sizeof(Header);
  const uint64_t guess = room / (kBlockBytes + 2 * sizeof(uint32_t));
  uint64_t per_partition = 1;
  while (per_partition * kPartitions < guess / 2 && per_partition < uint64_t{1} << 24) per_partition *= 2;

  const uint64_t bucket_bytes = AlignUp(per_partition * kPartitions * sizeof(uint32_t), 64);
  uint64_t count = (room - bucket_bytes - 64) / (kBlockBytes + sizeof(uint32_t));
  if (count > kNoBlock) count = kNoBlock;  // an index is 32 bits, and kNoBlock is none

  auto *header = new (memory) Header;
  header->buckets_offset = sizeof(Header);
  header->next_offset = header->buckets_offset + bucket_bytes;
  header->blocks_offset = AlignUp(header->next_offset + count * sizeof(uint32_t), 64);
  header->buckets_per_partition = static_cast<uint32_t>(per_partition);
  header->block_count = static_cast<uint32_t>(count);
  assert(header->blocks_offset + count * kBlockBytes <= bytes);

  auto *base = static_cast<unsigned char *>(memory);
  memset(base + header->buckets_offset, 0xff, bucket_bytes);  // kNoBlock
  auto *next = reinterpret_cast<std::atomic<uint32_t> *>(base + header->next_offset);
  for (uint32_t i = 0; i < count; i++) new (&next[i]) std::atomic<uint32_t>(i + 1 < count ? i + 1 : kNoBlock);

  header->clock.store(0, std::memory_order_relaxed);
  for (auto &partition : header->partitions) {
    partition.entries.store(0, std::memory_order_relaxed);
    partition.hand_bucket = partition.hand_depth = 0;
  }
  for (auto &places : header->evicted)
    for (auto &place : places) place.store(0, std::memory_order_relaxed);
  header->free_blocks.store(count, std::memory_order_relaxed);
  header->free_head.store(PackHead(0, 0), std::memory_order_release);
}

EntryStore::EntryStore(void *memory, StampTable stamps) noexcept
    : header_(static_cast<Header *>(memory)), stamps_(stamps) {
  auto *base = static_cast<unsigned char *>(memory);
  buckets_ = reinterpret_cast<uint32_t *>(base + header_->buckets_offset);
  next_ = reinterpret_cast<std::atomic<uint32_t> *>(base + header_->next_offset);
  blocks_ = base + header_->blocks_offset;
  buckets_per_partition_ = header_->buckets_per_partition;
}

uint64_t EntryStore::MemoryFor(uint32_t key_size, uint32_t value_size, uint32_t stamp_count,
                               uint32_t running_count) noexcept {
  return Layout(key_size, value_size, stamp_count, running_count).memory();
}

inline EntryStore::EntryHeader *EntryStore::At(uint32_t block) const noexcept {
  return reinterpret_cast<EntryHeader *>(blocks_ + uint64_t{block} * kBlockBytes);
}

inline uint32_t EntryStore::Next(uint32_t block) const noexcept { return next_[block].load(std::memory_order_relaxed); }

inline uint32_t *EntryStore::BucketOf(uint64_t hash) const noexcept {
  const uint32_t within = static_cast<uint32_t>(hash) & (buckets_per_partition_ - 1);
  return &buckets_[uint64_t{PartitionOf(hash)} * buckets_per_partition_ + within];
}

// --- streams ---

EntryStore::Cursor EntryStore::Seek(uint32_t block, uint64_t offset) const noexcept {
  for (; offset > kBlockBytes; offset -= kBlockBytes) block = Next(block);
  return {block, static_cast<uint32_t>(offset)};
}

// Calls move(bytes in a block, how many, how far into the whole) for each piece of the next `size` bytes, while it
// returns true. Returns whether it always did.
template <typename Move>
inline bool EntryStore::ForEachPiece(Cursor *cursor, uint64_t size, Move move) const noexcept {
  for (uint64_t done = 0; done < size;) {
    if (cursor->offset == kBlockBytes) *cursor = {Next(cursor->block), 0};
    const uint64_t left = size - done;
    const uint32_t room = kBlockBytes - cursor->offset;
    const uint32_t piece = left < room ? static_cast<uint32_t>(left) : room;
    if (!move(blocks_ + uint64_t{cursor->block} * kBlockBytes + cursor->offset, piece, done)) return false;
    cursor->offset += piece;
    done += piece;
  }
  return true;
}

void EntryStore::Read(Cursor *cursor, void *to, uint64_t size) const noexcept {
  ForEachPiece(cursor, size, [to](const unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
    memcpy(static_cast<unsigned char *>(to) + done, bytes, piece);
    return true;
  });
}

void EntryStore::Write(Cursor *cursor, const void *from, uint64_t size) noexcept {
  ForEachPiece(cursor, size, [from](unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
    memcpy(bytes, static_cast<const unsigned char *>(from) + done, piece);
    return true;
  });
}

// Calls visit(stamp) for each stamp of the entry, while it returns true. Always inline: what a visitor counts then
// stays in registers, which a hit feels.
template <typename Visit>
__attribute__((always_inline)) inline void EntryStore::VisitStamps(uint32_t block, Visit visit) const noexcept {
  const EntryHeader *entry = At(block);
  const Layout layout(*entry);
  PackedStamp packed;
  if (layout.running <= kBlockBytes) {
    const unsigned char *at = reinterpret_cast<const unsigned char *>(entry) + layout.stamps;
    for (uint32_t i = 0; i < entry->stamp_count; i++, at += sizeof(packed)) {
      memcpy(&packed, at, sizeof(packed));
      if (!visit(Unpack(packed))) return;
    }
    return;
  }
  Cursor cursor = Seek(block, layout.stamps);
  for (uint32_t i = 0; i < entry->stamp_count; i++) {
    Read(&cursor, &packed, sizeof(packed));
    if (!visit(Unpack(packed))) return;
  }
}

// --- free blocks ---

// Takes up to `wanted` blocks, a chain from *first to *last, and returns how many; zero only if none are free.
//
// The links walked may be stale or belong to an entry by now, but they always name a block or none; and if anything was
// pushed or popped since the head was read, the exchange fails. The exchange releases as well as acquires: what this
// walk has read is then ordered before what the next owner of the blocks writes.
uint32_t EntryStore::Pop(uint32_t wanted, uint32_t *first, uint32_t *last) noexcept {
  uint64_t head = header_->free_head.load(std::memory_order_acquire);
  for (;;) {
    *first = *last = HeadBlock(head);
    if (*first == kNoBlock) return 0;
    uint32_t count = 1;
    uint32_t rest = Next(*last);
    for (; count < wanted && rest != kNoBlock; count++) {
      *last = rest;
      rest = Next(rest);
    }
    if (header_->free_head.compare_exchange_weak(head, PackHead(HeadTag(head) + 1, rest), std::memory_order_acq_rel,
                                                 std::memory_order_acquire)) {
      header_->free_blocks.fetch_sub(count, std::memory_order_relaxed);
      return count;
    }
    if (wanted > 1) wanted /= 2;  // shorter walks lose less often
  }
}

// Gives back the chain of `count` blocks from `first` to `last`.
void EntryStore::Push(uint32_t first, uint32_t last, uint32_t count) noexcept {
  // Counted before they are there, so that the number is never less than what is there and never passes zero.
  header_->free_blocks.fetch_add(count, std::memory_order_relaxed);
  uint64_t head = header_->free_head.load(std::memory_order_relaxed);
  do {
    next_[last].store(HeadBlock(head), std::memory_order_relaxed);
  } while (!header_->free_head.compare_exchange_weak(head, PackHead(HeadTag(head) + 1, first),
                                                     std::memory_order_release, std::memory_order_relaxed));
}

StoreCode EntryStore::Reserve(const NewEntry &entry, Reservation *reserved) noexcept {
  const Layout layout(entry);
  if (layout.blocks() > header_->block_count || entry.snapshot.running_count > kMaxRunning) return StoreCode::kTooLarge;
  const uint32_t wanted = static_cast<uint32_t>(layout.blocks());
  // Else a large entry that evicts small ones would take and give back all free blocks after each.
  if (header_->free_blocks.load(std::memory_order_relaxed) < wanted) return StoreCode::kNoMemory;

  uint32_t first = kNoBlock, last = kNoBlock, count = 0;
  while (count < wanted) {
    uint32_t batch_first, batch_last;
    const uint32_t batch = Pop(wanted - count < kPopBatch ? wanted - count : kPopBatch, &batch_first, &batch_last);
    if (batch == 0) {
      if (count > 0) Push(first, last, count);
      return StoreCode::kNoMemory;
    }
    if (count == 0)
      first = batch_first;
    else
      next_[last].store(batch_first, std::memory_order_relaxed);
    last = batch_last;
    count += batch;
  }
  next_[last].store(kNoBlock, std::memory_order_relaxed);

  auto *header = new (At(first)) EntryHeader;
  header->hash = entry.key.hash;
  header->next_entry = kNoBlock;
  header->key_size = entry.key.size;
  header->value_size = entry.value_size;
  header->stamp_count = entry.stamp_count;
  header->running_count = entry.snapshot.running_count;
  header->last_block = last;
  Cursor cursor = {first, Layout::kKey};
  Write(&cursor, entry.key.bytes, entry.key.size);
  // Goes on from the key, as seeking from the start would walk a large key's blocks again.
  cursor = Seek(cursor.block, cursor.offset + (layout.running - (Layout::kKey + entry.key.size)));
  Write(&cursor, entry.snapshot.running, uint64_t{entry.snapshot.running_count} * sizeof(Xid));
  Write(&cursor, entry.value, entry.value_size);

  reserved->first = first;
  reserved->count = count;
  return StoreCode::kOk;
}

void EntryStore::Release(Reservation *reserved) noexcept {
  if (reserved->first != kNoBlock) Push(reserved->first, At(reserved->first)->last_block, reserved->count);
  *reserved = Reservation();
}

// --- lookup ---

inline bool EntryStore::KeyIs(uint32_t block, const Key &key) const noexcept {
  const EntryHeader *entry = At(block);
  if (entry->hash != key.hash || entry->key_size != key.size) return false;
  if (key.size <= kBlockBytes - Layout::kKey)
    return key.size == 0 ||
           memcmp(reinterpret_cast<const unsigned char *>(entry) + Layout::kKey, key.bytes, key.size) == 0;
  Cursor cursor = {block, Layout::kKey};
  return ForEachPiece(&cursor, key.size, [&key](const unsigned char *bytes, uint32_t piece, uint64_t done) noexcept {
    return memcmp(bytes, static_cast<const unsigned char *>(key.bytes) + done, piece) == 0;
  });
}

inline uint32_t *EntryStore::FindLink(const Key &key) const noexcept {
  uint32_t *link = BucketOf(key.hash);
  while (*link != kNoBlock) {
    EntryHeader *entry = At(*link);
    // A hit will want the rest of the header, the key and the stamps: let them come while the hash does.
    __builtin_prefetch(reinterpret_cast<const unsigned char *>(entry) + 64);
    __builtin_prefetch(reinterpret_cast<const unsigned char *>(entry) + 128);
    if (KeyIs(*link, key)) break;
    link = &entry->next_entry;
  }
  return link;
}

EntryStore::Reference EntryStore::Find(const Key &key) const noexcept { return {*FindLink(key)}; }

EntryInfo EntryStore::Info(Reference entry) const noexcept {
  const EntryHeader &header = *At(entry.block);
  EntryInfo info;
  info.function = header.function;
  info.key_hash = header.hash;
  info.key_size = header.key_size;
  info.value_size = header.value_size;
  info.stamp_count = header.stamp_count;
  const uint64_t memory = Layout(header).memory();
  info.memory = memory > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(memory);
  info.stored_at = header.stored_at;
  info.expires_at = header.expires_at;
  info.cost_ns = header.cost_ns;
  info.uses = header.uses.load(std::memory_order_relaxed);
  info.dead = IsDead(entry.block);
  return info;
}

uint32_t EntryStore::ValueSize(Reference entry) const noexcept { return At(entry.block)->value_size; }
int64_t EntryStore::StoredAt(Reference entry) const noexcept { return At(entry.block)->stored_at; }
int64_t EntryStore::ExpiresAt(Reference entry) const noexcept { return At(entry.block)->expires_at; }
uint64_t EntryStore::CostNs(Reference entry) const noexcept { return At(entry.block)->cost_ns; }

StampCheck EntryStore::Check(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept {
  const EntryHeader &header = *At(entry.block);
  const Layout layout(header);
  if (layout.value > kBlockBytes) return CheckAcrossBlocks(entry.block, reader, transactions);
  Snapshot stored;
  stored.xmin = header.xmin;
  stored.xmax = header.xmax;
  stored.running = reinterpret_cast<const Xid *>(reinterpret_cast<const unsigned char *>(&header) + layout.running);
  stored.running_count = header.running_count;
  return CheckStamps(entry.block, stored, reader, transactions);
}

// Check for an entry whose stamps and running ids are not all in its first block. Its own function, so that the usual
// check does not pay for the room on the stack.
__attribute__((noinline)) StampCheck EntryStore::CheckAcrossBlocks(uint32_t block, const Snapshot &reader,
                                                                   const Transactions &transactions) const noexcept {
  const EntryHeader &header = *At(block);
  Xid running[kMaxRunning];
  Snapshot stored;
  stored.xmin = header.xmin;
  stored.xmax = header.xmax;
  stored.running = running;
  stored.running_count = header.running_count;
  if (header.running_count > 0) {
    Cursor cursor = Seek(block, Layout(header).running);
    Read(&cursor, running, uint64_t{header.running_count} * sizeof(Xid));
  }
  return CheckStamps(block, stored, reader, transactions);
}

inline StampCheck EntryStore::CheckStamps(uint32_t block, const Snapshot &stored, const Snapshot &reader,
                                          const Transactions &transactions) const noexcept {
  ListCheck check(stamps_, stored, reader, transactions);
  VisitStamps(block, [&check](const Stamp &stamp) noexcept { return check.Next(stamp); });
  return check.Answer();
}

Xid EntryStore::Culprit(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept {
  const EntryHeader &header = *At(entry.block);
  Xid running[kMaxRunning];
  Snapshot stored;
  stored.xmin = header.xmin;
  stored.xmax = header.xmax;
  stored.running = running;
  stored.running_count = header.running_count;
  if (header.running_count > 0) {
    Cursor cursor = Seek(entry.block, Layout(header).running);
    Read(&cursor, running, uint64_t{header.running_count} * sizeof(Xid));
  }
  ListCulprit culprit(stamps_, stored, reader, transactions);
  VisitStamps(entry.block, [&culprit](const Stamp &stamp) noexcept { return culprit.Next(stamp); });
  return culprit.Answer();
}

bool EntryStore::IsDead(uint32_t block) const noexcept {
  ListIsDead dead(stamps_);
  VisitStamps(block, [&dead](const Stamp &stamp) noexcept { return dead.Next(stamp); });
  return dead.Answer();
}

uint32_t EntryStore::StampCount(Reference entry) const noexcept { return At(entry.block)->stamp_count; }

void EntryStore::CopyStamps(Reference entry, Stamp *to) const noexcept {
  VisitStamps(entry.block, [&](const Stamp &stamp) noexcept {
    *to++ = stamp;
    return true;
  });
}

void EntryStore::CopyValue(Reference entry, void *to) const noexcept {
  const EntryHeader &header = *At(entry.block);
  const Layout layout(header);
  if (layout.end <= kBlockBytes) {
    if (header.value_size > 0)
      memcpy(to, reinterpret_cast<const unsigned char *>(&header) + layout.value, header.value_size);
    return;
  }
  Cursor cursor = Seek(entry.block, layout.value);
  Read(&cursor, to, header.value_size);
}

uint32_t EntryStore::CopyKey(Reference entry, void *to, uint32_t limit) const noexcept {
  const uint32_t key_size = At(entry.block)->key_size;
  const uint32_t size = key_size < limit ? key_size : limit;
  Cursor cursor = {entry.block, Layout::kKey};
  Read(&cursor, to, size);
  return size;
}

void EntryStore::CountUse(Reference entry) const noexcept {
  EntryHeader *header = At(entry.block);
  header->uses.store(header->uses.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const uint64_t clock = header_->clock.load(std::memory_order_relaxed);
  if (header->clock.load(std::memory_order_relaxed) != clock) header->clock.store(clock, std::memory_order_relaxed);
}

void EntryStore::ForEach(uint32_t partition, void (*visit)(void *context, Reference entry) noexcept,
                         void *context) const noexcept {
  const uint32_t *bucket = &buckets_[uint64_t{partition} * buckets_per_partition_];
  for (uint32_t i = 0; i < buckets_per_partition_; i++)
    for (uint32_t block = bucket[i]; block != kNoBlock; block = At(block)->next_entry) visit(context, {block});
}

// --- change ---

StoreCode EntryStore::Insert(const NewEntry &entry, Reservation *reserved) noexcept {
  const uint32_t first = reserved->first;
  if (first == kNoBlock) return StoreCode::kNoMemory;
  EntryHeader *header = At(first);
  if (header->hash != entry.key.hash || header->key_size != entry.key.size || header->value_size != entry.value_size ||
      header->stamp_count != entry.stamp_count || header->running_count != entry.snapshot.running_count) {
    Release(reserved);  // another entry's reservation
    return StoreCode::kNoMemory;
  }

  const uint32_t partition = PartitionOf(entry.key.hash);
  uint32_t *link = FindLink(entry.key);
  if (*link != kNoBlock) {
    const EntryHeader &old = *At(*link);
    if (old.xmax > entry.snapshot.xmax && !IsExpired(old.expires_at, entry.stored_at) && !IsDead(*link)) {
      Release(reserved);
      return StoreCode::kNewerKept;
    }
    Unlink(link, partition);
  }

  header->xmin = entry.snapshot.xmin;
  header->xmax = entry.snapshot.xmax;
  header->function = entry.function;
  header->stored_at = entry.stored_at;
  header->expires_at = entry.expires_at;
  header->cost_ns = entry.cost_ns;
  header->uses.store(0, std::memory_order_relaxed);
  header->clock.store(header_->clock.load(std::memory_order_relaxed), std::memory_order_relaxed);
  Cursor cursor = Seek(first, Layout(*header).stamps);
  for (uint32_t i = 0; i < entry.stamp_count; i++) {
    const PackedStamp packed = Pack(entry.stamps[i]);
    Write(&cursor, &packed, sizeof(packed));
  }

  if (WasEvicted(entry.key.hash)) EvictedPlace(entry.key.hash).store(0, std::memory_order_relaxed);
  uint32_t *bucket = BucketOf(entry.key.hash);
  header->next_entry = *bucket;
  *bucket = first;
  header_->partitions[partition].entries.fetch_add(1, std::memory_order_relaxed);
  *reserved = Reservation();
  return StoreCode::kOk;
}

std::atomic<uint64_t> &EntryStore::EvictedPlace(uint64_t hash) const noexcept {
  return header_->evicted[PartitionOf(hash)][hash % kEvictedPlaces];
}

bool EntryStore::WasEvicted(uint64_t hash) const noexcept {
  return EvictedPlace(hash).load(std::memory_order_relaxed) == hash;
}

// Takes the entry that *link names out of its bucket and frees its blocks.
void EntryStore::Unlink(uint32_t *link, uint32_t partition) noexcept {
  const uint32_t first = *link;
  const EntryHeader &entry = *At(first);
  *link = entry.next_entry;
  header_->partitions[partition].entries.fetch_sub(1, std::memory_order_relaxed);
  Push(first, entry.last_block, static_cast<uint32_t>(Layout(entry).blocks()));
}

bool EntryStore::Remove(const Key &key) noexcept {
  uint32_t *link = FindLink(key);
  if (*link == kNoBlock) return false;
  Unlink(link, PartitionOf(key.hash));
  return true;
}

uint32_t EntryStore::RemoveIf(uint32_t partition, bool (*matches)(void *context, const EntryInfo &entry) noexcept,
                              void *context) noexcept {
  uint32_t removed = 0;
  uint32_t *bucket = &buckets_[uint64_t{partition} * buckets_per_partition_];
  for (uint32_t i = 0; i < buckets_per_partition_; i++) {
    for (uint32_t *link = &bucket[i]; *link != kNoBlock;) {
      if (matches(context, Info({*link}))) {
        Unlink(link, partition);
        removed++;
      } else {
        link = &At(*link)->next_entry;
      }
    }
  }
  return removed;
}

StoreCode EntryStore::EvictOne(uint32_t partition, const NewEntry &candidate, uint32_t sample, int64_t now) noexcept {
  Header::Partition &state = header_->partitions[partition];
  const uint32_t entries = state.entries.load(std::memory_order_relaxed);
  if (entries == 0) return StoreCode::kNotFound;
  if (sample == 0) sample = 1;
  if (sample > entries) sample = entries;

  uint32_t *least = nullptr;
  double least_priority = 0;
  uint32_t *bucket = &buckets_[uint64_t{partition} * buckets_per_partition_];
  uint32_t hand = state.hand_bucket;
  uint32_t skip = state.hand_depth;
  // As many entries as are looked at are there, so this ends, at the latest in the second round.
  for (uint32_t seen = 0; seen < sample;) {
    uint32_t depth = 0;
    uint32_t *link = &bucket[hand];
    for (; *link != kNoBlock && seen < sample; link = &At(*link)->next_entry) {
      if (depth++ < skip) continue;
      seen++;
      const EntryHeader &entry = *At(*link);
      if (IsExpired(entry.expires_at, now) || IsDead(*link)) {
        // Priority zero: there is none less. The next entry moves into this one's place.
        state.hand_bucket = hand;
        state.hand_depth = depth - 1;
        Unlink(link, partition);
        return StoreCode::kOk;
      }
      // The use that stored it counts as one: else what was just computed would be worth nothing.
      const double priority =
          Priority(entry.clock.load(std::memory_order_relaxed), entry.uses.load(std::memory_order_relaxed) + 1,
                   entry.cost_ns, Layout(entry).memory());
      if (least == nullptr || priority < least_priority) {
        least = link;
        least_priority = priority;
      }
    }
    skip = 0;
    state.hand_depth = depth;
    state.hand_bucket = hand;
    if (*link == kNoBlock) {
      state.hand_depth = 0;
      hand = state.hand_bucket = (hand + 1) & (buckets_per_partition_ - 1);
    }
  }

  uint64_t clock = header_->clock.load(std::memory_order_relaxed);
  if (least_priority > Priority(clock, 1, candidate.cost_ns, Layout(candidate).memory())) return StoreCode::kRejected;
  const uint64_t hash = At(*least)->hash;
  EvictedPlace(hash).store(hash, std::memory_order_relaxed);
  Unlink(least, partition);
  const uint64_t raised = ToBits(least_priority);
  while (clock < raised &&
         !header_->clock.compare_exchange_weak(clock, raised, std::memory_order_relaxed, std::memory_order_relaxed)) {
  }
  return StoreCode::kOk;
}

StoreUsage EntryStore::Usage() const noexcept {
  StoreUsage usage;
  usage.memory = uint64_t{header_->block_count} * kBlockBytes;
  usage.memory_free = header_->free_blocks.load(std::memory_order_relaxed) * kBlockBytes;
  for (const auto &partition : header_->partitions) usage.entries += partition.entries.load(std::memory_order_relaxed);
  return usage;
}

}  // namespace aggcache
