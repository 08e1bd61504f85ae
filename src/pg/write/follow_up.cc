// What DDL leaves to be done at the end of its statement: functions and tables that are gone, tables that have got a
// parent, partitions that were detached. What the object access hook notes lies in TopTransactionContext.

#include "pg/base/server.h"

#include "pg/write/follow_up.h"

#include "core/tag.h"
#include "pg/base/extension.h"
#include "pg/base/shared.h"
#include "pg/facts/partitions.h"
#include "pg/facts/triggers.h"
#include "pg/watch/catalog.h"
#include "pg/write/attach.h"
#include "pg/write/registration.h"
#include "pg/write/watch_uses.h"

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

bool RelationExists(Oid relation) { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); }

// What a child needs for one of its parents.
void AttachPart(Oid part, Relation parent, const List *watches, const List *functions) {
  Relation table = table_open(part, AccessShareLock);
  AttrMap *map = compat::MapColumns(RelationGetDescr(table), RelationGetDescr(parent));
  AttachTable(part, IsAttachedByHand(parent));
  ListCell *function, *watch, *use;
  bool asked = false;
  foreach (function, functions) {
    if (list_member_oid(RelationsOfFunction(lfirst_oid(function)), part)) continue;
    InsertDependency(lfirst_oid(function), part);
    List *uses = WatchUsesOfFunction(lfirst_oid(function));
    foreach (watch, watches)
      foreach (use, uses) {
        auto *wanted = static_cast<Watch *>(lfirst(watch));
        auto *of_function = static_cast<WatchUse *>(lfirst(use));
        if (of_function->relation == RelationGetRelid(parent) && of_function->watch == wanted->id)
          asked |= AskForWatch(lfirst_oid(function), part, TranslateWatch(*wanted, map));
      }
    CommandCounterIncrement();
  }
  if (asked) PutWatchesInForce(part);
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
  if (!RelationExists(child) || get_rel_relispartition(child)) return;
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
    List *watches = tracked ? ReadWantedWatches(parent) : NIL;
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

// The hook: notes what FollowUp has to look at when the statement is done. Results of a database go at once.
void NoteForFollowUp(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument) {
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
      DeleteProgramsOfFunction(lfirst_oid(cell));
      watches = list_concat(watches, TakeWatchUsesOfFunction(lfirst_oid(cell)));
      released = list_concat_unique_oid(released, read);
    }
    CommandCounterIncrement();
    foreach (cell, released) ReleaseTable(lfirst_oid(cell), GetUserId(), watches);
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

void InstallFollowUpHook() {
  previous_object_access = object_access_hook;
  object_access_hook = NoteForFollowUp;
}

}  // namespace aggcache
