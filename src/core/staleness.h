// Which results a session accepts although later writes have changed them (aggcache.max_staleness), as far as snapshots
// tell: none that is newer than what the reader sees, and none that misses what the session itself has committed.
//
// No clock is asked: a result's snapshot can be much older than the statement that computed it (a cursor, a portal that
// is executed later, an imported snapshot). test/unit/staleness_test.cc tries every order of a few transactions.

#ifndef AGGCACHE_CORE_STALENESS_H
#define AGGCACHE_CORE_STALENESS_H

#include <algorithm>
#include <cstdint>

#include "core/snapshot.h"

namespace aggcache {

// Whether `stored` sees as finished only what `reader` does, so that it is not newer.
inline bool IsNotNewer(const Snapshot &stored, const Snapshot &reader) noexcept {
  if (stored.xmax > reader.xmax) return false;
  for (uint32_t i = 0; i < reader.running_count; i++)
    if (!stored.IsRunning(reader.running[i])) return false;
  return true;
}

// What a session has committed, or prepared. A snapshot that sees the session's latest commit was taken after it, and
// so after all earlier ones: one id stands for them. Zeroed: nothing yet.
class OwnCommits {
 public:
  // Its transaction of this id has committed.
  void NoteCommit(Xid own) noexcept {
    latest_ = own;
    next_ = kNoXid;
  }

  // It has committed a prepared transaction, whose id it need not know. `next`: what was the next id after that.
  // Whoever sees that one, or a later one, as finished took his snapshot later still.
  void NotePreparedCommit(Xid next) noexcept { next_ = std::max(next_, next); }

  // It has prepared its transaction of this id, which anybody may commit at any time.
  void NotePrepare(Xid own) noexcept {
    if (count_ == kMostPrepared) {
      forgotten_ = std::max(forgotten_, prepared_[0]);
      std::copy(prepared_ + 1, prepared_ + count_, prepared_);
      count_--;
    }
    prepared_[count_++] = own;
  }

  // Whether a result that was computed under `stored` misses none of it. A little more than is needed may be asked for:
  // that others have finished since a prepared transaction was committed, or begun since.
  bool AreSeenBy(const Snapshot &stored, const Transactions &transactions) const noexcept {
    if (latest_ != kNoXid && stored.IsRunning(latest_)) return false;
    if (next_ != kNoXid && stored.xmax <= next_) return false;
    if (forgotten_ != kNoXid && stored.xmin <= forgotten_) return false;
    for (uint32_t i = 0; i < count_; i++) {
      if (!stored.IsRunning(prepared_[i])) continue;
      const Outcome outcome = transactions.outcome(transactions.context, prepared_[i]);
      if (outcome != Outcome::kRunning && outcome != Outcome::kAborted) return false;
    }
    return true;
  }

 private:
  static constexpr uint32_t kMostPrepared = 16;

  Xid latest_ = kNoXid;
  Xid next_ = kNoXid;
  Xid forgotten_ = kNoXid;  // the largest that is not in `prepared_` any more
  Xid prepared_[kMostPrepared] = {};
  uint32_t count_ = 0;
};

}  // namespace aggcache

#endif
