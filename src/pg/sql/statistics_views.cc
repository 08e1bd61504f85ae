// The functions behind the views aggcache.stats, tables, blame and entries, and of what memory is in use.
//
// They read statistics as the atomics that they are, and entries under their partition's lock in shared mode, which a
// hit takes in the same mode. No memory is asked for while a partition is locked.

#include "pg/base/server.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/body/result_times.h"
#include "pg/sql/inspection.h"
#include "pg/sql/row.h"
#include "pg/write/blame.h"

namespace aggcache {

namespace {

bool IsOfThisDatabase(uint64_t id) { return id != 0 && id >> 32 == MyDatabaseId; }
Oid ObjectOf(uint64_t id) { return static_cast<Oid>(id); }
uint64_t Counted(const std::atomic<uint64_t> &counter) { return counter.load(std::memory_order_relaxed); }

// ---- Entries ----------------------------------------------------------------------------------------------------

struct Collected {
  EntryInfo *items;
  uint32_t limit;
  uint32_t count;  // more than limit: there are more
};

void Collect(void *context, EntryStore::Reference entry) noexcept {
  auto *collected = static_cast<Collected *>(context);
  EntryInfo info = shared::store.Info(entry);
  if (info.function >> 32 != MyDatabaseId) return;
  if (collected->count < collected->limit) collected->items[collected->count] = info;
  collected->count++;
}

// Copies what can be told of a partition's entries of this database, into memory that grows before the lock is taken
// again.
void CollectPartition(uint32_t partition, Collected *collected) {
  CHECK_FOR_INTERRUPTS();
  for (;;) {
    collected->count = 0;
    LWLockAcquire(shared::PartitionLockAt(partition), LW_SHARED);
    shared::store.ForEach(partition, Collect, collected);
    LWLockRelease(shared::PartitionLockAt(partition));
    if (collected->count <= collected->limit) return;
    collected->limit = collected->count + collected->count / 4 + 16;
    pfree(collected->items);
    collected->items =
        static_cast<EntryInfo *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(EntryInfo) * collected->limit));
  }
}

Collected BeginCollecting() { return {static_cast<EntryInfo *>(palloc(sizeof(EntryInfo) * 64)), 64, 0}; }

void ShowEntries(FunctionCallInfo fcinfo) {
  Collected collected = BeginCollecting();
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    CollectPartition(partition, &collected);
    for (uint32_t i = 0; i < collected.count; i++) {
      const EntryInfo &entry = collected.items[i];
      Row row(fcinfo);
      row.Object(ObjectOf(entry.function));
      char hash[20];
      snprintf(hash, sizeof(hash), "%016llx", static_cast<unsigned long long>(entry.key_hash));
      row.Text(hash);
      row.BigInt(entry.value_size);
      row.BigInt(entry.memory);
      row.Int(static_cast<int32_t>(entry.stamp_count));
      row.BigInt(entry.uses);
      row.Milliseconds(entry.cost_ns);
      row.Time(ShownTime(entry.stored_at));
      row.Time(ShownTime(entry.expires_at));
      row.Bool(!entry.dead && (entry.expires_at == 0 || entry.expires_at > SteadyNow()));
      row.End();
    }
  }
}

// ---- Statistics -------------------------------------------------------------------------------------------------

struct Held {
  uint64_t function;
  uint64_t entries;
  uint64_t bytes;
};

int CompareHeld(const void *a, const void *b) {
  uint64_t left = static_cast<const Held *>(a)->function, right = static_cast<const Held *>(b)->function;
  return left < right ? -1 : left > right;
}

// What each function with statistics holds in the store; sorted by function. *count tells how many.
Held *CountHeld(int *count) {
  auto *held = static_cast<Held *>(palloc0(sizeof(Held) * settings::max_functions));
  *count = 0;
  for (int i = 0; i < settings::max_functions; i++) {
    uint64_t id = shared::functions[i].id.load(std::memory_order_acquire);
    if (IsOfThisDatabase(id)) held[(*count)++].function = id;
  }
  qsort(held, *count, sizeof(Held), CompareHeld);
  Collected collected = BeginCollecting();
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    CollectPartition(partition, &collected);
    for (uint32_t i = 0; i < collected.count; i++) {
      Held wanted = {collected.items[i].function, 0, 0};
      auto *found = static_cast<Held *>(bsearch(&wanted, held, *count, sizeof(Held), CompareHeld));
      if (found == nullptr) continue;
      found->entries++;
      found->bytes += collected.items[i].memory;
    }
  }
  return held;
}

