// Which watches a table has, and which functions use them: rows of aggcache.watch and aggcache.watch_use. Whoever
// changes the watches of a table keeps its writers out by a lock, and ends the results that rest on the old ones.

#include "pg/base/server.h"

#include "pg/write/watch_uses.h"

#include "pg/watch/catalog.h"
#include "pg/watch/sharing.h"
#include "pg/write/written.h"

#include <algorithm>

namespace aggcache {

namespace {

// Keeps writers of the relation out, and of its partitions, whose rows count to its watches.
Relation LockForWatches(Oid relation) {
  if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
    find_all_inheritors(relation, ShareRowExclusiveLock, nullptr);
  return table_open(relation, ShareRowExclusiveLock);
}

bool IsAmong(const List *watches, uint64_t id) {
  ListCell *cell;
  foreach (cell, watches)
    if (static_cast<Watch *>(lfirst(cell))->id == id) return true;
  return false;
}

// Whether that use is noted already.
bool IsUsedBy(Oid function, Oid relation, uint64_t watch) {
  ListCell *cell;
  foreach (cell, WatchUsesOfFunction(function)) {
    auto *use = static_cast<WatchUse *>(lfirst(cell));
    if (use->relation == relation && use->watch == watch) return true;
  }
  return false;
}

}  // namespace

void AnnounceWatches(Relation relation) {
  RegisterWide(RelationGetRelid(relation));
  CacheInvalidateRelcache(relation);
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
    ListCell *cell;
    foreach (cell, find_all_inheritors(RelationGetRelid(relation), NoLock, nullptr))
      CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
  }
  CommandCounterIncrement();
}

namespace {

// REQUIRES: LockForWatches.
void PutInForce(Relation relation) {
  List *missing = ShareWatches(relation, ReadWantedWatches(relation));
  bool changed = DeleteOtherWatches(RelationGetRelid(relation), &missing) > 0;
  ListCell *cell;
  foreach (cell, missing) {
    InsertWatch(RelationGetRelid(relation), *static_cast<Watch *>(lfirst(cell)));
    changed = true;
  }
  if (changed) AnnounceWatches(relation);
}

}  // namespace

bool AskForWatch(Oid function, Oid relation_oid, const Watch &wanted) {
  Relation relation = LockForWatches(relation_oid);
  List *known = ReadWantedWatches(relation);
  const bool fits = IsAmong(known, wanted.id) || HasRoomFor(relation, known, wanted);
  if (fits && !IsUsedBy(function, relation_oid, wanted.id)) InsertWatchUse(function, relation_oid, wanted);
  CommandCounterIncrement();
  table_close(relation, NoLock);
  return fits;
}

void PutWatchesInForce(Oid relation_oid) {
  Relation relation = LockForWatches(relation_oid);
  PutInForce(relation);
  table_close(relation, NoLock);
}

void DropUnusedWatches(Oid relation_oid, const List *watches) {
  if (HasUnusedWatches(relation_oid, watches)) PutWatchesInForce(relation_oid);
}

Watch TranslateWatch(const Watch &watch, const AttrMap *map) {
  Watch result = watch;
  for (int i = 0; i < watch.key_count; i++) result.keys[i] = map->attnums[watch.keys[i] - 1];
  std::sort(result.keys, result.keys + result.key_count);
  if (watch.range_column) result.range_column = map->attnums[watch.range_column - 1];
  result.columns = nullptr;
  int column = -1;
  while ((column = bms_next_member(watch.columns, column)) >= 0)
    result.columns = bms_add_member(result.columns, map->attnums[column - 1]);
  bool whole_row;
  result.predicate =
      castNode(List, map_variable_attnos(reinterpret_cast<Node *>(watch.predicate), 1, 0, map, InvalidOid, &whole_row));
  IdentifyWatch(&result);
  return result;
}

void ResizeCells(Oid relation_oid) {
  Relation relation = LockForWatches(relation_oid);
  ListCell *cell, *function;
  foreach (cell, ReadWantedWatches(relation)) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    if (watch->range_column == 0) continue;
    Watch resized = *watch;
    resized.range_width = CellWidthOf(relation, watch->range_column);
    IdentifyWatch(&resized);
    if (resized.id == watch->id) continue;
    foreach (function, TakeWatchUses(relation_oid, watch->id))
      if (!IsUsedBy(lfirst_oid(function), relation_oid, resized.id))
        InsertWatchUse(lfirst_oid(function), relation_oid, resized);
    CommandCounterIncrement();
  }
  PutInForce(relation);
  table_close(relation, NoLock);
}

}  // namespace aggcache
