#include "pg/base/server.h"

#include "pg/call/lookup.h"

#include <algorithm>

#include "core/staleness.h"
#include "core/stamp_list.h"
#include "core/tag.h"
#include "pg/base/settings.h"
#include "pg/base/transactions.h"
#include "pg/body/result_times.h"
#include "pg/call/collection.h"
#include "pg/call/last_call.h"
#include "pg/call/single_flight.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/values.h"
#include "pg/watch/dependencies.h"
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

// How many stamps have the tags by which a result can be ended (core/tag.h). They are the last of those that it has.
constexpr int kEndings = 6;

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

// Makes room for the candidate. False if what is there is worth more, or there is no more to evict.
bool Reserve(const NewEntry &entry, EntryStore::Reservation *reserved, FunctionStatistics *statistics,
             const char **why) {
  static uint32_t next_partition = 0;
  int rejections = 0;
  uint32_t empty = 0;
  for (;;) {
    StoreCode code = shared::store.Reserve(entry, reserved);
    if (code == StoreCode::kOk) return true;
    if (code != StoreCode::kNoMemory) {
      *why = "the result is larger than the cache";
      return false;
    }
    CHECK_FOR_INTERRUPTS();
    if (next_partition == 0) next_partition = static_cast<uint32_t>(MyProcPid) * 31;
    uint32_t partition = next_partition++ % kPartitions;
    LWLockAcquire(shared::PartitionLockAt(partition), LW_EXCLUSIVE);
    code = shared::store.EvictOne(partition, entry, 16, SteadyNow());
    LWLockRelease(shared::PartitionLockAt(partition));
    if (code == StoreCode::kOk) {
      empty = 0;
      if (statistics) shared::Count(statistics->evictions);
    } else if (code == StoreCode::kRejected && ++rejections >= 8) {
      shared::store.NoteRejected(entry);
      *why = "the cache is full of results that are worth more";
      return false;
    } else if (code == StoreCode::kNotFound && ++empty > kPartitions) {
      *why = "the cache has no room";
      return false;
    }
  }
}

// Returns NULL, or why not. REQUIRES: settled stamps.
const char *StoreShared(const NewEntry &entry, FunctionStatistics *statistics) {
  EntryStore::Reservation reserved;
  const char *why = nullptr;
  if (!Reserve(entry, &reserved, statistics, &why)) return why;
  LWLock *lock = shared::PartitionLock(entry.key.hash);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  StoreCode code = shared::store.Insert(entry, &reserved);
  LWLockRelease(lock);
  return code == StoreCode::kOk ? nullptr : "a result of a newer snapshot is there";
}

Found LookUpShared(const Definition *definition, const Key &key, ::Snapshot snapshot) {
  Found found = {CallResult::kCold, nullptr, 0, kNoXid, 0};
  Snapshot reader = CoreSnapshot(snapshot);
  Transactions transactions = ServerTransactions();
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
        if (collection) stamps = static_cast<int>(shared::store.StampCount(entry));
        if (needed <= buffer_size && HasRoomForStamps(stamps)) {
          if (collection) {
            shared::store.CopyStamps(entry, collection->stamps + collection->count);
            collection->count += stamps;
            expires_at = EndOf(times);
          }
          shared::store.CopyValue(entry, buffer);
          shared::store.CountUse(entry);
          found.data = buffer;
          found.size = needed;
          last_call.stored_at = times.stored_at;
          last_call.cost_ns = shared::store.CostNs(entry);
          last_call.size = static_cast<uint32_t>(needed);
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

// Its running ids in the current memory context.
Snapshot CopyOf(const Snapshot &snapshot) {
  Snapshot copy = snapshot;
  auto *running = static_cast<Xid *>(palloc(sizeof(Xid) * Max(1U, snapshot.running_count)));
  std::copy(snapshot.running, snapshot.running + snapshot.running_count, running);
  copy.running = running;
  return copy;
}

// Whether it was ended as such since it was stored: then no staleness is accepted.
bool IsEnded(const redis::FrameContents &contents) {
  uint32_t first = contents.stamp_count;
  for (int tag = 0; tag < kEndings / 2; tag++) {
    do {
      if (first-- == 0) return true;
    } while (contents.stamps[first].alternative);
  }
  ListIsDead dead(shared::stamps);
  for (uint32_t i = first; i < contents.stamp_count && dead.Next(contents.stamps[i]); i++) {
  }
  return dead.Answer();
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
  last_call.from_redis = true;
  last_call.stored_at = contents.stored_at;
  last_call.cost_ns = contents.cost_ns;
  last_call.size = static_cast<uint32_t>(contents.value_size);
  if (collection) {
    ReserveStamps(static_cast<int>(contents.stamp_count));
    for (uint32_t i = 0; i < contents.stamp_count; i++) CollectStamp(contents.stamps[i]);
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

const char *Store(const Definition *definition, const Key &key, const ResultBytes &bytes, const Stamp *all_stamps,
                  int stamp_count, ::Snapshot snapshot, int64_t end, int64_t *expires_at, uint64_t cost_ns,
                  FunctionStatistics *statistics) {
  if (bytes.too_large) return "the result is larger than aggcache.max_entry_size";
  BeginStamps();
  const Snapshot core = CopyOf(CoreSnapshot(snapshot));
  Transactions transactions = ServerTransactions();
  auto *stamps = static_cast<Stamp *>(palloc(sizeof(Stamp) * (stamp_count + kEndings)));
  std::copy(all_stamps, all_stamps + stamp_count, stamps);
  auto settled = static_cast<uint32_t>(stamp_count);
  if (settings::store != kShared) {
    // To end what may be anywhere.
    MakeStamps(DatabaseTag(MyDatabaseId), false, stamps + settled);
    MakeStamps(FunctionTag(MyDatabaseId, definition->function), false, stamps + settled + 2);
    MakeStamps(CallTag(MyDatabaseId, definition->function, key.hash), false, stamps + settled + 4);
    settled += kEndings;
  }
  switch (shared::stamps.SettleAll(stamps, &settled, core, transactions)) {
    case StampCheck::kValid: break;
    case StampCheck::kOwnWrite: return "this transaction has written what the result reads";
    case StampCheck::kChanged: return "a source table was changed in a way that old snapshots see too";
    case StampCheck::kUnsettled:
      return "the snapshot is older than a write that has been forgotten, or a writer may still be running";
  }
  // The snapshot may be older than the statement. What one of this moment sees too was true when the statement began.
  const Snapshot latest = CoreSnapshot(GetLatestSnapshot());
  const int64_t stored_at = TimeOfResult(
      definition, shared::stamps.CheckAll(stamps, settled, core, latest, transactions) == StampCheck::kValid);
  *expires_at = EndOfResult(stored_at, end);
  if (*expires_at != 0 && *expires_at <= SteadyNow()) return "the result has expired";
  NewEntry entry;
  entry.key = key;
  entry.value = bytes.data;
  entry.value_size = static_cast<uint32_t>(bytes.size);
  entry.stamps = stamps;
  entry.stamp_count = settled;
  entry.snapshot = core;
  entry.function = shared::ObjectId(definition->function);
  entry.role = GetOuterUserId();
  entry.stored_at = stored_at;
  entry.expires_at = *expires_at;
  entry.cost_ns = cost_ns;

  if (settings::store == kShared) return StoreShared(entry, statistics);
  const char *why_not_near = settings::store == kTiered ? StoreShared(entry, statistics) : "it is kept in Redis";
  const char *why_not_far = StoreInRedis(definition, entry);
  return why_not_near == nullptr ? nullptr : why_not_far;
}

}  // namespace aggcache
