// What tests of the stamps share: snapshots, and a small table of slots with a server whose transactions end as told.

#ifndef AGGCACHE_TEST_STAMP_FIXTURE_H
#define AGGCACHE_TEST_STAMP_FIXTURE_H

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include "core/stamp.h"

namespace aggcache {

// A snapshot that owns its list of running ids.
class OwnedSnapshot {
 public:
  OwnedSnapshot() = default;
  OwnedSnapshot(Xid xmin, Xid xmax, std::vector<Xid> running)
      : xmin_(xmin), xmax_(xmax), running_(std::move(running)) {}

  Snapshot Get() const {
    Snapshot snapshot;
    snapshot.xmin = xmin_;
    snapshot.xmax = xmax_;
    snapshot.running = running_.data();
    snapshot.running_count = static_cast<uint32_t>(running_.size());
    return snapshot;
  }

 private:
  Xid xmin_ = kNoXid;
  Xid xmax_ = kNoXid;
  std::vector<Xid> running_;
};

constexpr uint32_t kTableSlots = 8;
constexpr Xid kStart = 99;  // ids of the tests begin at 100

class StampTest : public ::testing::Test {
 protected:
  StampTest() : table_(slots_, kTableSlots, &start_) { table_.Begin(kStart); }

  Transactions As(Xid own) { return {&Answer, this, own}; }
  void Write(Xid xid, uint32_t slot = 0) { EXPECT_TRUE(table_.Register(slot, As(xid))); }
  void Commit(Xid xid) { outcomes_[xid] = Outcome::kCommitted; }
  void Abort(Xid xid) { outcomes_[xid] = Outcome::kAborted; }
  void Forget(Xid xid) { outcomes_[xid] = Outcome::kUnknown; }
  void WriteAndCommit(Xid xid) {
    Write(xid);
    Commit(xid);
  }

  StampCheck Settle(const OwnedSnapshot &snapshot, Xid own = kNoXid) {
    return table_.Settle(&stamp_, snapshot.Get(), As(own));
  }
  StampCheck Check(const OwnedSnapshot &stored, const OwnedSnapshot &reader, Xid own = kNoXid) {
    return table_.Check(stamp_, stored.Get(), reader.Get(), As(own));
  }
  std::vector<Xid> Writers(uint32_t slot = 0) const {
    std::vector<Xid> writers;
    for (const std::atomic<Xid> &writer : slots_[slot].writers)
      if (writer != kNoXid) writers.push_back(writer);
    std::sort(writers.begin(), writers.end());
    return writers;
  }

  StampSlot slots_[kTableSlots] = {};
  std::atomic<Xid> start_{kNoXid};
  StampTable table_;
  Stamp stamp_;
  std::map<Xid, Outcome> outcomes_;  // absent: running
  std::vector<Xid> asked_;

 private:
  static Outcome Answer(void *context, Xid xid) noexcept {
    auto *self = static_cast<StampTest *>(context);
    for (const StampSlot &slot : self->slots_) EXPECT_EQ(slot.sequence % 2, 0u) << "asked under a lock";
    self->asked_.push_back(xid);
    const auto found = self->outcomes_.find(xid);
    return found == self->outcomes_.end() ? Outcome::kRunning : found->second;
  }
};

inline const OwnedSnapshot kAt100(100, 100, {});  // nothing has begun
inline const OwnedSnapshot kAt200(200, 200, {});  // all below 200 has finished

}  // namespace aggcache

#endif
