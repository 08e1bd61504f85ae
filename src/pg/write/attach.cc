// Triggers and watches of a table change under SHARE ROW EXCLUSIVE, which keeps writers out and lets readers in. Keeps
// no state: who needs what is in the extension's catalogs (watch/catalog.h).

#include "pg/base/server.h"

#include "pg/write/attach.h"

#include "pg/base/extension.h"
#include "pg/facts/function_facts.h"
#include "pg/facts/partitions.h"
#include "pg/facts/tracked.h"
#include "pg/facts/triggers.h"
#include "pg/keep/kept_state.h"
#include "pg/watch/catalog.h"
#include "pg/watch/dependencies.h"
#include "pg/write/registration.h"
#include "pg/write/watch_uses.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

bool RelationExists(Oid relation) { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); }

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

// The tables whose writes carry the rows of a relation: itself, and for an inheritance parent its children. Partitions
// get the triggers of the table above them from PostgreSQL.
List *TablesOf(Oid relation) {
  List *tables = list_make1_oid(relation);
  bool pending;
  if (!IsPartitionedTable(relation)) tables = list_concat(tables, PartsOf(relation, &pending));
  return tables;
}

// Both the role and the current one may.
bool MayPutTriggersOn(Oid relation, Oid role) {
  return pg_class_aclcheck(relation, role, ACL_TRIGGER) == ACLCHECK_OK &&
         pg_class_aclcheck(relation, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK;
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
    bool asked = false;
    foreach (proposed, proposals) {
      auto *proposal = static_cast<WatchProposal *>(lfirst(proposed));
      if (proposal->relation != table) continue;
      if (AskForWatch(function, table, proposal->watch))
        asked = true;
      else
        *full = table;
    }
    if (asked) PutWatchesInForce(table);
  }
  CommandCounterIncrement();
  return obstacle;
}

// Notes what rows contribute to results of the function, if it can be told. Writers that have looked for it in vain
// look again.
void PutProgram(Oid function, Oid owner, const Definition *definition) {
  const KeptState *kept = KeptStateOf(definition);
  if (kept->program == nullptr || !list_member_oid(RelationsOfFunction(function), kept->relation)) return;
  // Writers of the tables evaluate it: that is for those who may put triggers on them.
  ListCell *cell;
  foreach (cell, TablesOf(kept->relation))
    if (!CanBeAttached(lfirst_oid(cell), owner)) return;
  InsertProgram(function, kept->relation, kept->program->id[0], kept->program->text);
  CommandCounterIncrement();
}

bool WasAttachedByHand(Oid table) {
  Relation relation = try_relation_open(table, AccessShareLock);
  if (relation == nullptr) return false;
  bool by_hand = IsAttachedByHand(relation);
  relation_close(relation, NoLock);
  return by_hand;
}

Oid OwnerOfFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->proowner;
  ReleaseSysCache(row);
  return owner;
}

}  // namespace

bool CanBeAttached(Oid relation, Oid role) {
  char kind = get_rel_relkind(relation);
  return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) && relation >= FirstNormalObjectId &&
         get_rel_persistence(relation) != RELPERSISTENCE_TEMP && MayAttach(relation, role);
}

bool HasPendingEvents(Oid table) {
  bool pending, found = AfterTriggerPendingOnRel(table);
  ListCell *cell;
  if (IsPartitionedTable(table))
    foreach (cell, PartsOf(table, &pending)) found |= AfterTriggerPendingOnRel(lfirst_oid(cell));
  return found;
}

void ReleaseTable(Oid relation, Oid role, const List *watches) {
  if (!RelationExists(relation)) return;
  if (get_rel_relkind(relation) == RELKIND_MATVIEW) return;  // nothing is on it
  if (FunctionsOfRelation(relation) == NIL && CanBeAttached(relation, role) && !WasAttachedByHand(relation) &&
      !HasPendingEvents(relation))
    DetachTable(relation);
  else
    DropUnusedWatches(relation, watches);
}

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

void AttachFunction(Oid function, const Definition *definition, int level) {
  Oid owner = OwnerOfFunction(function);
  List *before = RelationsOfFunction(function);
  DeleteDependenciesOfFunction(function);
  DeleteProgramsOfFunction(function);
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
  PutProgram(function, owner, definition);
  ListCell *cell;
  foreach (cell, list_concat_unique_oid(before, RelationsOfFunction(function)))
    ReleaseTable(lfirst_oid(cell), owner, watches);
}

void ForgetGone() {
  ListCell *cell;
  foreach (cell, RelationsOfGoneFunctions()) {
    Oid relation = lfirst_oid(cell);
    if (!RelationExists(relation)) {
      DeleteDependenciesOfRelation(relation);
      DeleteWatches(relation);
      DeleteCellWidths(relation);
      CommandCounterIncrement();
    } else if (get_rel_relkind(relation) == RELKIND_MATVIEW || CanBeAttached(relation, GetUserId())) {
      ReleaseTable(relation, GetUserId(), ForgetGoneFunctions(relation));
    }
  }
}

}  // namespace aggcache
