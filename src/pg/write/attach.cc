#include "pg/base/server.h"

#include "pg/write/attach.h"

#include "core/tag.h"
#include "pg/base/extension.h"
#include "pg/base/shared.h"
#include "pg/facts/function_facts.h"
#include "pg/facts/partitions.h"
#include "pg/facts/tracked.h"
#include "pg/facts/triggers.h"
#include "pg/watch/catalog.h"
#include "pg/watch/dependencies.h"
#include "pg/write/registration.h"
#include "pg/write/written.h"

#include <algorithm>

namespace aggcache {

namespace {

object_access_hook_type previous_object_access = nullptr;

// Dropped, replaced or made in this transaction and not yet looked at. In TopTransactionContext.
List *changed_functions = NIL;
List *dropped_relations = NIL;
List *new_children = NIL;   // tables that have got a parent
List *late_children = NIL;  // those of them that are being written: for the end of the transaction

void NoteIn(List **list, Oid object) {
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  *list = lappend_oid(*list, object);
  MemoryContextSwitchTo(outer);
}

bool Exists(Oid relation) { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); }

bool IsPartitionedTable(Oid relation) { return get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE; }

// Whether all partitions still have the trigger as they got it from here.
bool HavePartsTriggers(Relation relation) {
  if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) return true;
  bool pending, have = true;
  ListCell *cell;
  foreach (cell, PartsOf(RelationGetRelid(relation), &pending)) {
    Relation part = try_relation_open(lfirst_oid(cell), AccessShareLock);
    if (part == nullptr) continue;
    have &= HasTrackingTriggers(part);
    relation_close(part, NoLock);
  }
  return have;
}

// ---- Watches ----------------------------------------------------------------------------------------------------

// Keeps writers of the relation out, and of its partitions, whose rows count to its watches.
Relation LockForWatches(Oid relation) {
  if (IsPartitionedTable(relation)) find_all_inheritors(relation, ShareRowExclusiveLock, nullptr);
  return table_open(relation, ShareRowExclusiveLock);
}

// Ends the results that rest on the old watches, and tells the sessions.
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

// The watch that is to serve for the wanted one where a table has many: one that is there, or else one for all columns
// and rows, which others with these keys can share. NULL if there is none.
const Watch *FindShared(const List *watches, const Watch &wanted) {
  const Watch *best = nullptr;
  ListCell *cell;
  foreach (cell, watches) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    // the fewest columns
    if (Serves(*watch, wanted) && (best == nullptr || (best->all_columns && !watch->all_columns) ||
                                   bms_num_members(watch->columns) < bms_num_members(best->columns)))
      best = watch;
  }
  if (best || (wanted.key_count == 0 && wanted.range_column == 0) || list_length(watches) >= kMostWatches) return best;
  auto *generic = static_cast<Watch *>(palloc(sizeof(Watch)));
  *generic = wanted;
  generic->all_columns = true;
  generic->columns = nullptr;
  generic->predicate = NIL;
  IdentifyWatch(generic);
  return generic;
}

bool IsAmong(const List *watches, uint64_t id) {
  ListCell *cell;
  foreach (cell, watches)
    if (static_cast<Watch *>(lfirst(cell))->id == id) return true;
  return false;
}

bool IsUsedBy(Oid function, Oid relation, uint64_t watch) {
  ListCell *cell;
  foreach (cell, WatchUsesOfFunction(function)) {
    auto *use = static_cast<WatchUse *>(lfirst(cell));
    if (use->relation == relation && use->watch == watch) return true;
  }
  return false;
}

// False if the table has too many.
bool AddWatch(Oid function, Oid relation_oid, const Watch &wanted) {
  Relation relation = LockForWatches(relation_oid);
  List *watches = ReadWatches(relation);
  const Watch *watch = &wanted;
  if (!IsAmong(watches, wanted.id) && list_length(watches) >= kMostOwnWatches) watch = FindShared(watches, wanted);
  if (watch) {
    if (!IsAmong(watches, watch->id)) {
      InsertWatch(relation_oid, *watch);
      AnnounceWatches(relation);
    }
    if (!IsUsedBy(function, relation_oid, watch->id)) InsertWatchUse(function, relation_oid, watch->id);
    CommandCounterIncrement();
  }
  table_close(relation, NoLock);
  return watch != nullptr;
}

