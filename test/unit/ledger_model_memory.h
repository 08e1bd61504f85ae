// The memory in which the ledgers' model checker runs the code under check, made from a state and read back into one.

#ifndef AGGCACHE_TEST_LEDGER_MODEL_MEMORY_H
#define AGGCACHE_TEST_LEDGER_MODEL_MEMORY_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "core/ledger_layout.h"
#include "core/ledger_rules.h"
#include "ledger_model_state.h"

namespace aggcache {
namespace model {

using Shipped = LedgerRules<AllLedgerRules, kLedgerDeltas>;

constexpr uint32_t kSlotCount = 4;
constexpr uint32_t kOtherSlot = 2;
constexpr LedgerKey kKey = {uint64_t{1} << 32, 7};  // slots 0 and 1
constexpr uint32_t kBlocks = 12;

inline bool AddParts(void *, unsigned char *sum, uint32_t *size, uint32_t room, const unsigned char *contribution,
                     uint32_t contribution_size) noexcept {
  if (room < kParts || contribution_size != kParts) return false;
  if (*size == 0) memset(sum, 0, kParts);
  *size = kParts;
  for (int i = 0; i < kParts; i++) sum[i] = static_cast<unsigned char>(std::min(sum[i] + contribution[i], 3));
  return true;
}

// A snapshot in the core's form.
struct CoreSnapshot {
  explicit CoreSnapshot(const ModelSnapshot &model) {
    for (Xid xid = kBefore + 1; xid <= kBefore + kWriters; xid++)
      if (model.running & Bit(xid)) running[snapshot.running_count++] = xid;
    snapshot.xmin = model.xmin;
    snapshot.xmax = model.xmax;
    snapshot.running = running;
  }
  CoreSnapshot(const CoreSnapshot &) = delete;

  Xid running[kWriters];
  Snapshot snapshot;
};

// What transaction `xid` adds to the sum.
inline void Contribution(const LedgerState &state, Xid xid, uint8_t kept, unsigned char bytes[kParts]) {
  memset(bytes, 0, kParts);
  for (int i = 0; i < kWriters; i++)
    if (state.writers[i].xid == xid)
      for (int s = 0; s < kStatements; s++) bytes[i * kStatements + s] = kept >> s & 1;
}

// The stamp of the result's other tag.
inline Stamp OtherStamp(uint64_t version) {
  Stamp stamp;
  stamp.slot = kOtherSlot;
  stamp.version = version;
  return stamp;
}

class LedgerModelMemory {
 public:
  LedgerModelMemory(Xid start, bool stamped) : begin_(start), stamped_(stamped) {
    LedgerTable::Format(memory_, kLedgerPartitions);
    BlockPool::Format(&shared_, links_, kBlocks);
    pool = BlockPool(&shared_, links_, blocks_, kBlocks);
    table = LedgerTable(memory_, pool, StampTable(slots, kSlotCount, &begin_));
  }

  void Load(const LedgerState &state) {
    LoadSlot(&slots[0], state.slots[0]);
    LoadSlot(&slots[1], state.slots[0]);
    LoadSlot(&slots[kOtherSlot], state.slots[1]);
    table.GiveUpAll(kKey.tag);
    const ModelLedger &model = state.ledger;
    if (!model.exists) return;

    Require(table.Announce(kKey) == LedgerCode::kOk, "no block for the ledger");
    LedgerHeader *ledger = Shipped::Find(table, kKey);
    for (OpenedSlot &opened : ledger->opened) {
      opened.floor = model.opened.floor;
      opened.overflow = model.opened.overflow;
      FromMask(model.opened.writers, [&](int i, Xid xid) { opened.writers[i] = xid; });
    }
    for (int i = 0; i < model.count; i++) {
      unsigned char bytes[kParts];
      Contribution(state, model.deltas[i].xid, model.deltas[i].kept, bytes);
      Require(Shipped::Publish(&table, kKey, model.deltas[i].xid, bytes, kParts, Transactions{nullptr, nullptr, kNoXid},
                               Work()) == LedgerCode::kOk,
              "no block for a delta");
    }
    ledger->floor = model.floor;
    if (!model.has_base) return;
    const CoreSnapshot core(model.snapshot);
    ledger->has_base = 1;
    ledger->xmin = core.snapshot.xmin;
    ledger->xmax = core.snapshot.xmax;
    ledger->stamp_count = stamped_ ? 1 : 0;
    ledger->running_count = static_cast<uint16_t>(core.snapshot.running_count);
    ledger->sum_size = kParts;
    Require(pool.Take(1, &ledger->proof) && pool.Take(1, &ledger->sum), "no block for the base");
    BlockPool::Cursor cursor = {ledger->proof.first, 0};
    const PackedStamp packed = Pack(OtherStamp(model.version));
    if (stamped_) pool.Write(&cursor, &packed, sizeof(packed));
    pool.Write(&cursor, core.running, sizeof(Xid) * core.snapshot.running_count);
    memcpy(pool.At(ledger->sum.first), model.sum, kParts);
    FromMask(model.unknown, [&](int i, Xid xid) { ledger->unknown[i] = xid; });
  }

