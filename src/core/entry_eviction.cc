// Eviction: which entry goes when memory is needed, and what is remembered of those that went.
//
// It is GreedyDual-Size-Frequency (Cherkasova, 1998): priority = clock + uses * cost / size. The store's clock is the
// highest priority ever evicted, an entry's clock is the store's at its latest use, and the computation that stored it
// counts as a use. An entry that can no longer be hit has priority zero.
//
// That alone lets those who came first keep others out for ever, as what they once used much is never worth less, and
// what is rejected leaves no trace. So there is more:
//
// Aging. Uses count half after each turnover, which is when as much memory as the store has was evicted or asked for in
// vain. What is used at least once a turnover keeps its worth, what nobody uses any more loses it.
//
// Inflation. A rejection raises the clock as storing the result would have, by its worth spread over the whole store.
//
// Credit. A key that is rejected, or evicted, is remembered for a while, and each time it is asked for again its result
// is worth twice as much, so that whoever keeps asking gets in, whatever others are worth: after as many times as the
// doublings that takes. Who asks once, as a scan of many results does, gets none of it. Credit is for a small part of
// the store: a result of more than 1/kCreditShare of it needs as many more times for a doubling. It is kept as uses, so
// that the result is not the next to go, and it does not raise the clock, so that nobody gets in in its wake.
//
// Handicap. What a function, and a role, holds in a small part of the store, 1/kSmallShare of it, counts more as far as
// it is used: so the credit lasts where others fight for the room. What has only been computed has none of it.
//
// Each partition has a hand that goes round its entries, so that a small sample at a time gives all of them their turn.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/entry_layout.h"
#include "core/entry_store.h"
#include "core/tag.h"

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

// What an entry is worth: nanoseconds saved per byte, on top of when it was last used. The computation that stored it
// is a use too: else what was just computed would be worth nothing.
double Priority(uint64_t clock, double uses, uint64_t cost_ns, uint64_t memory) noexcept {
  return FromBits(clock) + (1 + uses) * static_cast<double>(cost_ns) / static_cast<double>(memory);
}

// A clock that others raise at the same time may lose this.
void Raise(std::atomic<uint64_t> *clock, uint64_t seen, double to) noexcept {
  if (FromBits(seen) < to)
    clock->compare_exchange_strong(seen, ToBits(to), std::memory_order_relaxed, std::memory_order_relaxed);
}

constexpr uint64_t kCreditShare = 256;
constexpr uint32_t kSmallShare = 32;
constexpr double kHandicap = 64;

// A key that was rejected or evicted: its hash, whose lowest byte makes place for how often it was asked for. 0: none.
constexpr uint64_t kTimes = 0xff;
bool IsOf(uint64_t gone, uint64_t hash) noexcept { return gone != 0 && ((gone ^ hash) & ~kTimes) == 0; }

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

uint16_t EntryStore::Turnover() const noexcept {
  return static_cast<uint16_t>(header_->turned_over.load(std::memory_order_relaxed) / header_->block_count);
}

uint32_t EntryStore::Weigh(EntryHeader *entry) const noexcept {
  const uint16_t turnover = Turnover();
  const auto age = static_cast<uint16_t>(turnover - entry->turnover);
  const auto uses = static_cast<uint32_t>(entry->uses.load(std::memory_order_relaxed));
  const uint64_t weight = (age < 32 ? entry->weight >> age : 0) + uint64_t{uses - entry->weighed_uses};
  entry->weight = static_cast<uint32_t>(std::min<uint64_t>(weight, UINT32_MAX));
  entry->weighed_uses = uses;
  entry->turnover = turnover;
  return entry->weight;
}

std::atomic<uint32_t> &EntryStore::Held(uint64_t holder) const noexcept {
  return header_->held[Mix(holder) & (kHolders - 1)];
}

double EntryStore::Handicap(uint64_t function, uint64_t role) const noexcept {
  const uint32_t small = header_->block_count / kSmallShare;
  return (Held(function).load(std::memory_order_relaxed) <= small ? kHandicap : 1) *
         (Held(role).load(std::memory_order_relaxed) <= small ? kHandicap : 1);
}