// Those among the watches that no function uses any more.
void DropUnusedWatches(Oid relation_oid, const List *watches) {
  if (!HasUnusedWatches(relation_oid, watches)) return;
  Relation relation = LockForWatches(relation_oid);
  if (DeleteUnusedWatches(relation_oid, watches) > 0) AnnounceWatches(relation);
  table_close(relation, NoLock);
}

// The watch of one table for another whose columns have the same names.
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

// ---- Functions --------------------------------------------------------------------------------------------------

// The tables whose writes carry the rows of a relation: itself, and for an inheritance parent its children. Partitions
// get the triggers of the table above them from PostgreSQL.
List *TablesOf(Oid relation) {
  List *tables = list_make1_oid(relation);
  bool pending;
  if (!IsPartitionedTable(relation)) tables = list_concat(tables, PartsOf(relation, &pending));
  return tables;
}

bool MayPutTriggersOn(Oid relation, Oid role) {
  return pg_class_aclcheck(relation, role, ACL_TRIGGER) == ACLCHECK_OK &&
         pg_class_aclcheck(relation, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK;
}

// The current role may, and so may the one on whose account it is: an administrator who does something about another
// role's function tracks no table that the other role may not track.
bool CanBeAttached(Oid relation, Oid role) {
  char kind = get_rel_relkind(relation);
  return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) && relation >= FirstNormalObjectId &&
         get_rel_persistence(relation) != RELPERSISTENCE_TEMP && MayAttach(relation, role);
}

// Why the writes of a table, or of a partition of it, are not seen, or NULL.
const char *FindTableObstacle(Oid table) {
  bool tracked, pending;
  const char *obstacle = FindTrackingObstacle(table, &tracked);
  ListCell *cell;
  if (obstacle == nullptr && IsPartitionedTable(table))
    foreach (cell, PartsOf(table, &pending))
      if (obstacle == nullptr) obstacle = FindTrackingObstacle(lfirst_oid(cell), &tracked);
  return obstacle;
}

// Tracks a table, as far as the role may. Returns why its writes are not seen, or NULL.
const char *TrackTable(Oid table, Oid role) {
  const char *obstacle = FindTableObstacle(table);
  if (obstacle == nullptr || !CanBeAttached(table, role)) return obstacle;
  AttachTable(table, false);
  return FindTableObstacle(table);
}

// Tracks all tables of a relation for the function. Returns why one of them is not, or NULL. *full is a table that has
// too many watches.
const char *TrackRelation(Oid function, Oid owner, Oid relation, const List *proposals, Oid *full) {
  List *tables = TablesOf(relation);
  const char *obstacle = nullptr;
  ListCell *cell, *proposed;
  foreach (cell, tables)
    if (obstacle == nullptr) obstacle = TrackTable(lfirst_oid(cell), owner);
  List *known = RelationsOfFunction(function);
  foreach (cell, tables) {
    Oid table = lfirst_oid(cell);
    // noted also where something is in the way, if there are triggers to be taken off again
    if (list_member_oid(known, table) || (obstacle && !CanBeAttached(table, owner))) continue;
    InsertDependency(function, table);
    if (obstacle || !CanBeAttached(table, owner)) continue;
    foreach (proposed, proposals) {
      auto *proposal = static_cast<WatchProposal *>(lfirst(proposed));
      if (proposal->relation == table && !AddWatch(function, table, proposal->watch)) *full = table;
    }
  }
  CommandCounterIncrement();
  return obstacle;
}

bool WasAttachedByHand(Oid table) {
  Relation relation = try_relation_open(table, AccessShareLock);
  if (relation == nullptr) return false;
  bool by_hand = IsAttachedByHand(relation);
  relation_close(relation, NoLock);
  return by_hand;
}

// Triggers of a statement that is writing the table, which calls us, may still have to fire.
bool HasPendingEvents(Oid table) {
  bool pending, found = AfterTriggerPendingOnRel(table);
  ListCell *cell;
  if (IsPartitionedTable(table))
    foreach (cell, PartsOf(table, &pending)) found |= AfterTriggerPendingOnRel(lfirst_oid(cell));
  return found;
}

