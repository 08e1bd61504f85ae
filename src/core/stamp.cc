// StampTable: the stamp protocol (stamp_rules.h) over the array of slots.

#include "core/stamp.h"

#include "core/stamp_list.h"
#include "core/stamp_rules.h"

namespace aggcache {

using Protocol = StampProtocol<AllRules, kSlotWriters>;

void StampTable::Begin(Xid last) noexcept {
  Xid none = kNoXid;
  start_->compare_exchange_strong(none, last, std::memory_order_acq_rel, std::memory_order_acquire);
}

bool StampTable::Register(uint32_t slot, const Transactions &transactions) noexcept {
  return Protocol::Register(&slots_[slot], transactions);
}

bool StampTable::Expire(uint64_t tag) noexcept {
  return Protocol::Expire(&slots_[SlotOf(tag)]) && Protocol::Expire(&slots_[AlternativeSlotOf(tag)]);
}

#ifdef AGGCACHE_DEBUG
void StampTable::Seize(bool seize) noexcept {
  for (uint32_t i = 0; i < count_; i++)
    if ((slots_[i].sequence.load(std::memory_order_relaxed) & 1) != (seize ? 1 : 0))
      slots_[i].sequence.fetch_add(1, std::memory_order_acq_rel);
}
#endif

StampCheck StampTable::Settle(Stamp *stamp, const Snapshot &snapshot, const Transactions &transactions) noexcept {
  return Protocol::Settle(&slots_[stamp->slot], start_->load(std::memory_order_acquire), stamp, snapshot, transactions);
}

StampCheck StampTable::SettleAll(Stamp *stamps, uint32_t *count, const Snapshot &snapshot,
                                 const Transactions &transactions) noexcept {
  uint32_t kept = 0;
  for (uint32_t next = 0; next < *count;) {
    const uint32_t before = kept;
    StampCheck why = StampCheck::kValid;
    do {
      Stamp stamp = stamps[next];
      const StampCheck check = Settle(&stamp, snapshot, transactions);
      if (check == StampCheck::kValid) {
        stamp.alternative = kept > before;
        stamps[kept++] = stamp;
      } else if (why == StampCheck::kValid) {
        why = check;
      }
    } while (++next < *count && stamps[next].alternative);
    if (kept == before) return why;
  }
  *count = kept;
  return StampCheck::kValid;
}

StampCheck StampTable::CheckFully(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                                  const Transactions &transactions) const noexcept {
  return Protocol::Check(slots_[stamp.slot], start_->load(std::memory_order_acquire), stamp, stored, reader,
                         transactions);
}

bool StampTable::Look(uint32_t slot, SlotRecord *record) const noexcept {
  const Xid start = start_->load(std::memory_order_acquire);
  if (start == kNoXid || !Protocol::Look(slots_[slot], record)) return false;
  record->start = start;
  return true;
}

Xid StampTable::Culprit(const Stamp &stamp, const Snapshot &stored, const Snapshot &reader,
                        const Transactions &transactions) const noexcept {
  return Protocol::Culprit(slots_[stamp.slot], stamp, stored, reader, transactions);
}

StampCheck StampTable::CheckAll(const Stamp *stamps, uint32_t count, const Snapshot &stored, const Snapshot &reader,
                                const Transactions &transactions) const noexcept {
  ListCheck check(*this, stored, reader, transactions);
  for (uint32_t i = 0; i < count && check.Next(stamps[i]); i++) {
  }
  return check.Answer();
}

Xid StampTable::CulpritOf(const Stamp *stamps, uint32_t count, const Snapshot &stored, const Snapshot &reader,
                          const Transactions &transactions) const noexcept {
  ListCulprit culprit(*this, stored, reader, transactions);
  for (uint32_t i = 0; i < count && culprit.Next(stamps[i]); i++) {
  }
  return culprit.Answer();
}

StampCheck StampTable::ListConcurrent(uint32_t slot, const Snapshot &reader, const Transactions &transactions,
                                      Xid *writers, int *count) const noexcept {
  return Protocol::ListConcurrent(slots_[slot], start_->load(std::memory_order_acquire), reader, transactions, writers,
                                  count);
}

}  // namespace aggcache
