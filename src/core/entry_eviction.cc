// Eviction: which entry goes when memory is needed, and what is remembered of those that went.
//
// It is GreedyDual-Size-Frequency (Cherkasova, 1998): priority = clock + uses * cost / size. The store's clock is the
// highest priority ever evicted, an entry's clock is the store's at its latest use, and the computation that stored it
// counts as a use. An entry that can no longer be hit has priority zero.
//
// Each partition has a hand that goes round its entries, so that a small sample at a time gives all of them their turn.

#include <cstring>

#include "core/entry_layout.h"
#include "core/entry_store.h"

namespace aggcache {

namespace {

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

}  // namespace

void EntryStore::CountUse(Reference entry) const noexcept {
  EntryHeader *header = At(entry.block);
  header->uses.store(header->uses.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const uint64_t clock = header_->clock.load(std::memory_order_relaxed);
  if (header->clock.load(std::memory_order_relaxed) != clock) header->clock.store(clock, std::memory_order_relaxed);
}

std::atomic<uint64_t> &EntryStore::EvictedPlace(uint64_t hash) const noexcept {
  return header_->evicted[PartitionOf(hash)][hash % kEvictedPlaces];
}

bool EntryStore::WasEvicted(uint64_t hash) const noexcept {
  return EvictedPlace(hash).load(std::memory_order_relaxed) == hash;
}

StoreCode EntryStore::EvictOne(uint32_t partition, const NewEntry &candidate, uint32_t sample, int64_t now) noexcept {
  StoreHeader::Partition &state = header_->partitions[partition];
  const uint32_t entries = state.entries.load(std::memory_order_relaxed);
  if (entries == 0) return StoreCode::kNotFound;
  if (sample == 0) sample = 1;
  if (sample > entries) sample = entries;

  uint32_t *least = nullptr;
  double least_priority = 0;
  uint32_t *bucket = BucketsOf(partition);
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
      if (entry.IsExpired(now) || IsDead(*link)) {
        // Priority zero: there is none less. The next entry moves into this one's place.
        state.hand_bucket = hand;
        state.hand_depth = depth - 1;
        Unlink(link, partition);
        return StoreCode::kOk;
      }
      // The use that stored it counts as one: else what was just computed would be worth nothing.
      const double priority =
          Priority(entry.clock.load(std::memory_order_relaxed), entry.uses.load(std::memory_order_relaxed) + 1,
                   entry.cost_ns, EntryLayout(entry).memory());
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
  if (least_priority > Priority(clock, 1, candidate.cost_ns, EntryLayout(candidate).memory()))
    return StoreCode::kRejected;
  const uint64_t hash = At(*least)->hash;
  EvictedPlace(hash).store(hash, std::memory_order_relaxed);
  Unlink(least, partition);
  const uint64_t raised = ToBits(least_priority);
  while (clock < raised &&
         !header_->clock.compare_exchange_weak(clock, raised, std::memory_order_relaxed, std::memory_order_relaxed)) {
  }
  return StoreCode::kOk;
}

}  // namespace aggcache