// After a function has let go of a table. Who may not put triggers on it takes none off by dropping his function: they
// wait for somebody who may.
void Release(Oid relation, Oid role, const List *watches) {
  if (!Exists(relation)) return;
  if (get_rel_relkind(relation) == RELKIND_MATVIEW) return;  // nothing is on it
  if (FunctionsOfRelation(relation) == NIL && CanBeAttached(relation, role) && !WasAttachedByHand(relation) &&
      !HasPendingEvents(relation))
    DetachTable(relation);
  else
    DropUnusedWatches(relation, watches);
}

Oid OwnerOfFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->proowner;
  ReleaseSysCache(row);
  return owner;
}

// ---- Following up -----------------------------------------------------------------------------------------------

// What a child needs for one of its parents.
void AttachPart(Oid part, Relation parent, const List *watches, const List *functions) {
  Relation table = table_open(part, AccessShareLock);
  AttrMap *map = compat::MapColumns(RelationGetDescr(table), RelationGetDescr(parent));
  AttachTable(part, IsAttachedByHand(parent));
  ListCell *function, *watch;
  foreach (function, functions) {
    if (list_member_oid(RelationsOfFunction(lfirst_oid(function)), part)) continue;
    InsertDependency(lfirst_oid(function), part);
    foreach (watch, watches)
      (void)AddWatch(lfirst_oid(function), part, TranslateWatch(*static_cast<Watch *>(lfirst(watch)), map));
    CommandCounterIncrement();
  }
  table_close(table, NoLock);
}

Oid OwnerOfRelation(Oid relation) {
  HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(row)) return InvalidOid;
  Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relowner;
  ReleaseSysCache(row);
  return owner;
}

// A child that inherits from tracked parents is tracked as they are. A role that writes the parent may be the one that
// makes it, by triggers or an extension: the triggers are put on with the rights of the owner, if parent and child are
// one role's.
void AttachChild(Oid child) {
  if (!Exists(child) || get_rel_relispartition(child)) return;
  bool pending;
  List *parts = lcons_oid(child, PartsOf(child, &pending));
  List *parents = NIL;
  Relation catalog = table_open(InheritsRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(child));
  SysScanDesc scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan))
    parents = lappend_oid(parents, reinterpret_cast<Form_pg_inherits>(GETSTRUCT(row))->inhparent);
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);

  Oid role;
  int security;
  GetUserIdAndSecContext(&role, &security);
  ListCell *parent_cell, *part;
  foreach (parent_cell, parents) {
    List *functions = FunctionsOfRelation(lfirst_oid(parent_cell));
    Relation parent = table_open(lfirst_oid(parent_cell), AccessShareLock);
    const bool tracked = functions != NIL || (IsAttachedByHand(parent) && HasTrackingTriggers(parent));
    List *watches = tracked ? ReadWatches(parent) : NIL;
    foreach (part, parts) {
      Oid owner = parent->rd_rel->relowner;
      if (!tracked) continue;
      if (HasPendingEvents(lfirst_oid(part))) {
        NoteIn(&late_children, lfirst_oid(part));
        continue;
      }
      if (CanBeAttached(lfirst_oid(part), role)) {
        AttachPart(lfirst_oid(part), parent, watches, functions);
      } else if (OwnerOfRelation(lfirst_oid(part)) == owner) {
        SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
        if (CanBeAttached(lfirst_oid(part), owner)) AttachPart(lfirst_oid(part), parent, watches, functions);
        SetUserIdAndSecContext(role, security);
      }
    }
    table_close(parent, NoLock);
  }
}

// A partition loses the triggers of the table above it when it is detached; functions that name it still need them.
void ReattachDetached(Node *statement) {
  if (statement == nullptr || !IsA(statement, AlterTableStmt)) return;
  ListCell *cell;
  foreach (cell, reinterpret_cast<AlterTableStmt *>(statement)->cmds) {
    AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
    if (command->subtype != AT_DetachPartition && command->subtype != AT_DetachPartitionFinalize) continue;
    Oid partition = RangeVarGetRelid(reinterpret_cast<PartitionCmd *>(command->def)->name, NoLock, true);
    if (OidIsValid(partition) && CanBeAttached(partition, GetUserId()) && FunctionsOfRelation(partition) != NIL)
      AttachTable(partition, false);
  }
}

