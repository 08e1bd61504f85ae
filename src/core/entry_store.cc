// The entries: construction, lookup and insertion. See entry_store.h for the contract and the locks, entry_layout.h for
// the memory.

#include "core/entry_store.h"

#include <cassert>
#include <cstring>
#include <new>

#include "core/entry_layout.h"
#include "core/packed_stamp.h"

namespace aggcache {

// --- construction ---

void EntryStore::Format(void *memory, size_t bytes) noexcept {
  static_assert(uint64_t{kPartitions - 1} == ~uint64_t{0} >> 57, "a partition is 7 bits of the hash");
  assert(bytes >= kMinimumBytes);
  assert(reinterpret_cast<uintptr_t>(memory) % 64 == 0);

  // Between one bucket a block and one every two: entries are at least one block, so chains stay short in a full store.
  const uint64_t room = bytes - sizeof(StoreHeader);
  const uint64_t guess = room / (kBlockBytes + 2 * sizeof(uint32_t));
  uint64_t per_partition = 1;
  while (per_partition * kPartitions < guess / 2 && per_partition < uint64_t{1} << 24) per_partition *= 2;

  // A key that is gone for every two to four blocks.
  uint64_t sets = 1;
  while (sets * 2 * kGoneWays < guess / 2 && sets < uint64_t{1} << 24) sets *= 2;
  const uint64_t gone_bytes = sets * kGoneWays * sizeof(uint64_t);

  const uint64_t bucket_bytes = AlignUp(per_partition * kPartitions * sizeof(uint32_t), 64);
  uint64_t count = (room - gone_bytes - bucket_bytes - 64) / (kBlockBytes + sizeof(uint32_t));
  if (count > kNoBlock) count = kNoBlock;  // an index is 32 bits, and kNoBlock is none

  auto *header = new (memory) StoreHeader;
  header->gone_offset = sizeof(StoreHeader);
  header->gone_sets = static_cast<uint32_t>(sets);
  header->buckets_offset = header->gone_offset + gone_bytes;
  header->next_offset = header->buckets_offset + bucket_bytes;
  header->blocks_offset = AlignUp(header->next_offset + count * sizeof(uint32_t), 64);
  header->buckets_per_partition = static_cast<uint32_t>(per_partition);
  header->block_count = static_cast<uint32_t>(count);
  assert(header->blocks_offset + count * kBlockBytes <= bytes);

  auto *base = static_cast<unsigned char *>(memory);
  auto *gone = reinterpret_cast<std::atomic<uint64_t> *>(base + header->gone_offset);
  for (uint64_t i = 0; i < sets * kGoneWays; i++) new (&gone[i]) std::atomic<uint64_t>(0);
  memset(base + header->buckets_offset, 0xff, bucket_bytes);  // kNoBlock
  header->clock.store(0, std::memory_order_relaxed);
  header->turned_over.store(0, std::memory_order_relaxed);
  for (auto &partition : header->partitions) {
    partition.entries.store(0, std::memory_order_relaxed);
    partition.hand_bucket = partition.hand_depth = 0;
  }
  for (auto &places : header->evicted)
    for (auto &place : places) place.store(0, std::memory_order_relaxed);
  for (auto &held : header->held) held.store(0, std::memory_order_relaxed);
  BlockPool::Format(&header->pool, reinterpret_cast<BlockPool::Link *>(base + header->next_offset),
                    header->block_count);
}

EntryStore::EntryStore(void *memory, StampTable stamps) noexcept
    : header_(static_cast<StoreHeader *>(memory)), stamps_(stamps) {
  auto *base = static_cast<unsigned char *>(memory);
  buckets_ = reinterpret_cast<uint32_t *>(base + header_->buckets_offset);
  buckets_per_partition_ = header_->buckets_per_partition;
  gone_ = reinterpret_cast<std::atomic<uint64_t> *>(base + header_->gone_offset);
  pool_ = BlockPool(&header_->pool, reinterpret_cast<BlockPool::Link *>(base + header_->next_offset),
                    base + header_->blocks_offset, header_->block_count);
}

uint64_t EntryStore::MemoryFor(uint32_t key_size, uint32_t value_size, uint32_t stamp_count,
                               uint32_t running_count) noexcept {
  return EntryLayout(key_size, value_size, stamp_count, running_count).memory();
}

// --- reservations ---

StoreCode EntryStore::Reserve(const NewEntry &entry, Reservation *reserved) noexcept {
  const EntryLayout layout(entry);
  if (layout.blocks() > pool_.count() || entry.snapshot.running_count > kMaxRunning) return StoreCode::kTooLarge;
  BlockPool::Chain chain;
  if (!pool_.Take(static_cast<uint32_t>(layout.blocks()), &chain)) return StoreCode::kNoMemory;

  auto *header = new (pool_.At(chain.first)) EntryHeader;
  header->hash = entry.key.hash;
  header->next_entry = kNoBlock;
  header->key_size = entry.key.size;
  header->value_size = entry.value_size;
  header->stamp_count = entry.stamp_count;
  header->running_count = static_cast<uint16_t>(entry.snapshot.running_count);
  header->last_block = chain.last;
  BlockPool::Cursor cursor = {chain.first, EntryLayout::kKey};
  pool_.Write(&cursor, entry.key.bytes, entry.key.size);
  // Goes on from the key, as seeking from the start would walk a large key's blocks again.
  cursor = pool_.Seek(cursor.block, cursor.offset + (layout.running - (EntryLayout::kKey + entry.key.size)));
  pool_.Write(&cursor, entry.snapshot.running, uint64_t{entry.snapshot.running_count} * sizeof(Xid));
  pool_.Write(&cursor, entry.value, entry.value_size);

  reserved->first = chain.first;
  reserved->count = chain.count;
  return StoreCode::kOk;
}

void EntryStore::Release(Reservation *reserved) noexcept {
  if (reserved->first != kNoBlock) pool_.Give({reserved->first, At(reserved->first)->last_block, reserved->count});
  *reserved = Reservation();
}

// --- lookup ---

inline bool EntryStore::KeyIs(uint32_t block, const Key &key) const noexcept {
  const EntryHeader *entry = At(block);
  if (entry->hash != key.hash || entry->key_size != key.size) return false;
  if (key.size <= kBlockBytes - EntryLayout::kKey)
    return key.size == 0 || memcmp(PartAt(*entry, EntryLayout::kKey), key.bytes, key.size) == 0;
  BlockPool::Cursor cursor = {block, EntryLayout::kKey};
  return pool_.Equals(&cursor, key.bytes, key.size);
}

inline uint32_t *EntryStore::FindLink(const Key &key) const noexcept {
  uint32_t *link = BucketOf(key.hash);
  while (*link != kNoBlock) {
    EntryHeader *entry = At(*link);
    // A hit will want the rest of the header, the key and the stamps: let them come while the hash does.
    __builtin_prefetch(PartAt(*entry, 64));
    __builtin_prefetch(PartAt(*entry, 128));
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
  const uint64_t memory = EntryLayout(header).memory();
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

void EntryStore::CopyValue(Reference entry, void *to) const noexcept {
  const EntryHeader &header = *At(entry.block);
  const EntryLayout layout(header);
  if (layout.end <= kBlockBytes) {
    if (header.value_size > 0) memcpy(to, PartAt(header, layout.value), header.value_size);
    return;
  }
  BlockPool::Cursor cursor = pool_.Seek(entry.block, layout.value);
  pool_.Read(&cursor, to, header.value_size);
}

uint32_t EntryStore::CopyKey(Reference entry, void *to, uint32_t limit) const noexcept {
  const uint32_t key_size = At(entry.block)->key_size;
  const uint32_t size = key_size < limit ? key_size : limit;
  BlockPool::Cursor cursor = {entry.block, EntryLayout::kKey};
  pool_.Read(&cursor, to, size);
  return size;
}

void EntryStore::ForEach(uint32_t partition, void (*visit)(void *context, Reference entry) noexcept,
                         void *context) const noexcept {
  const uint32_t *bucket = BucketsOf(partition);
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
    if (old.xmax > entry.snapshot.xmax && !old.IsExpired(entry.stored_at) && !IsDead(*link)) {
      Release(reserved);
      return StoreCode::kNewerKept;
    }
    Unlink(link, partition);
  }

  header->xmin = entry.snapshot.xmin;
  header->xmax = entry.snapshot.xmax;
  header->function = entry.function;
  header->role = entry.role;
  header->stored_at = entry.stored_at;
  header->expires_at = entry.expires_at;
  header->cost_ns = entry.cost_ns;
  header->uses.store(0, std::memory_order_relaxed);
  header->clock.store(header_->clock.load(std::memory_order_relaxed), std::memory_order_relaxed);
  header->weight = TakeCredit(entry);
  header->weighed_uses = 0;
  header->turnover = Turnover();
  BlockPool::Cursor cursor = pool_.Seek(first, EntryLayout(*header).stamps);
  for (uint32_t i = 0; i < entry.stamp_count; i++) {
    const PackedStamp packed = Pack(entry.stamps[i]);
    pool_.Write(&cursor, &packed, sizeof(packed));
  }

  if (WasEvicted(entry.key.hash)) EvictedPlace(entry.key.hash).store(0, std::memory_order_relaxed);
  uint32_t *bucket = BucketOf(entry.key.hash);
  header->next_entry = *bucket;
  *bucket = first;
  const auto blocks = static_cast<uint32_t>(EntryLayout(*header).blocks());
  Held(header->function).fetch_add(blocks, std::memory_order_relaxed);
  Held(header->role).fetch_add(blocks, std::memory_order_relaxed);
  header_->partitions[partition].entries.fetch_add(1, std::memory_order_relaxed);
  *reserved = Reservation();
  return StoreCode::kOk;
}

void EntryStore::Unlink(uint32_t *link, uint32_t partition) noexcept {
  const uint32_t first = *link;
  const EntryHeader &entry = *At(first);
  *link = entry.next_entry;
  header_->partitions[partition].entries.fetch_sub(1, std::memory_order_relaxed);
  const auto blocks = static_cast<uint32_t>(EntryLayout(entry).blocks());
  Held(entry.function).fetch_sub(blocks, std::memory_order_relaxed);
  Held(entry.role).fetch_sub(blocks, std::memory_order_relaxed);
  pool_.Give({first, entry.last_block, blocks});
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
  uint32_t *bucket = BucketsOf(partition);
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

StoreUsage EntryStore::Usage() const noexcept {
  StoreUsage usage;
  usage.memory = uint64_t{pool_.count()} * kBlockBytes;
  usage.memory_free = pool_.FreeBlocks() * kBlockBytes;
  for (const auto &partition : header_->partitions) usage.entries += partition.entries.load(std::memory_order_relaxed);
  return usage;
}

}  // namespace aggcache
