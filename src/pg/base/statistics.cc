// A hook lists what this transaction drops, in TopTransactionContext; at the commit the places of that are given back.
// A session remembers the place of a function and of a table that it looked for last.

#include "pg/base/server.h"

#include "pg/base/statistics.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"

namespace aggcache {

namespace {

object_access_hook_type previous_object_access = nullptr;

// What this transaction has dropped; in TopTransactionContext.
List *dropped_functions = NIL;
List *dropped_tables = NIL;
List *dropped_databases = NIL;

void ZeroCounter(std::atomic<uint64_t> *counter) { counter->store(0, std::memory_order_relaxed); }

void ZeroCounts(FunctionStatistics *place) {
  for (auto &calls : place->calls) ZeroCounter(&calls);
  ZeroCounter(&place->stores);
  ZeroCounter(&place->rejected_stores);
  ZeroCounter(&place->evictions);
  ZeroCounter(&place->compute_ns);
  ZeroCounter(&place->saved_ns);
  place->last_changed.store(0, std::memory_order_relaxed);
  place->kept.store(0, std::memory_order_relaxed);
}

void ZeroCounts(TableStatistics *place) {
  ZeroCounter(&place->transactions);
  ZeroCounter(&place->rows);
  ZeroCounter(&place->bulk);
  ZeroCounter(&place->wide);
}

// What a former object has left behind.
void ZeroAll(FunctionStatistics *place) {
  ZeroCounts(place);
  ZeroCounter(&place->largest);
}
void ZeroAll(TableStatistics *place) { ZeroCounts(place); }

// Where the search for an id begins.
int StartOf(uint64_t id, int count) {
  return static_cast<int>(
      static_cast<uint32_t>(hash_bytes_extended(reinterpret_cast<unsigned char *>(&id), sizeof(id), 0)) % count);
}

// The place of the id, or NULL; then *free is the first that it could claim, if any. What is found without the lock is
// there; what is not may just be being claimed.
template <class Statistics>
Statistics *SearchPlaces(Statistics *places, int count, uint64_t id, Statistics **free) {
  const int start = StartOf(id, count);
  *free = nullptr;
  for (int i = 0; i < count; i++) {
    Statistics *place = &places[(start + i) % count];
    const uint64_t there = place->id.load(std::memory_order_acquire);
    if (there == id) return place;
    if (IsFreePlace(there) && *free == nullptr) *free = place;
    if (there == 0) break;
  }
  return nullptr;
}

// The place of the id. If there is none and `create` is set, a free one becomes it; NULL: there is no free one.
template <class Statistics>
Statistics *FindPlace(Statistics *places, int count, uint64_t id, bool create) {
  Statistics *free;
  Statistics *place = SearchPlaces(places, count, id, &free);
  // With no free place, one that is given back at this moment is found the next time.
  if (place || !create || free == nullptr) return place;
  LWLockAcquire(shared::state->statistics_lock, LW_EXCLUSIVE);
  place = SearchPlaces(places, count, id, &free);
  if (place == nullptr && free) {
    place = free;
    ZeroAll(place);
    place->id.store(id, std::memory_order_release);
  }
  LWLockRelease(shared::state->statistics_lock);
  return place;
}

// REQUIRES: the lock.
template <class Statistics>
void GiveBackPlace(Statistics *places, int count, Statistics *place) {
  int at = static_cast<int>(place - places);
  place->id.store(kFormer, std::memory_order_release);
  // No search need go on where the next place has never been used.
  if (places[(at + 1) % count].id.load(std::memory_order_relaxed) != 0) return;
  for (int i = 0; i < count && places[at].id.load(std::memory_order_relaxed) == kFormer; i++) {
    places[at].id.store(0, std::memory_order_release);
    at = (at + count - 1) % count;
  }
}

// Gives the place of the id back, if it has one.
template <class Statistics>
void GiveBackId(Statistics *places, int count, uint64_t id) {
  Statistics *free;
  if (SearchPlaces(places, count, id, &free) == nullptr) return;
  LWLockAcquire(shared::state->statistics_lock, LW_EXCLUSIVE);
  Statistics *place = SearchPlaces(places, count, id, &free);
  if (place) GiveBackPlace(places, count, place);
  LWLockRelease(shared::state->statistics_lock);
}

template <class Statistics>
void GiveBackDatabase(Statistics *places, int count, Oid database) {
  LWLockAcquire(shared::state->statistics_lock, LW_EXCLUSIVE);
  for (int i = 0; i < count; i++) {
    const uint64_t id = places[i].id.load(std::memory_order_relaxed);
    if (!IsFreePlace(id) && id >> 32 == database) GiveBackPlace(places, count, &places[i]);
  }
  LWLockRelease(shared::state->statistics_lock);
}

void NoteDropped(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument) {
  if (previous_object_access) previous_object_access(access, class_id, object, sub_id, argument);
  if (access != OAT_DROP || sub_id != 0 || shared::state == nullptr) return;
  List **noted = class_id == ProcedureRelationId  ? &dropped_functions
                 : class_id == RelationRelationId ? &dropped_tables
                 : class_id == DatabaseRelationId ? &dropped_databases
                                                  : nullptr;
  if (noted == nullptr) return;
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  *noted = lappend_oid(*noted, object);
  MemoryContextSwitchTo(outer);
}

// Whether the object exists: `cache` is the system cache of its kind, by oid.
bool IsInCatalog(int cache, Oid object) { return SearchSysCacheExists1(cache, ObjectIdGetDatum(object)); }

// Leaves out what is still there: a savepoint was rolled back.
List *OnlyGone(List *dropped, int cache) {
  List *gone = NIL;
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  ListCell *cell;
  foreach (cell, dropped)
    if (!IsInCatalog(cache, lfirst_oid(cell))) gone = lappend_oid(gone, lfirst_oid(cell));
  MemoryContextSwitchTo(outer);
  return gone;
}

// Of other databases only that can be told that they are gone.
template <class Statistics>
void ResetPlaces(Statistics *places, int count, int cache) {
  for (int i = 0; i < count; i++) {
    const uint64_t id = places[i].id.load(std::memory_order_acquire);
    if (IsFreePlace(id)) continue;
    ZeroCounts(&places[i]);
    const Oid database = static_cast<Oid>(id >> 32);
    if (database == MyDatabaseId ? !IsInCatalog(cache, static_cast<Oid>(id)) : !IsInCatalog(DATABASEOID, database))
      GiveBackId(places, count, id);
  }
}

// The one that was looked for last need not be searched again, unless it has become another's.
template <class Statistics>
struct LatestPlace {
  Statistics *place;