bool IsOfDatabase(void *database, const EntryInfo &entry) noexcept {
  return static_cast<Oid>(entry.function >> 32) == *static_cast<Oid *>(database);
}

// A later database may get the same oid, and tables in it those of this one.
void RemoveEntriesOfDatabase(Oid database) {
  ExpireTag(DatabaseTag(database));
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    LWLockAcquire(shared::PartitionLockAt(partition), LW_EXCLUSIVE);
    shared::store.RemoveIf(partition, IsOfDatabase, &database);
    LWLockRelease(shared::PartitionLockAt(partition));
  }
}

void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument) {
  if (previous_object_access) previous_object_access(access, class_id, object, sub_id, argument);
  if (sub_id != 0) return;
  // Sessions that are still in it may store after it began to be dropped; when the later one is made, nobody can.
  if (class_id == DatabaseRelationId && (access == OAT_DROP || access == OAT_POST_CREATE) && shared::state)
    RemoveEntriesOfDatabase(object);
  List **noted = nullptr;
  if (class_id == ProcedureRelationId && (access == OAT_DROP || access == OAT_POST_CREATE))
    noted = &changed_functions;
  else if (class_id == RelationRelationId && access == OAT_DROP)
    noted = &dropped_relations;
  else if (class_id == InheritsRelationId && access == OAT_POST_ALTER)
    noted = &new_children;
  if (noted) NoteIn(noted, object);
}

}  // namespace

bool MayAttach(Oid relation, Oid role) {
  if (!MayPutTriggersOn(relation, role)) return false;
  if (!IsPartitionedTable(relation)) return true;
  bool pending;
  ListCell *cell;
  foreach (cell, PartsOf(relation, &pending))
    if (!MayPutTriggersOn(lfirst_oid(cell), role)) return false;
  return true;
}

void AttachTable(Oid relation_oid, bool by_hand) {
  // Triggers that a partition has from above are put right from there, for all partitions.
  ListCell *cell;
  foreach (cell, PartitionAncestorsOf(relation_oid))
    if (FunctionsOfRelation(lfirst_oid(cell)) != NIL && MayAttach(lfirst_oid(cell), GetUserId()))
      AttachTable(lfirst_oid(cell), false);
  Relation relation = table_open(relation_oid, ShareRowExclusiveLock);
  bool marked = IsAttachedByHand(relation);
  if (!HasTrackingTriggers(relation) || !HavePartsTriggers(relation) || (by_hand && !marked)) {
    DeleteTrackingTriggers(relation);
    MakeTrackingTriggers(relation, by_hand || marked);
    RegisterWide(relation_oid);
    CommandCounterIncrement();
  }
  table_close(relation, NoLock);
}

void DetachTable(Oid relation_oid) {
  Relation relation = try_relation_open(relation_oid, ShareRowExclusiveLock);
  if (relation == nullptr) return;
  DeleteTrackingTriggers(relation);
  DeleteWatches(relation_oid);
  AnnounceWatches(relation);
  bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  relation_close(relation, NoLock);
  if (!partitioned) return;
  // Partitions have lost the triggers that they had from here.
  bool pending;
  ListCell *cell;
  foreach (cell, PartsOf(relation_oid, &pending))
    if (FunctionsOfRelation(lfirst_oid(cell)) != NIL && CanBeAttached(lfirst_oid(cell), GetUserId()))
      AttachTable(lfirst_oid(cell), false);
}

