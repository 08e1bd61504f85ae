// LedgerTable: the ledgers by their keys, and the rules (ledger_rules.h) as the library has them.

#include "core/ledger.h"

#include <cassert>
#include <cstring>
#include <new>

#include "core/ledger_layout.h"
#include "core/ledger_rules.h"

namespace aggcache {

namespace {

//      0         8         12      64
//     | ledgers | buckets |       | buckets: 4 bytes each |
struct TableHeader {
  std::atomic<uint64_t> ledgers;
  uint32_t buckets;
};
static_assert(LedgerTable::Bucket::is_always_lock_free, "atomics are shared between processes");

using Rules = LedgerRules<AllLedgerRules, kLedgerDeltas>;

LedgerHeader *At(const BlockPool &pool, uint32_t block) { return reinterpret_cast<LedgerHeader *>(pool.At(block)); }

LedgerInfo InfoOf(const BlockPool &pool, const LedgerHeader &ledger) {
  LedgerInfo info;
  info.has_base = ledger.has_base != 0;
  info.base_xmax = info.has_base ? ledger.xmax : kNoXid;
  info.deltas = ledger.delta_count;
  info.sum_size = ledger.sum_size;
  info.floor = ledger.floor;
  info.about = ledger.about_size > 0 ? pool.At(ledger.about.first) : nullptr;
  info.about_size = ledger.about_size;
  info.blocks = 1 + ledger.proof.count + ledger.sum.count + ledger.about.count;
  for (uint32_t block = ledger.first_delta; block != kNoBlock; block = DeltaAt(pool, block)->next_delta)
    info.blocks += DeltaAt(pool, block)->chain.count;
  return info;
}

}  // namespace

// --- the table ---

void LedgerTable::Format(void *memory, uint32_t buckets) noexcept {
  static_assert(sizeof(TableHeader) <= kHeaderBytes, "as drawn above");
  assert(buckets >= kLedgerPartitions && (buckets & (buckets - 1)) == 0);
  assert(reinterpret_cast<uintptr_t>(memory) % 64 == 0);
  auto *header = new (memory) TableHeader;
  header->ledgers.store(0, std::memory_order_relaxed);
  header->buckets = buckets;
  auto *bucket = reinterpret_cast<Bucket *>(static_cast<unsigned char *>(memory) + kHeaderBytes);
  for (uint32_t i = 0; i < buckets; i++) new (&bucket[i]) Bucket(kNoBlock);
}

LedgerTable::LedgerTable(void *memory, BlockPool pool, StampTable stamps) noexcept : pool_(pool), stamps_(stamps) {
  auto *header = static_cast<TableHeader *>(memory);
  ledgers_ = &header->ledgers;
  buckets_ = reinterpret_cast<Bucket *>(static_cast<unsigned char *>(memory) + kHeaderBytes);
  bucket_count_ = header->buckets;
}

uint64_t LedgerTable::ledgers() const noexcept { return ledgers_->load(std::memory_order_relaxed); }

uint32_t LedgerTable::Find(const LedgerKey &key) const noexcept {
  uint32_t block = buckets_[BucketIndex(key.tag)].load(std::memory_order_relaxed);
  while (block != kNoBlock) {
    const LedgerHeader &ledger = *At(pool_, block);
    if (ledger.key.tag == key.tag && ledger.key.program == key.program) break;
    block = ledger.next_ledger;
  }
  return block;
}

bool LedgerTable::IsAbout(const LedgerKey &key, const void *about, uint32_t size) const noexcept {
  const uint32_t block = Find(key);
  if (block == kNoBlock) return false;
  const LedgerHeader &ledger = *At(pool_, block);
  return ledger.about_size == size && (size == 0 || memcmp(pool_.At(ledger.about.first), about, size) == 0);
}

uint32_t LedgerTable::ListOf(uint64_t tag, LedgerAbout *list, uint32_t limit) const noexcept {
  static_assert(kMaxAbout <= kBlockBytes, "it lies in one block");
  uint32_t count = 0;
  uint32_t block = buckets_[BucketIndex(tag)].load(std::memory_order_relaxed);
  for (; block != kNoBlock; block = At(pool_, block)->next_ledger) {
    const LedgerHeader &ledger = *At(pool_, block);
    if (ledger.key.tag != tag) continue;
    if (count < limit) {
      LedgerAbout &about = list[count];
      about.key = ledger.key;
      about.size = ledger.about_size;
      if (about.size > 0) memcpy(about.bytes, pool_.At(ledger.about.first), about.size);
    }
    count++;
  }
  return count;
}

void LedgerTable::Unlink(uint32_t bucket, uint32_t before, uint32_t block) noexcept {
  const LedgerHeader &ledger = *At(pool_, block);
  if (before == kNoBlock)
    buckets_[bucket].store(ledger.next_ledger, std::memory_order_release);
  else
    At(pool_, before)->next_ledger = ledger.next_ledger;
  for (uint32_t delta = ledger.first_delta; delta != kNoBlock;) {
    const BlockPool::Chain chain = DeltaAt(pool_, delta)->chain;
    delta = DeltaAt(pool_, delta)->next_delta;
    pool_.Give(chain);
  }
  if (ledger.proof.count > 0) pool_.Give(ledger.proof);
  if (ledger.sum.count > 0) pool_.Give(ledger.sum);
  if (ledger.about.count > 0) pool_.Give(ledger.about);
  pool_.Give({block, block, 1});
  ledgers_->fetch_sub(1, std::memory_order_relaxed);
}

template <class Matches>
uint32_t LedgerTable::UnlinkIf(uint32_t bucket, Matches matches) noexcept {
  uint32_t count = 0;
  uint32_t before = kNoBlock;
  for (uint32_t block = buckets_[bucket].load(std::memory_order_relaxed); block != kNoBlock;) {
    const LedgerHeader &ledger = *At(pool_, block);
    const uint32_t next = ledger.next_ledger;
    if (matches(ledger)) {
      Unlink(bucket, before, block);
      count++;
    } else {
      before = block;
    }
    block = next;
  }
  return count;
}

// --- opening and giving up ---

LedgerCode LedgerTable::Open(const LedgerKey &key, const void *about, uint32_t about_size) noexcept {
  LedgerCode code = Announce(key, about, about_size);
  if (code != LedgerCode::kOk) return code;
  code = Remember(key);
  if (code != LedgerCode::kOk) GiveUp(key);
  return code;
}

LedgerCode LedgerTable::Announce(const LedgerKey &key, const void *about, uint32_t about_size) noexcept {
  if (Has(key)) return LedgerCode::kExists;
  if (about_size > kMaxAbout) return LedgerCode::kTooLarge;
  BlockPool::Chain chain, about_chain;
  if (!pool_.Take(1, &chain)) return LedgerCode::kNoMemory;
  if (!TakeFor(&pool_, about_size, &about_chain)) {
    pool_.Give(chain);
    return LedgerCode::kNoMemory;
  }
  Bucket &bucket = buckets_[BucketIndex(key.tag)];
  auto *ledger = new (pool_.At(chain.first)) LedgerHeader();
  ledger->key = key;
  ledger->next_ledger = bucket.load(std::memory_order_relaxed);
  ledger->first_delta = ledger->last_delta = kNoBlock;
  for (OpenedSlot &opened : ledger->opened) opened.overflow = kNever;
  ledger->used.store(1, std::memory_order_relaxed);
  ledger->about = about_chain;
  ledger->about_size = about_size;
  if (about_size > 0) memcpy(pool_.At(about_chain.first), about, about_size);
  bucket.store(chain.first, std::memory_order_release);
  ledgers_->fetch_add(1, std::memory_order_relaxed);
  FullFence();
  return LedgerCode::kOk;
}

LedgerCode LedgerTable::Remember(const LedgerKey &key) noexcept { return Rules::Remember(this, key); }

bool LedgerTable::GiveUp(const LedgerKey &key) noexcept {
  return UnlinkIf(BucketIndex(key.tag), [&key](const LedgerHeader &ledger) noexcept {
           return ledger.key.tag == key.tag && ledger.key.program == key.program;
         }) > 0;
}

uint32_t LedgerTable::GiveUpAll(uint64_t tag) noexcept {
  return UnlinkIf(BucketIndex(tag), [tag](const LedgerHeader &ledger) noexcept { return ledger.key.tag == tag; });
}

uint32_t LedgerTable::GiveUpIf(uint32_t partition,
                               bool (*matches)(void *context, const LedgerKey &, const LedgerInfo &) noexcept,
                               void *context) noexcept {
  uint32_t count = 0;
  for (uint32_t bucket = partition; bucket < bucket_count_; bucket += kLedgerPartitions)
    count += UnlinkIf(bucket, [&](const LedgerHeader &ledger) noexcept {
      return matches(context, ledger.key, InfoOf(pool_, ledger));
    });
  return count;
}

uint32_t LedgerTable::Sweep(uint32_t partition) noexcept {
  uint32_t count = 0;
  for (uint32_t bucket = partition; bucket < bucket_count_; bucket += kLedgerPartitions)
    count += UnlinkIf(bucket, [](const LedgerHeader &ledger) noexcept {
      return ledger.used.exchange(0, std::memory_order_relaxed) == 0;
    });
  return count;
}

// --- the rest ---

LedgerCode LedgerTable::Publish(const LedgerKey &key, Xid xid, const void *contribution, uint32_t size,
                                const Transactions &transactions, const Adding &adding) noexcept {
  const LedgerCode code = Rules::Publish(this, key, xid, contribution, size, transactions, adding);
  if (code != LedgerCode::kOk && code != LedgerCode::kNone) GiveUp(key);
  return code;
}

LedgerCode LedgerTable::SetBase(const LedgerKey &key, const LedgerBase &base,
                                const Transactions &transactions) noexcept {
  return Rules::SetBase(this, key, base, transactions);
}

LedgerCode LedgerTable::Read(const LedgerKey &key, const Snapshot &reader, const Transactions &transactions,
                             const Adding &adding, Answer *answer) const noexcept {
  return Rules::Read(*this, key, reader, transactions, adding, answer);
}

bool LedgerTable::Info(const LedgerKey &key, LedgerInfo *info) const noexcept {
  const uint32_t block = Find(key);
  if (block == kNoBlock) return false;
  *info = InfoOf(pool_, *At(pool_, block));
  return true;
}

}  // namespace aggcache