  void Save(LedgerState *state) {
    SaveSlot(slots[0], &state->slots[0], false);
    SaveSlot(slots[kOtherSlot], &state->slots[1], true);
    state->ledger = SavedLedger();
  }

  Adding Work() { return {&AddParts, nullptr, work, sizeof(work)}; }

  StampSlot slots[kSlotCount] = {};
  BlockPool pool;
  LedgerTable table;
  unsigned char work[2 * kParts];

 private:
  static void LoadSlot(StampSlot *slot, const ModelSlot &model) {
    slot->version.store(model.version, std::memory_order_relaxed);
    slot->floor.store(model.floor, std::memory_order_relaxed);
    slot->overflow.store(model.overflow, std::memory_order_relaxed);
    FromMask(model.writers, [slot](int i, Xid xid) { slot->writers[i].store(xid, std::memory_order_relaxed); });
  }

  // Calls put(place, id) for each place of a slot.
  template <class Put>
  static void FromMask(uint8_t mask, Put put) {
    int place = 0;
    for (Xid xid = kBefore + 1; xid <= kBefore + kWriters; xid++)
      if (mask & Bit(xid)) put(place++, xid);
    while (place < kSlotWriters) put(place++, kNoXid);
  }

  static void SaveSlot(const StampSlot &slot, ModelSlot *model, bool versioned) {
    Require(slot.sequence % 2 == 0, "slot left locked");
    *model = {static_cast<uint8_t>(versioned ? slot.version.load() : 0), static_cast<uint8_t>(slot.floor),
              static_cast<uint8_t>(slot.overflow), 0};
    for (const std::atomic<Xid> &writer : slot.writers)
      if (writer != kNoXid) model->writers |= Bit(writer);
  }

  template <class Array>
  static uint8_t MaskOf(const Array &ids) {
    uint8_t mask = 0;
    for (const Xid xid : ids)
      if (xid != kNoXid) mask |= Bit(xid);
    return mask;
  }

  ModelLedger SavedLedger() {
    ModelLedger model;
    const LedgerHeader *ledger = Shipped::Find(table, kKey);
    if (!ledger) {
      Require(pool.FreeBlocks() == kBlocks, "blocks were lost");
      return model;
    }
    model.exists = true;
    const OpenedSlot &opened = ledger->opened[0];
    if (opened.overflow != kNever)  // else: announced only
      model.opened = {0, static_cast<uint8_t>(opened.floor), static_cast<uint8_t>(opened.overflow),
                      MaskOf(opened.writers)};
    model.floor = static_cast<uint8_t>(ledger->floor);
    for (uint32_t block = ledger->first_delta; block != kNoBlock;) {
      const DeltaHeader &delta = *DeltaAt(pool, block);
      Require(model.count < kWriters && delta.size == kParts, "too many deltas");
      ModelDelta *to = &model.deltas[model.count++];
      to->xid = static_cast<uint8_t>(delta.xid);
      const unsigned char *bytes = pool.At(block) + sizeof(DeltaHeader);
      for (int i = 0; i < kParts; i++) to->kept |= static_cast<uint8_t>(bytes[i] << (i % kStatements));
      block = delta.next_delta;
    }
    Require(model.count == ledger->delta_count, "deltas were lost");
    if (!ledger->has_base) return model;
    model.has_base = true;
    model.snapshot.xmin = static_cast<uint8_t>(ledger->xmin);
    model.snapshot.xmax = static_cast<uint8_t>(ledger->xmax);
    BlockPool::Cursor cursor = {ledger->proof.first, 0};
    PackedStamp packed = {};
    if (stamped_) pool.Read(&cursor, &packed, sizeof(packed));
    model.version = static_cast<uint8_t>(Unpack(packed).version);
    for (int i = 0; i < ledger->running_count; i++) {
      Xid xid;
      pool.Read(&cursor, &xid, sizeof(xid));
      model.snapshot.running |= Bit(xid);
    }
    model.unknown = MaskOf(ledger->unknown);
    Require(ledger->sum_size == kParts, "the sum was lost");
    memcpy(model.sum, pool.At(ledger->sum.first), kParts);
    return model;
  }

  alignas(64) unsigned char memory_[LedgerTable::BytesFor(kLedgerPartitions)];
  BlockPool::Shared shared_;
  BlockPool::Link links_[kBlocks];
  alignas(64) unsigned char blocks_[kBlocks * kBlockBytes];
  std::atomic<Xid> begin_;
  const bool stamped_;
};

}  // namespace model
}  // namespace aggcache

#endif
