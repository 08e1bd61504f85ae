// Makes room by evicting, one partition at a time under its lock in exclusive mode, and inserts. Keeps which partition
// is next to give something up.

#include "pg/base/server.h"

#include "pg/call/store.h"

#include <algorithm>

#include "core/endings.h"
#include "pg/base/settings.h"
#include "pg/base/transactions.h"
#include "pg/body/result_times.h"
#include "pg/redis/settings.h"
#include "pg/redis/values.h"

namespace aggcache {

namespace {

// Makes room for the candidate. False if what is there is worth more, or there is no more to evict.
bool ReserveRoom(const NewEntry &entry, EntryStore::Reservation *reserved, FunctionStatistics *statistics,
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

// Its running ids in the current memory context.
Snapshot CopyOf(const Snapshot &snapshot) {
  Snapshot copy = snapshot;
  auto *running = static_cast<Xid *>(palloc(sizeof(Xid) * Max(1U, snapshot.running_count)));
  std::copy(snapshot.running, snapshot.running + snapshot.running_count, running);
  copy.running = running;
  return copy;
}

}  // namespace

const char *StoreShared(const NewEntry &entry, FunctionStatistics *statistics) {
  EntryStore::Reservation reserved;
  const char *why = nullptr;
  if (!ReserveRoom(entry, &reserved, statistics, &why)) return why;
  LWLock *lock = shared::PartitionLock(entry.key.hash);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  StoreCode code = shared::store.Insert(entry, &reserved);
  LWLockRelease(lock);
  return code == StoreCode::kOk ? nullptr : "a result of a newer snapshot is there";
}

const char *Store(Result *result, FunctionStatistics *statistics) {
  if (result->bytes.too_large) return "the result is larger than aggcache.max_entry_size";
  const Definition *definition = result->definition;
  BeginStamps();
  const Snapshot core = CopyOf(CoreSnapshot(result->snapshot));
  Transactions transactions = ServerTransactions();
  auto settled = static_cast<uint32_t>(result->stamp_count);
  auto *stamps = static_cast<Stamp *>(palloc(sizeof(Stamp) * (settled + Endings::kStamps)));
  std::copy(result->stamps, result->stamps + settled, stamps);
  // To end what may be anywhere.
  if (settings::store != kShared)
    Endings::Append(shared::stamps, MyDatabaseId, definition->function, result->key->hash, stamps, &settled);
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
  result->expires_at = EndOfResult(stored_at, result->end);
  if (result->expires_at != 0 && result->expires_at <= SteadyNow()) return "the result has expired";
  NewEntry entry;
  entry.key = *result->key;
  entry.value = result->bytes.data;
  entry.value_size = static_cast<uint32_t>(result->bytes.size);
  entry.stamps = stamps;
  entry.stamp_count = settled;
  entry.snapshot = core;
  entry.function = shared::ObjectId(definition->function);
  entry.role = GetOuterUserId();
  entry.stored_at = stored_at;
  entry.expires_at = result->expires_at;
  entry.cost_ns = result->cost_ns;

  if (settings::store == kShared) return StoreShared(entry, statistics);
  const char *why_not_near = settings::store == kTiered ? StoreShared(entry, statistics) : "it is kept in Redis";
  const char *why_not_far = StoreInRedis(definition, entry);
  return why_not_near == nullptr ? nullptr : why_not_far;
}

}  // namespace aggcache
