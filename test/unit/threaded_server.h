// A server for tests with threads.

#ifndef AGGCACHE_TEST_THREADED_SERVER_H
#define AGGCACHE_TEST_THREADED_SERVER_H

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "core/tag.h"
#include "stamp_fixture.h"

namespace aggcache {

// A server with a table per slot: ids, outcomes and snapshots as PostgreSQL orders them.
class ThreadedServer {
 public:
  explicit ThreadedServer(uint32_t slots) : rows_(slots) {}

  Xid BeginTransaction() {
    std::lock_guard<std::mutex> lock(mutex_);
    outcomes_.push_back(Outcome::kRunning);
    running_.push_back(kStart + outcomes_.size());
    return running_.back();
  }
  void Write(Xid xid, uint32_t slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    rows_[slot].push_back(xid);
  }
  void End(Xid xid, Outcome outcome) {
    std::lock_guard<std::mutex> lock(mutex_);
    outcomes_[xid - kStart - 1] = outcome;
    running_.erase(std::find(running_.begin(), running_.end(), xid));
    last_finished_ = std::max(last_finished_, xid);
  }
  OwnedSnapshot TakeSnapshot() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Xid> running;
    Xid xmin = last_finished_ + 1;
    for (Xid xid : running_) {
      if (xid > last_finished_) continue;
      running.push_back(xid);
      xmin = std::min(xmin, xid);
    }
    return OwnedSnapshot(xmin, last_finished_ + 1, std::move(running));
  }
  // The rows that a snapshot sees, as a sum that two different sets will hardly share.
  uint64_t Compute(uint32_t slot, const Snapshot &snapshot) {
    std::lock_guard<std::mutex> lock(mutex_);
    uint64_t sum = 0;
    for (Xid xid : rows_[slot])
      if (outcomes_[xid - kStart - 1] == Outcome::kCommitted && !snapshot.IsRunning(xid)) sum += Mix(xid);
    return sum;
  }
  Transactions As(Xid own) { return {&Answer, this, own}; }

 private:
  static Outcome Answer(void *context, Xid xid) noexcept {
    auto *self = static_cast<ThreadedServer *>(context);
    std::lock_guard<std::mutex> lock(self->mutex_);
    return self->outcomes_[xid - kStart - 1];
  }

  std::mutex mutex_;
  std::vector<Outcome> outcomes_;
  std::vector<Xid> running_;
  Xid last_finished_ = kStart;
  std::vector<std::vector<Xid>> rows_;
};

}  // namespace aggcache

#endif