std::atomic<uint64_t> *EntryStore::GoneSet(uint64_t hash) const noexcept {
  return &gone_[((hash >> 8) & (header_->gone_sets - 1)) * kGoneWays];
}

uint64_t EntryStore::TimesForOne(uint64_t blocks) const noexcept {
  return 1 + (blocks - 1) * kCreditShare / header_->block_count;
}

int EntryStore::Doublings(const NewEntry &candidate) const noexcept {
  const std::atomic<uint64_t> *set = GoneSet(candidate.key.hash);
  for (uint32_t i = 0; i < kGoneWays; i++) {
    const uint64_t gone = set[i].load(std::memory_order_relaxed);
    if (IsOf(gone, candidate.key.hash))
      return static_cast<int>((gone & kTimes) / TimesForOne(EntryLayout(candidate).blocks()));
  }
  return 0;
}

// The latest comes first in its set, the others move behind it, up to where it was. Sessions that do so at once may
// lose one of them.
void EntryStore::Remember(uint64_t hash, uint64_t times) noexcept {
  std::atomic<uint64_t> *set = GoneSet(hash);
  uint64_t before = (hash & ~kTimes) | std::min(times, kTimes);
  for (uint32_t i = 0; i < kGoneWays; i++) {
    const uint64_t gone = set[i].load(std::memory_order_relaxed);
    set[i].store(before, std::memory_order_relaxed);
    if (IsOf(gone, hash)) {
      set[0].store((hash & ~kTimes) | std::min((gone & kTimes) + times, kTimes), std::memory_order_relaxed);
      return;
    }
    if (gone == 0) return;
    before = gone;
  }
}

uint32_t EntryStore::TakeCredit(const NewEntry &entry) noexcept {
  const int doublings = Doublings(entry);
  std::atomic<uint64_t> *set = GoneSet(entry.key.hash);
  for (uint32_t i = 0; i < kGoneWays; i++)
    if (IsOf(set[i].load(std::memory_order_relaxed), entry.key.hash)) set[i].store(0, std::memory_order_relaxed);
  return doublings < 32 ? (uint32_t{1} << doublings) - 1 : UINT32_MAX;
}

void EntryStore::NoteRejected(const NewEntry &candidate) noexcept {
  const uint64_t hash = candidate.key.hash;
  const uint64_t clock = header_->clock.load(std::memory_order_relaxed);
  Raise(&header_->clock, clock, Priority(clock, 0, candidate.cost_ns, uint64_t{header_->block_count} * kBlockBytes));
  header_->turned_over.fetch_add(EntryLayout(candidate).blocks(), std::memory_order_relaxed);

  Remember(hash, 1);
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
      EntryHeader &entry = *At(*link);
      if (entry.IsExpired(now) || IsDead(*link)) {
        // Priority zero: there is none less. The next entry moves into this one's place.
        state.hand_bucket = hand;
        state.hand_depth = depth - 1;
        Unlink(link, partition);
        return StoreCode::kOk;
      }
      const double priority =
          Priority(entry.clock.load(std::memory_order_relaxed), Weigh(&entry) * Handicap(entry.function, entry.role),
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

  const uint64_t clock = header_->clock.load(std::memory_order_relaxed);
  const uint64_t memory = EntryLayout(candidate).memory();
  const double worth = Priority(clock, 0, candidate.cost_ns, memory);
  const double credit = (std::ldexp(1.0, Doublings(candidate)) - 1) * Handicap(candidate.function, candidate.role);
  if (least_priority > worth && least_priority > Priority(clock, credit, candidate.cost_ns, memory))
    return StoreCode::kRejected;
  const uint64_t hash = At(*least)->hash;
  EvictedPlace(hash).store(hash, std::memory_order_relaxed);
  const uint64_t blocks = EntryLayout(*At(*least)).blocks();
  header_->turned_over.fetch_add(blocks, std::memory_order_relaxed);
  // Asked for again, it has what it had, and one doubling more.
  Remember(hash, static_cast<uint64_t>(std::ilogb(1.0 + At(*least)->weight) + 1) * TimesForOne(blocks));
  Unlink(least, partition);
  Raise(&header_->clock, clock, std::min(least_priority, worth));
  return StoreCode::kOk;
}

}  // namespace aggcache
