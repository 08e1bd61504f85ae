// Looks under a partition's lock in shared mode, and judges by the stamps. Keeps a buffer for the latest value; no
// memory is asked for while a partition is locked.

#include "pg/base/server.h"

#include "pg/call/lookup.h"

#include <algorithm>

#include "core/endings.h"
#include "core/staleness.h"
#include "pg/base/settings.h"
#include "pg/base/transactions.h"
#include "pg/body/result_times.h"
#include "pg/call/collection.h"
#include "pg/call/call_report.h"
#include "pg/call/single_flight.h"
#include "pg/call/store.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/values.h"
#include "pg/write/hooks.h"

namespace aggcache {

namespace {

// The latest value that was found.
char *buffer = nullptr;
Size buffer_size = 0;
constexpr Size kKept = 256 * 1024;  // of it; more is given back

void GrowBuffer(Size size) {
  if (buffer) pfree(buffer);
  buffer = nullptr;
  buffer_size = 0;
  buffer = static_cast<char *>(MemoryContextAllocHuge(TopMemoryContext, Max(size, Size{8192})));
  buffer_size = Max(size, Size{8192});
}

// Whether aggcache.max_staleness lets results through that have changed. Never in a SERIALIZABLE transaction: what it
// reads has to fit into one order of transactions, and no conflict check knows of a read of the past. A parallel worker
// could not tell a result that is being computed that it rests on this one.
bool AcceptsChanged() { return settings::max_staleness_ms > 0 && !IsParallelWorker() && !IsolationIsSerializable(); }

// `earlier(…)` tells of the entry whether it is not newer than the reader's snapshot and sees the session's own
// commits.
template <typename Earlier>
CallResult Judge(const Definition *definition, Times times, StampCheck check, Earlier earlier) {
  if (IsExpired(definition, times)) return CallResult::kExpired;
  CallResult result = CallResult::kOwnWrite;
  switch (check) {
    case StampCheck::kValid: return CallResult::kHit;
    case StampCheck::kOwnWrite: return CallResult::kOwnWrite;
    case StampCheck::kChanged: result = CallResult::kChanged; break;
    case StampCheck::kUnsettled: result = CallResult::kSnapshot; break;
  }
  return AcceptsChanged() && IsYoungEnough(times) && earlier() ? CallResult::kStaleHit : result;
}

bool IsHit(CallResult result) { return result == CallResult::kHit || result == CallResult::kStaleHit; }

Found LookUpShared(const Definition *definition, const Key &key, ::Snapshot snapshot) {
  Found found = {CallResult::kCold, nullptr, 0, kNoXid, 0};
  Snapshot reader = CoreSnapshot(snapshot);
  Transactions transactions = ServerTransactions();
  const bool collecting = InnermostCollection() != nullptr;
  LWLock *lock = shared::PartitionLock(key.hash);
  for (;;) {
    Size needed = 0;
    int stamps = 0;
    int64_t expires_at = 0;
    LWLockAcquire(lock, LW_SHARED);
    EntryStore::Reference entry = shared::store.Find(key);
    if (entry) {
      const Times times = {shared::store.StoredAt(entry), shared::store.ExpiresAt(entry)};
      found.result = Judge(definition, times, shared::store.Check(entry, reader, transactions), [&]() {
        return shared::store.IsEarlier(entry, reader, OwnCommitsOfSession(), transactions);
      });
      if (found.result == CallResult::kChanged && settings::max_blames > 0)
        found.writer = shared::store.Culprit(entry, reader, transactions);
      if (IsHit(found.result)) {
        needed = shared::store.ValueSize(entry);
        if (collecting) stamps = static_cast<int>(shared::store.StampCount(entry));
        if (needed <= buffer_size && HasRoomForStamps(stamps)) {
          if (collecting) {
            shared::store.CopyStamps(entry, PlaceForStamps(stamps));
            expires_at = EndOf(times);
          }
          shared::store.CopyValue(entry, buffer);
          shared::store.CountUse(entry);
          found.data = buffer;
          found.size = needed;
          ReportFound(times.stored_at, shared::store.CostNs(entry), needed, false);
        }
      }
    } else {
      found.result = CallResult::kCold;
    }
    LWLockRelease(lock);
    if (found.result == CallResult::kCold && shared::store.WasEvicted(key.hash)) found.result = CallResult::kEvicted;
    if (found.data) {
      CollectFound(snapshot, expires_at);
      return found;
    }
    if (needed == 0) return found;
    // Memory is not asked for under the lock; the entry may be another one when it is looked at again.
    if (needed > buffer_size) GrowBuffer(needed);
    ReserveStamps(stamps);
  }
}

// Whether it was ended as such since it was stored: then no staleness is accepted.
bool IsEnded(const redis::FrameContents &contents) {
  return Endings::AreOver(shared::stamps, contents.stamps, contents.stamp_count);
}

// Puts a result from Redis into shared memory. Whether there was room for it makes no difference to the call.
void Promote(const Definition *definition, const Key &key, const redis::FrameContents &contents) {
  NewEntry entry;
  entry.key = key;
  entry.value = contents.value;
  entry.value_size = static_cast<uint32_t>(contents.value_size);
  entry.stamps = contents.stamps;
  entry.stamp_count = contents.stamp_count;
  entry.snapshot = contents.snapshot;
  entry.function = shared::ObjectId(definition->function);
  entry.role = GetOuterUserId();
  entry.stored_at = contents.stored_at;
  entry.expires_at = contents.expires_at;
  entry.cost_ns = contents.cost_ns;
  if (StoreShared(entry, nullptr) != nullptr || !IsEnded(contents)) return;
  // It came after aggcache.invalidate() had looked for it.
  LWLockAcquire(shared::PartitionLock(key.hash), LW_EXCLUSIVE);
  shared::store.Remove(key);
  LWLockRelease(shared::PartitionLock(key.hash));
}

Found LookUpRedis(const Definition *definition, const Key &key, ::Snapshot snapshot) {
  Found found = {CallResult::kCold, nullptr, 0, kNoXid, 0};
  redis::FrameContents contents;
  if (!FetchFromRedis(definition, key, &contents)) return found;
  const Snapshot reader = CoreSnapshot(snapshot);
  const Transactions transactions = ServerTransactions();
  const Times times = {contents.stored_at, contents.expires_at};
  const StampCheck check =
      shared::stamps.CheckAll(contents.stamps, contents.stamp_count, contents.snapshot, reader, transactions);
  found.result = Judge(definition, times, check, [&]() {
    return IsNotNewer(contents.snapshot, reader) && OwnCommitsOfSession().AreSeenBy(contents.snapshot, transactions);
  });
  if (found.result == CallResult::kStaleHit && IsEnded(contents)) found.result = CallResult::kChanged;
  shared::Count(IsHit(found.result) ? redis_state->hits : redis_state->changed);
  if (found.result == CallResult::kChanged && settings::max_blames > 0)
    found.writer =
        shared::stamps.CulpritOf(contents.stamps, contents.stamp_count, contents.snapshot, reader, transactions);
  if (!IsHit(found.result)) return found;
  found.data = static_cast<const char *>(contents.value);
  found.size = static_cast<Size>(contents.value_size);
  ReportFound(contents.stored_at, contents.cost_ns, contents.value_size, true);
  if (InnermostCollection()) {
    const int stamps = static_cast<int>(contents.stamp_count);
    ReserveStamps(stamps);
    std::copy(contents.stamps, contents.stamps + stamps, PlaceForStamps(stamps));
    CollectFound(snapshot, EndOf(times));
  }
  if (settings::store == kTiered && found.result == CallResult::kHit) Promote(definition, key, contents);
  return found;
}

}  // namespace

Found LookUp(const Definition *definition, const Key &key, ::Snapshot snapshot) {
  Found near = {CallResult::kCold, nullptr, 0, kNoXid, 0};
  if (settings::store != kRedis) near = LookUpShared(definition, key, snapshot);
  // What this transaction has written, the same stamps would say of any copy.
  if (settings::store == kShared || near.data != nullptr || near.result == CallResult::kOwnWrite) return near;
  const uint64_t flights = CountFlights(key.hash);
  Found found = LookUpRedis(definition, key, snapshot);
  if (found.result == CallResult::kCold) found = near;
  found.flights = flights;
  return found;
}

void TrimFound() {
  if (buffer_size <= kKept) return;
  pfree(buffer);
  buffer = nullptr;
  buffer_size = 0;
}

}  // namespace aggcache
