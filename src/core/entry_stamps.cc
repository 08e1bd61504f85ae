// The stamps of an entry: the hit rule over them (stamp_list.h), wherever in the entry's blocks they lie.

#include <cstring>

#include "core/entry_layout.h"
#include "core/entry_store.h"
#include "core/packed_stamp.h"
#include "core/stamp_list.h"

namespace aggcache {

// Calls visit(stamp) for each stamp of the entry, while it returns true. Always inline: what a visitor counts then
// stays in registers, which a hit feels.
template <typename Visit>
__attribute__((always_inline)) inline void EntryStore::VisitStamps(uint32_t block, Visit visit) const noexcept {
  const EntryHeader *entry = At(block);
  const EntryLayout layout(*entry);
  PackedStamp packed;
  if (layout.running <= kBlockBytes) {
    const unsigned char *at = PartAt(*entry, layout.stamps);
    for (uint32_t i = 0; i < entry->stamp_count; i++, at += sizeof(packed)) {
      memcpy(&packed, at, sizeof(packed));
      if (!visit(Unpack(packed))) return;
    }
    return;
  }
  BlockPool::Cursor cursor = pool_.Seek(block, layout.stamps);
  for (uint32_t i = 0; i < entry->stamp_count; i++) {
    pool_.Read(&cursor, &packed, sizeof(packed));
    if (!visit(Unpack(packed))) return;
  }
}

StampCheck EntryStore::Check(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept {
  const EntryHeader &header = *At(entry.block);
  const EntryLayout layout(header);
  if (layout.value > kBlockBytes) return CheckAcrossBlocks(entry.block, reader, transactions);
  Snapshot stored;
  stored.xmin = header.xmin;
  stored.xmax = header.xmax;
  stored.running = reinterpret_cast<const Xid *>(PartAt(header, layout.running));
  stored.running_count = header.running_count;
  return CheckStamps(entry.block, stored, reader, transactions);
}

// The snapshot of an entry whose running ids may lie in any of its blocks, with a copy of them.
inline Snapshot EntryStore::CopySnapshot(uint32_t block, Xid running[kMaxRunning]) const noexcept {
  const EntryHeader &header = *At(block);
  Snapshot stored;
  stored.xmin = header.xmin;
  stored.xmax = header.xmax;
  stored.running = running;
  stored.running_count = header.running_count;
  if (header.running_count > 0) {
    BlockPool::Cursor cursor = pool_.Seek(block, EntryLayout(header).running);
    pool_.Read(&cursor, running, uint64_t{header.running_count} * sizeof(Xid));
  }
  return stored;
}

// Check for an entry whose stamps and running ids are not all in its first block. Its own function, so that the usual
// check does not pay for the room on the stack.
__attribute__((noinline)) StampCheck EntryStore::CheckAcrossBlocks(uint32_t block, const Snapshot &reader,
                                                                   const Transactions &transactions) const noexcept {
  Xid running[kMaxRunning];
  const Snapshot stored = CopySnapshot(block, running);
  return CheckStamps(block, stored, reader, transactions);
}

inline StampCheck EntryStore::CheckStamps(uint32_t block, const Snapshot &stored, const Snapshot &reader,
                                          const Transactions &transactions) const noexcept {
  ListCheck check(stamps_, stored, reader, transactions);
  VisitStamps(block, [&check](const Stamp &stamp) noexcept { return check.Next(stamp); });
  return check.Answer();
}

Xid EntryStore::Culprit(Reference entry, const Snapshot &reader, const Transactions &transactions) const noexcept {
  Xid running[kMaxRunning];
  const Snapshot stored = CopySnapshot(entry.block, running);
  ListCulprit culprit(stamps_, stored, reader, transactions);
  VisitStamps(entry.block, [&culprit](const Stamp &stamp) noexcept { return culprit.Next(stamp); });
  return culprit.Answer();
}

bool EntryStore::IsEarlier(Reference entry, const Snapshot &reader, const OwnCommits &own,
                           const Transactions &transactions) const noexcept {
  Xid running[kMaxRunning];
  const Snapshot stored = CopySnapshot(entry.block, running);
  return IsNotNewer(stored, reader) && own.AreSeenBy(stored, transactions);
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

}  // namespace aggcache