  Statistics *Find(Statistics *places, int count, Oid wanted, bool create) {
    const uint64_t id = shared::ObjectId(wanted);
    if (place == nullptr || place->id.load(std::memory_order_relaxed) != id)
      place = FindPlace(places, count, id, create);
    return place;
  }
};

}  // namespace

void InstallStatisticsHook() {
  previous_object_access = object_access_hook;
  object_access_hook = NoteDropped;
}

void FindDroppedStatistics() {
  dropped_functions = OnlyGone(dropped_functions, PROCOID);
  dropped_tables = OnlyGone(dropped_tables, RELOID);
  dropped_databases = OnlyGone(dropped_databases, DATABASEOID);
}

void GiveBackStatistics(bool committed) {
  ListCell *cell;
  if (committed) {
    foreach (cell, dropped_functions)
      GiveBackId(shared::functions, settings::max_functions, shared::ObjectId(lfirst_oid(cell)));
    foreach (cell, dropped_tables) GiveBackId(shared::tables, settings::max_tables, shared::ObjectId(lfirst_oid(cell)));
    foreach (cell, dropped_databases) {
      GiveBackDatabase(shared::functions, settings::max_functions, lfirst_oid(cell));
      GiveBackDatabase(shared::tables, settings::max_tables, lfirst_oid(cell));
    }
  }
  dropped_functions = dropped_tables = dropped_databases = NIL;
}

void ResetStatistics() {
  ResetPlaces(shared::functions, settings::max_functions, PROCOID);
  ResetPlaces(shared::tables, settings::max_tables, RELOID);
}

namespace shared {

FunctionStatistics *StatisticsOfFunction(Oid function) {
  static LatestPlace<FunctionStatistics> latest;
  return latest.Find(functions, settings::max_functions, function, true);
}

TableStatistics *StatisticsOfTable(Oid table, bool create) {
  static LatestPlace<TableStatistics> latest;
  return latest.Find(tables, settings::max_tables, table, create);
}

}  // namespace shared
}  // namespace aggcache
