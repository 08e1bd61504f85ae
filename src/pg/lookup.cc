#include "pg/server.h"

#include "pg/lookup.h"

#include <algorithm>

#include "pg/collection.h"
#include "pg/last_call.h"
#include "pg/settings.h"
#include "pg/tracking.h"
#include "pg/transactions.h"

namespace aggcache {

namespace {

char *buffer = nullptr;
Size buffer_size = 0;

void GrowBuffer(Size size) {
  if (buffer) pfree(buffer);
  buffer = nullptr;
  buffer_size = 0;
  buffer = static_cast<char *>(MemoryContextAllocHuge(TopMemoryContext, Max(size, Size{8192})));
  buffer_size = Max(size, Size{8192});
}

int64_t Age(int64_t stored_at) { return GetCurrentTimestamp() - stored_at; }

// Whether max_staleness lets this entry through although it has changed. Never in a SERIALIZABLE transaction: what it
// reads has to fit into one order of transactions, and no conflict check knows of a read of the past.
bool IsFreshEnough(int64_t stored_at) {
  // A parallel worker could not tell a result that is being computed that it rests on this one.
  return settings::max_staleness_ms > 0 && !IsParallelWorker() && !IsolationIsSerializable() &&
         Age(stored_at) <= static_cast<int64_t>(settings::max_staleness_ms) * 1000 && stored_at > LastOwnCommit();
}

bool IsExpired(EntryStore::Reference entry) {
  int64_t expires_at = shared::store.ExpiresAt(entry);
  if (expires_at == 0 && settings::ttl_ms == 0) return false;
  if (expires_at != 0 && GetCurrentTimestamp() >= expires_at) return true;
  return settings::ttl_ms != 0 && Age(shared::store.StoredAt(entry)) >= static_cast<int64_t>(settings::ttl_ms) * 1000;
}

// When the entry ends for a caller with this setting of ttl; 0: never.
int64_t EndOf(EntryStore::Reference entry) {
  int64_t expires_at = shared::store.ExpiresAt(entry);
  if (settings::ttl_ms == 0) return expires_at;
  int64_t end = shared::store.StoredAt(entry) + static_cast<int64_t>(settings::ttl_ms) * 1000;
  return expires_at == 0 ? end : Min(end, expires_at);
}

CallResult Judge(EntryStore::Reference entry, const Snapshot &reader, const Transactions &transactions) {
  if (IsExpired(entry)) return CallResult::kExpired;
  switch (shared::store.Check(entry, reader, transactions)) {
    case StampCheck::kValid: return CallResult::kHit;
    case StampCheck::kChanged:
      return IsFreshEnough(shared::store.StoredAt(entry)) ? CallResult::kStaleHit : CallResult::kChanged;
    case StampCheck::kUnsettled:
      return IsFreshEnough(shared::store.StoredAt(entry)) ? CallResult::kStaleHit : CallResult::kSnapshot;
    case StampCheck::kOwnWrite: break;
  }
  return CallResult::kOwnWrite;
}

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
    code = shared::store.EvictOne(partition, entry, 16, GetCurrentTimestamp());
    LWLockRelease(shared::PartitionLockAt(partition));
    if (code == StoreCode::kOk) {
      empty = 0;
      if (statistics) shared::Count(statistics->evictions);
    } else if (code == StoreCode::kRejected && ++rejections >= 8) {
      *why = "the cache is full of results that are worth more";
      return false;
    } else if (code == StoreCode::kNotFound && ++empty > kPartitions) {
      *why = "the cache has no room";
      return false;
    }
  }
}

}  // namespace

Found LookUp(const Key &key, ::Snapshot snapshot) {
  Found found = {CallResult::kCold, nullptr, 0, kNoXid};
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
      found.result = Judge(entry, reader, transactions);
      if (found.result == CallResult::kChanged && settings::max_blames > 0)
        found.writer = shared::store.Culprit(entry, reader, transactions);
      if (found.result == CallResult::kHit || found.result == CallResult::kStaleHit) {
        needed = shared::store.ValueSize(entry);
        if (collection) stamps = static_cast<int>(shared::store.StampCount(entry));
        if (needed <= buffer_size && HasRoomForStamps(stamps)) {
          if (collection) {
            shared::store.CopyStamps(entry, collection->stamps + collection->count);
            collection->count += stamps;
            expires_at = EndOf(entry);
          }
          shared::store.CopyValue(entry, buffer);
          shared::store.CountUse(entry);
          found.data = buffer;
          found.size = needed;
          last_call.stored_at = shared::store.StoredAt(entry);
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

int64_t SnapshotTime() {
  return IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp() : GetCurrentStatementStartTimestamp();
}

const char *Store(const Definition *definition, const Key &key, const ResultBytes &bytes, const Stamp *all_stamps,
                  int stamp_count, ::Snapshot snapshot, int64_t expires_at, uint64_t cost_ns,
                  FunctionStatistics *statistics) {
  if (bytes.too_large) return "the result is larger than aggcache.max_entry_size";
  BeginStamps();
  Snapshot core = CoreSnapshot(snapshot);
  Transactions transactions = ServerTransactions();
  auto *stamps = static_cast<Stamp *>(palloc(sizeof(Stamp) * Max(1, stamp_count)));
  std::copy(all_stamps, all_stamps + stamp_count, stamps);
  auto settled = static_cast<uint32_t>(stamp_count);
  switch (shared::stamps.SettleAll(stamps, &settled, core, transactions)) {
    case StampCheck::kValid: break;
    case StampCheck::kOwnWrite: return "this transaction has written what the result reads";
    case StampCheck::kChanged: return "a source table was changed in a way that old snapshots see too";
    case StampCheck::kUnsettled:
      return "the snapshot is older than a write that has been forgotten, or a writer may still be running";
  }
  NewEntry entry;
  entry.key = key;
  entry.value = bytes.data;
  entry.value_size = static_cast<uint32_t>(bytes.size);
  entry.stamps = stamps;
  entry.stamp_count = settled;
  entry.snapshot = core;
  entry.function = shared::ObjectId(definition->function);
  entry.stored_at = SnapshotTime();
  entry.expires_at = expires_at;
  entry.cost_ns = cost_ns;

  EntryStore::Reservation reserved;
  const char *why = nullptr;
  if (!Reserve(entry, &reserved, statistics, &why)) return why;
  LWLock *lock = shared::PartitionLock(key.hash);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  StoreCode code = shared::store.Insert(entry, &reserved);
  LWLockRelease(lock);
  return code == StoreCode::kOk ? nullptr : "a result of a newer snapshot is there";
}

}  // namespace aggcache
