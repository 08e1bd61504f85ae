// What tests of the ledgers share: a small table of ledgers whose contributions are numbers of rows by group.

#ifndef AGGCACHE_TEST_LEDGER_FIXTURE_H
#define AGGCACHE_TEST_LEDGER_FIXTURE_H

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "core/ledger.h"
#include "stamp_fixture.h"

namespace aggcache {

// Groups and how many rows each has; groups without rows are left out.
using Groups = std::map<int32_t, int32_t>;

// A contribution in bytes: pairs of a group and a number.
inline std::vector<unsigned char> Bytes(const Groups &groups) {
  std::vector<unsigned char> bytes(groups.size() * 8);
  size_t at = 0;
  for (const auto &[group, rows] : groups) {
    memcpy(&bytes[at], &group, 4);
    memcpy(&bytes[at + 4], &rows, 4);
    at += 8;
  }
  return bytes;
}

inline Groups FromBytes(const unsigned char *bytes, uint32_t size) {
  Groups groups;
  for (uint32_t at = 0; at < size; at += 8) {
    int32_t group, rows;
    memcpy(&group, bytes + at, 4);
    memcpy(&rows, bytes + at + 4, 4);
    groups[group] += rows;
  }
  return groups;
}

inline bool AddGroups(void *, unsigned char *sum, uint32_t *size, uint32_t room, const unsigned char *contribution,
                      uint32_t contribution_size) noexcept {
  Groups groups = FromBytes(sum, *size);
  for (const auto &[group, rows] : FromBytes(contribution, contribution_size)) {
    groups[group] += rows;
    if (groups[group] == 0) groups.erase(group);
  }
  const std::vector<unsigned char> bytes = Bytes(groups);
  if (bytes.size() > room) return false;
  *size = static_cast<uint32_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), sum);
  return true;
}

// A table of ledgers in memory of its own.
template <uint32_t Blocks>
struct LedgerMemory {
  explicit LedgerMemory(StampTable stamps) {
    LedgerTable::Format(memory, kLedgerPartitions);
    BlockPool::Format(&shared, links, Blocks);
    pool = BlockPool(&shared, links, blocks, Blocks);
    table = LedgerTable(memory, pool, stamps);
  }

  alignas(64) unsigned char memory[LedgerTable::BytesFor(kLedgerPartitions)];
  BlockPool::Shared shared;
  BlockPool::Link links[Blocks];
  alignas(64) unsigned char blocks[Blocks * kBlockBytes];
  BlockPool pool;
  LedgerTable table;
};

// The ledger's tag has slots 0 and 1, the other tag 2 and 3.
constexpr LedgerKey kLedger = {uint64_t{1} << 32, 7};
constexpr uint64_t kOtherTag = uint64_t{3} << 32 | 2;

class LedgerTest : public StampTest {
 protected:
  static constexpr uint32_t kBlocks = 64;
  LedgerTest() : memory_(table_), ledgers_(memory_.table) {}

  void Register(Xid xid, uint64_t tag = kLedger.tag) {
    Write(xid, table_.SlotOf(tag));
    Write(xid, table_.AlternativeSlotOf(tag));
  }
  Adding Work() { return {&AddGroups, nullptr, work_, work_size_}; }
  LedgerCode Publish(Xid xid, const Groups &groups, const LedgerKey &key = kLedger) {
    const std::vector<unsigned char> bytes = Bytes(groups);
    return ledgers_.Publish(key, xid, bytes.data(), static_cast<uint32_t>(bytes.size()), As(xid), Work());
  }
  // Registers, and publishes one row of group 1.
  LedgerCode RegisterAndPublish(Xid xid) {
    Register(xid);
    return Publish(xid, {{1, 1}});
  }
  LedgerCode SetBase(const OwnedSnapshot &snapshot, const Groups &groups, Xid own = kNoXid) {
    const std::vector<unsigned char> bytes = Bytes(groups);
    LedgerBase base;
    base.snapshot = snapshot.Get();
    base.stamps = stamps_.data();
    base.stamp_count = static_cast<uint32_t>(stamps_.size());
    base.sum = bytes.data();
    base.sum_size = static_cast<uint32_t>(bytes.size());
    return ledgers_.SetBase(kLedger, base, As(own));
  }
  LedgerCode Read(const OwnedSnapshot &reader, Xid own = kNoXid) {
    LedgerTable::Answer answer;
    const LedgerCode code = ledgers_.Read(kLedger, reader.Get(), As(own), Work(), &answer);
    groups_ = code == LedgerCode::kOk ? FromBytes(work_, answer.size) : Groups();
    added_ = code == LedgerCode::kOk ? answer.added : 0;
    return code;
  }
  LedgerInfo Info() {
    LedgerInfo info;
    EXPECT_TRUE(ledgers_.Info(kLedger, &info));
    return info;
  }
  void ExpectNoneLeft() {
    EXPECT_FALSE(ledgers_.Has(kLedger));
    EXPECT_EQ(ledgers_.ledgers(), 0u);
    EXPECT_EQ(memory_.pool.FreeBlocks(), kBlocks);
  }

  LedgerMemory<kBlocks> memory_;
  LedgerTable &ledgers_;
  unsigned char work_[2 * kMaxContribution];
  uint32_t work_size_ = sizeof(work_);
  std::vector<Stamp> stamps_;
  Groups groups_;  // what Read gave
  uint32_t added_ = 0;
};

}  // namespace aggcache

#endif