void ResizeCells(Oid relation_oid) {
  Relation relation = LockForWatches(relation_oid);
  List *replaced = NIL;
  ListCell *cell, *function;
  foreach (cell, ReadWatches(relation)) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    if (watch->range_column == 0) continue;
    Watch resized = *watch;
    resized.range_width = CellWidthOf(relation, watch->range_column);
    IdentifyWatch(&resized);
    if (resized.id == watch->id) continue;
    foreach (function, TakeWatchUses(relation_oid, watch->id))
      (void)AddWatch(lfirst_oid(function), relation_oid, resized);
    auto *use = static_cast<WatchUse *>(palloc(sizeof(WatchUse)));
    *use = {relation_oid, watch->id};
    replaced = lappend(replaced, use);
  }
  if (DeleteUnusedWatches(relation_oid, replaced) > 0) AnnounceWatches(relation);
  table_close(relation, NoLock);
}

void AttachFunction(Oid function, const Definition *definition, int level) {
  Oid owner = OwnerOfFunction(function);
  List *before = RelationsOfFunction(function);
  DeleteDependenciesOfFunction(function);
  List *watches = TakeWatchUsesOfFunction(function);
  CommandCounterIncrement();
  List *proposals = ProposeWatches(definition);
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.role != SourceRole::kNamed || (!source.tracked && source.obstacle == nullptr)) continue;
    Oid full = InvalidOid;
    const char *obstacle = TrackRelation(function, owner, source.relation, proposals, &full);
    if (OidIsValid(full))
      ereport(level, (errmsg("any change of table \"%s\" may invalidate results of function %s", get_rel_name(full),
                             definition->name),
                      errdetail("The table has as many watches as it can have.")));
    if (obstacle == nullptr) continue;
    ereport(level, (errmsg("function %s will not be cached", definition->name), errdetail("%s.", obstacle)));
  }
  ListCell *cell;
  foreach (cell, list_concat_unique_oid(before, RelationsOfFunction(function)))
    Release(lfirst_oid(cell), owner, watches);
}

void ForgetGone() {
  ListCell *cell;
  foreach (cell, RelationsOfGoneFunctions()) {
    Oid relation = lfirst_oid(cell);
    if (!Exists(relation)) {
      DeleteDependenciesOfRelation(relation);
      DeleteWatches(relation);
      DeleteCellWidths(relation);
      CommandCounterIncrement();
    } else if (get_rel_relkind(relation) == RELKIND_MATVIEW || CanBeAttached(relation, GetUserId())) {
      Release(relation, GetUserId(), ForgetGoneFunctions(relation));
    }
  }
}

void FollowUp(Node *statement) {
  if (FindExtension() == nullptr) {
    AbandonFollowUp();
    return;
  }
  ReattachDetached(statement);
  while (changed_functions != NIL || dropped_relations != NIL || new_children != NIL) {
    List *functions = changed_functions, *relations = dropped_relations, *children = new_children;
    changed_functions = dropped_relations = new_children = NIL;
    CommandCounterIncrement();
    if (FindExtension() == nullptr) return;
    List *released = NIL, *watches = NIL;
    ListCell *cell;
    foreach (cell, relations) {
      DeleteDependenciesOfRelation(lfirst_oid(cell));
      DeleteWatches(lfirst_oid(cell));
      DeleteCellWidths(lfirst_oid(cell));
    }
    CommandCounterIncrement();
    foreach (cell, functions) {
      if (IsCachedFunction(lfirst_oid(cell))) continue;
      List *read = RelationsOfFunction(lfirst_oid(cell));
      if (read == NIL) continue;
      DeleteDependenciesOfFunction(lfirst_oid(cell));
      watches = list_concat(watches, TakeWatchUsesOfFunction(lfirst_oid(cell)));
      released = list_concat_unique_oid(released, read);
    }
    CommandCounterIncrement();
    foreach (cell, released) Release(lfirst_oid(cell), GetUserId(), watches);
    foreach (cell, children) AttachChild(lfirst_oid(cell));
  }
}

void FollowUpAtCommit() {
  new_children = list_concat(new_children, late_children);
  late_children = NIL;
  if (new_children == NIL) return;
  PushActiveSnapshot(GetTransactionSnapshot());
  FollowUp(nullptr);
  PopActiveSnapshot();
}

void AbandonFollowUp() { changed_functions = dropped_relations = new_children = late_children = NIL; }

void InstallAttachHooks() {
  previous_object_access = object_access_hook;
  object_access_hook = OnObjectAccess;
}

}  // namespace aggcache
