// Triggers are found in the relcache, made by PostgreSQL's own code, and deleted by code of our own, which does not
// lock readers out. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/triggers.h"

#include "pg/base/extension.h"

extern "C" {
#include "commands/comment.h"
}

namespace aggcache {

namespace {

constexpr char kRowTrigger[] = "aggcache_track";
constexpr char kTruncateTrigger[] = "aggcache_track_truncate";
constexpr char kByHand[] = "attached";

bool IsOurs(const Extension *extension, const Trigger &trigger) {
  return trigger.tgfoid == extension->track_row || trigger.tgfoid == extension->track_truncate;
}

// Whether a trigger of ours was put on this relation itself. One that somebody made a constraint is not taken off: it
// depends on more than we would delete.
bool IsPutOnHere(const Extension *extension, const Trigger &trigger) {
  return IsOurs(extension, trigger) && !trigger.tgisclone && !OidIsValid(trigger.tgconstraint);
}

bool IsByHand(const Trigger &trigger) { return trigger.tgnargs == 1 && strcmp(trigger.tgargs[0], kByHand) == 0; }

// Whether some trigger of the relation passes.
template <class Test>
bool AnyTrigger(Relation relation, Test test) {
  const TriggerDesc *triggers = relation->trigdesc;
  const Extension *extension = triggers ? FindExtension() : nullptr;
  if (extension == nullptr) return false;
  triggers = relation->trigdesc;
  for (int i = 0; triggers && i < triggers->numtriggers; i++)
    if (test(extension, triggers->triggers[i])) return true;
  return false;
}

// The wanted name, with a number behind it if that is taken on one of the tables. A role that may put triggers on a
// table can have taken any name there.
const char *FreeName(const char *wanted, const List *tables) {
  const char *name = wanted;
  for (int number = 1;; number++) {
    bool taken = false;
    ListCell *cell;
    foreach (cell, tables) taken |= OidIsValid(get_trigger_oid(lfirst_oid(cell), name, true));
    if (!taken) return name;
    CHECK_FOR_INTERRUPTS();
    name = psprintf("%s_%d", wanted, number);
  }
}

void MakeTrigger(Oid relation, const char *name, Oid function, int16 events, bool row, bool by_hand) {
  CreateTrigStmt *statement = makeNode(CreateTrigStmt);
  statement->trigname = pstrdup(name);
  statement->funcname = list_make1(makeString(get_func_name(function)));
  if (by_hand) statement->args = list_make1(makeString(pstrdup(kByHand)));
  statement->row = row;
  statement->timing = TRIGGER_TYPE_AFTER;
  statement->events = events;
  CreateTriggerFiringOn(statement, nullptr, relation, InvalidOid, InvalidOid, InvalidOid, function, InvalidOid, nullptr,
                        false, false, TRIGGER_FIRES_ALWAYS);
}

List *ClonesOf(Oid trigger) {
  List *clones = NIL;
  Relation catalog = table_open(DependRelationId, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(TriggerRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
  SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, keys);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
    if (form->classid == TriggerRelationId && form->deptype == DEPENDENCY_PARTITION_PRI)
      clones = lappend_oid(clones, form->objid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return clones;
}

// What performDeletion() does, which would lock the table against readers too. They do not look at triggers: whoever
// fires them holds ROW EXCLUSIVE, and whoever changes them holds at least SHARE ROW EXCLUSIVE, as ALTER TABLE …
// DISABLE TRIGGER does, so this lock keeps both out. A reader that has the table open gets a new list of triggers
// with the message, as it does when one is made. A pg_dump whose snapshot is older finds the row, and no definition of
// the trigger any more, as with other objects that it does not lock.
void DeleteTrigger(Oid trigger) {
  // against others that delete it from another end, as DROP EXTENSION … CASCADE does
  LockDatabaseObject(TriggerRelationId, trigger, 0, AccessExclusiveLock);
  ListCell *cell;
  foreach (cell, ClonesOf(trigger)) DeleteTrigger(lfirst_oid(cell));
  Relation catalog = table_open(TriggerRelationId, RowExclusiveLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
  SysScanDesc scan = systable_beginscan(catalog, TriggerOidIndexId, true, nullptr, 1, &key);
  HeapTuple row = systable_getnext(scan);
  if (HeapTupleIsValid(row)) {
    InvokeObjectDropHook(TriggerRelationId, trigger, 0);
    Oid relation = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row))->tgrelid;
    CatalogTupleDelete(catalog, &row->t_self);
    deleteDependencyRecordsFor(TriggerRelationId, trigger, false);
    DeleteComments(trigger, TriggerRelationId, 0);
    CacheInvalidateRelcacheByRelid(relation);
  }
  systable_endscan(scan);
  table_close(catalog, RowExclusiveLock);
}

Oid RelationOfTrigger(Oid trigger) {
  Relation catalog = table_open(TriggerRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
  SysScanDesc scan = systable_beginscan(catalog, TriggerOidIndexId, true, nullptr, 1, &key);
  HeapTuple row = systable_getnext(scan);
  Oid relation = HeapTupleIsValid(row) ? reinterpret_cast<Form_pg_trigger>(GETSTRUCT(row))->tgrelid : InvalidOid;
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return relation;
}

// The relation, and of a partitioned table all below it, which get locked.
List *WithPartitions(Relation relation) {
  if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) return list_make1_oid(RelationGetRelid(relation));
  return find_all_inheritors(RelationGetRelid(relation), ShareRowExclusiveLock, nullptr);
}

}  // namespace

bool HasTrackingTriggers(Relation relation) {
  auto sees_rows = [](const Extension *extension, const Trigger &trigger) {
    return trigger.tgfoid == extension->track_row && trigger.tgenabled == TRIGGER_FIRES_ALWAYS &&
           trigger.tgqual == nullptr && trigger.tgnattr == 0 && trigger.tgoldtable == nullptr &&
           trigger.tgnewtable == nullptr && !trigger.tgdeferrable &&
           trigger.tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
                              TRIGGER_TYPE_DELETE);
  };
  auto sees_truncate = [](const Extension *extension, const Trigger &trigger) {
    return trigger.tgfoid == extension->track_truncate && trigger.tgenabled == TRIGGER_FIRES_ALWAYS &&
           trigger.tgqual == nullptr &&
           trigger.tgtype == (TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_TRUNCATE);
  };
  if (!AnyTrigger(relation, sees_rows)) return false;
  // Of partitions, TRUNCATE shows in the relcache messages; triggers on it are not passed on to them.
  return relation->rd_rel->relispartition || relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
         AnyTrigger(relation, sees_truncate);
}

bool HasAnyTrackingTrigger(Relation relation) { return AnyTrigger(relation, IsOurs); }

bool IsAttachedByHand(Relation relation) {
  return AnyTrigger(relation, [](const Extension *extension, const Trigger &trigger) {
    return IsPutOnHere(extension, trigger) && IsByHand(trigger);
  });
}

List *TrackedRelations() {
  const Extension *extension = FindExtension();
  if (extension == nullptr) return NIL;
  List *relations = NIL;
  Relation catalog = table_open(DependRelationId, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(ProcedureRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(extension->track_row));
  SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, keys);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
    Oid relation = form->classid == TriggerRelationId ? RelationOfTrigger(form->objid) : InvalidOid;
    if (OidIsValid(relation)) relations = lappend_oid(relations, relation);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return relations;
}

void MakeTrackingTriggers(Relation relation, bool by_hand) {
  const Extension *extension = RequireExtension();
  Oid track_row = extension->track_row, track_truncate = extension->track_truncate;
  Oid oid = RelationGetRelid(relation);
  bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  const List *tables = WithPartitions(relation);
  // Partitions get a trigger of the same name, and may have one of their own.
  const char *name = FreeName(partitioned ? psprintf("%s_%u", kRowTrigger, oid) : kRowTrigger, tables);
  MakeTrigger(oid, name, track_row, TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE, true, by_hand);
  if (!partitioned)
    MakeTrigger(oid, FreeName(kTruncateTrigger, tables), track_truncate, TRIGGER_TYPE_TRUNCATE, false, by_hand);
  CommandCounterIncrement();
}

void DeleteTrackingTriggers(Relation relation) {
  List *triggers = NIL;
  AnyTrigger(relation, [&](const Extension *extension, const Trigger &trigger) {
    if (IsPutOnHere(extension, trigger)) triggers = lappend_oid(triggers, trigger.tgoid);
    return false;
  });
  if (triggers == NIL) return;
  ListCell *cell;
  foreach (cell, WithPartitions(relation))
    if (AfterTriggerPendingOnRel(lfirst_oid(cell)))
      ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                      errmsg("cannot take the tracking triggers from \"%s\" because it has pending trigger events",
                             get_rel_name(lfirst_oid(cell)))));
  foreach (cell, triggers) DeleteTrigger(lfirst_oid(cell));
  CommandCounterIncrement();
}

}  // namespace aggcache
