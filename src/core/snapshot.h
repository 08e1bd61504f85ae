// Transaction ids, snapshots and what the core must ask the server about a transaction.
//
// All ids are 64-bit: 32-bit ids wrap, and a stamp outlives the wrap.

#ifndef AGGCACHE_CORE_SNAPSHOT_H
#define AGGCACHE_CORE_SNAPSHOT_H

#include <cstdint>

namespace aggcache {

using Xid = uint64_t;
constexpr Xid kNoXid = 0;

// A 32-bit id with 64 bits. `next` is the next id that will be assigned, as of now: then no live snapshot, and no
// transaction that runs, has an id that is 2^31 or more away from it. What was read earlier in the transaction is not
// good enough: one without a snapshot can outlive any number of ids.
inline Xid WidenXid(uint32_t xid, Xid next) noexcept {
  return next + static_cast<Xid>(static_cast<int64_t>(static_cast<int32_t>(xid - static_cast<uint32_t>(next))));
}

// A check may lay a stored snapshot's running ids side by side on the stack: results with more are not stored.
constexpr uint32_t kMaxRunning = 4096;

// A plain MVCC snapshot. `running` holds the top-level ids in [xmin, xmax) that were running when it was
// taken, in any order; the array belongs to the caller.
struct Snapshot {
  Xid xmin = kNoXid;  // every id below had finished
  Xid xmax = kNoXid;  // no id from here on had begun
  const Xid *running = nullptr;
  uint32_t running_count = 0;

  // Whether `xid`, a top-level id, had not finished as this snapshot sees it.
  bool IsRunning(Xid xid) const noexcept {
    if (xid < xmin) return false;
    if (xid >= xmax) return true;
    for (uint32_t i = 0; i < running_count; i++)
      if (running[i] == xid) return true;
    return false;
  }
};

enum class Outcome : uint8_t {
  kRunning,    // not finished yet, or prepared
  kCommitted,  // finished and committed
  kAborted,    // finished and aborted, or lost in a crash
  kUnknown,    // older than what the commit log still holds
};

// How the core asks the server what became of a top-level transaction. Never called with a slot locked.
struct Transactions {
  Outcome (*outcome)(void *context, Xid xid) noexcept;
  void *context;
  Xid own;  // the caller's own top-level id, or kNoXid
  // What the caller knows without asking: true only if the transaction has finished; false says nothing. May be NULL.
  bool (*known_finished)(void *context, Xid xid) noexcept = nullptr;
};

}  // namespace aggcache

#endif