void ShowFunctionStatistics(FunctionCallInfo fcinfo) {
  int held_count;
  Held *held = CountHeld(&held_count);
  for (int i = 0; i < settings::max_functions; i++) {
    const FunctionStatistics &statistics = shared::functions[i];
    uint64_t id = statistics.id.load(std::memory_order_acquire);
    if (!IsOfThisDatabase(id)) continue;
    Row row(fcinfo);
    row.Object(ObjectOf(id));
    for (const auto &calls : statistics.calls) row.BigInt(Counted(calls));
    row.BigInt(Counted(statistics.stores));
    row.BigInt(Counted(statistics.rejected_stores));
    row.BigInt(Counted(statistics.evictions));
    row.Milliseconds(Counted(statistics.compute_ns));
    row.Milliseconds(Counted(statistics.saved_ns));
    row.Time(statistics.last_changed.load(std::memory_order_relaxed));
    row.BigInt(Counted(statistics.kept));
    Held wanted = {id, 0, 0};
    auto *found = static_cast<Held *>(bsearch(&wanted, held, held_count, sizeof(Held), CompareHeld));
    row.BigInt(found ? found->entries : 0);
    row.BigInt(found ? found->bytes : 0);
    row.End();
  }
}

void ShowTableStatistics(FunctionCallInfo fcinfo) {
  for (int i = 0; i < settings::max_tables; i++) {
    const TableStatistics &statistics = shared::tables[i];
    uint64_t id = statistics.id.load(std::memory_order_acquire);
    if (!IsOfThisDatabase(id)) continue;
    Row row(fcinfo);
    row.Object(ObjectOf(id));
    row.BigInt(Counted(statistics.rows));
    row.BigInt(Counted(statistics.transactions));
    row.BigInt(Counted(statistics.bulk));
    row.BigInt(Counted(statistics.wide));
    row.End();
  }
}

void ShowBlame(FunctionCallInfo fcinfo) {
  auto *counts = static_cast<BlameCount *>(palloc(sizeof(BlameCount) * Max(1, settings::max_blames)));
  const int count = CopyBlames(counts);
  for (int i = 0; i < count; i++) {
    const BlameKey &key = counts[i].key;
    RelationUse use = {};
    use.relation = key.relation;
    for (int column = 1; column <= kLastColumnBit; column++)
      if ((key.columns.words[column / 64] >> (column % 64) & 1) != 0) use.columns = lappend_int(use.columns, column);
    Row row(fcinfo);
    row.Object(key.function);
    row.Object(key.relation);
    row.Text(key.command == CMDTAG_UNKNOWN ? nullptr : GetCommandTagName(key.command));
    row.Array(use.columns == NIL ? nullptr : ColumnNames(use));
    if (key.query_id == 0)
      row.Null();
    else
      row.BigInt(key.query_id);
    row.BigInt(counts[i].invalidations);
    row.Time(counts[i].last_at);
    row.End();
  }
}

void ShowUsage(Row row) {
  StoreUsage usage;
  if (shared::state) usage = shared::store.Usage();
  row.BigInt(usage.memory);
  row.BigInt(usage.memory_free);
  row.BigInt(usage.entries);
  row.BigInt(shared::state ? shared::state->stamp_slots : 0);
  row.Time(PgStartTime);
  row.Time(shared::state ? shared::state->statistics_reset_at.load() : 0);
  row.End();
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_function_statistics);
PGDLLEXPORT Datum aggcache_function_statistics(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  if (aggcache::shared::state) aggcache::ShowFunctionStatistics(fcinfo);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_table_statistics);
PGDLLEXPORT Datum aggcache_table_statistics(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  if (aggcache::shared::state) aggcache::ShowTableStatistics(fcinfo);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_blame_counts);
PGDLLEXPORT Datum aggcache_blame_counts(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  if (aggcache::shared::state) aggcache::ShowBlame(fcinfo);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_entries);
PGDLLEXPORT Datum aggcache_entries(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  if (aggcache::shared::state) aggcache::ShowEntries(fcinfo);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(aggcache_usage);
PGDLLEXPORT Datum aggcache_usage(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  aggcache::ShowUsage(aggcache::Row(fcinfo));
  return Datum{0};
}
}
