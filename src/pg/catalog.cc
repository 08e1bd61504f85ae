#include "pg/server.h"

#include "pg/catalog.h"

#include "pg/dependencies.h"
#include "pg/shared.h"
#include "pg/tracking.h"
#include "pg/watches.h"

namespace aggcache {

namespace {

object_access_hook_type previous_object_access = nullptr;

// Dropped or replaced in this transaction and not yet looked at. In TopTransactionContext.
List *changed_functions = NIL;
List *dropped_relations = NIL;

enum DependencyAttribute { kDependencyFunction = 1, kDependencyRelation = 2 };
enum WatchAttribute { kWatchRelation = 1, kWatchColumns = 2 };

// Visits the rows of a catalog whose column `attribute` is `value`; deletes those for which visit says so.
template <class Visit>
void ForRows(const char *catalog_name, const char *index_name, AttrNumber attribute, Oid value, LOCKMODE lock,
             Visit visit) {
  Oid catalog_oid = ExtensionRelation(catalog_name);
  if (!OidIsValid(catalog_oid)) return;
  Relation catalog = table_open(catalog_oid, lock);
  ScanKeyData key;
  ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionRelation(index_name), true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan))
    if (visit(catalog, row)) CatalogTupleDelete(catalog, &row->t_self);
  systable_endscan(scan);
  table_close(catalog, NoLock);
}

Oid OidAttribute(Relation catalog, HeapTuple row, AttrNumber attribute) {
  bool is_null;
  return DatumGetObjectId(heap_getattr(row, attribute, RelationGetDescr(catalog), &is_null));
}

List *RelationsOfFunction(Oid function) {
  List *relations = NIL;
  ForRows("dependency", "dependency_pkey", kDependencyFunction, function, AccessShareLock,
          [&](Relation catalog, HeapTuple row) {
            relations = lappend_oid(relations, OidAttribute(catalog, row, kDependencyRelation));
            return false;
          });
  return relations;
}

bool HasFunctions(Oid relation) {
  bool found = false;
  ForRows("dependency", "dependency_relation_idx", kDependencyRelation, relation, AccessShareLock,
          [&](Relation, HeapTuple) {
            found = true;
            return false;
          });
  return found;
}

void DeleteAll(const char *catalog, const char *index, AttrNumber attribute, Oid value) {
  ForRows(catalog, index, attribute, value, RowExclusiveLock, [](Relation, HeapTuple) { return true; });
}

void InsertRow(const char *catalog_name, Datum first, Datum second) {
  Relation catalog = table_open(ExtensionRelation(catalog_name), RowExclusiveLock);
  Datum values[] = {first, second};
  bool nulls[] = {false, false};
  HeapTuple row = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

Oid ExtensionFunction(const char *name, int nargs, const Oid *types) {
  List *qualified = list_make2(makeString(pstrdup("aggcache")), makeString(pstrdup(name)));
  return LookupFuncName(qualified, nargs, types, false);
}

void MakeTrigger(Oid relation, const char *name, const char *function, int16 events, bool row) {
  CreateTrigStmt *statement = makeNode(CreateTrigStmt);
  statement->trigname = pstrdup(name);
  statement->funcname = list_make2(makeString(pstrdup("aggcache")), makeString(pstrdup(function)));
  statement->row = row;
  statement->timing = TRIGGER_TYPE_AFTER;
  statement->events = events;
  CreateTriggerFiringOn(statement, nullptr, relation, InvalidOid, InvalidOid, InvalidOid,
                        ExtensionFunction(function, 0, nullptr), InvalidOid, nullptr, false, false,
                        TRIGGER_FIRES_ALWAYS);
}

void DropOurTriggers(Relation relation) {
  Oid functions[] = {ExtensionFunction("track_row", 0, nullptr), ExtensionFunction("track_truncate", 0, nullptr)};
  List *triggers = NIL;
  if (relation->trigdesc)
    for (int i = 0; i < relation->trigdesc->numtriggers; i++) {
      const Trigger &trigger = relation->trigdesc->triggers[i];
      if (trigger.tgfoid == functions[0] || trigger.tgfoid == functions[1])
        triggers = lappend_oid(triggers, trigger.tgoid);
    }
  ListCell *cell;
  foreach (cell, triggers) {
    ObjectAddress address = {TriggerRelationId, lfirst_oid(cell), 0};
    performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
  }
}

struct KeyColumns {
  List *relations;  // parallel lists
  List *columns;
};

void AddKeyColumn(Oid relation, AttrNumber column, void *context) {
  auto *keys = static_cast<KeyColumns *>(context);
  ListCell *r, *c;
  forboth (r, keys->relations, c, keys->columns)
    if (lfirst_oid(r) == relation && lfirst_int(c) == column) return;
  keys->relations = lappend_oid(keys->relations, relation);
  keys->columns = lappend_int(keys->columns, column);
}

void AddWatch(Oid relation_oid, AttrNumber column) {
  Relation relation = table_open(relation_oid, ShareRowExclusiveLock);
  bool known = false;
  const TableWatches *watches = WatchesOf(relation);
  for (int i = 0; i < watches->count; i++)
    known |= watches->watches[i].column_count == 1 && watches->watches[i].columns[0].attribute == column;
  WatchColumn description;
  if (!known && DescribeWatchColumn(relation, column, &description, CurrentMemoryContext)) {
    Datum attribute = Int16GetDatum(column);
    ArrayType *columns = construct_array(&attribute, 1, INT2OID, sizeof(int16), true, TYPALIGN_SHORT);
    InsertRow("watch", ObjectIdGetDatum(relation_oid), PointerGetDatum(columns));
    RegisterWide(relation_oid);
    CacheInvalidateRelcache(relation);
    CommandCounterIncrement();
  }
  table_close(relation, NoLock);
}

void DetachIfUnused(Oid relation) {
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) || HasFunctions(relation)) return;
  if (get_rel_relkind(relation) == RELKIND_MATVIEW) return;  // nothing is on it
  DetachTable(relation);
}

bool IsCachedFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang;
  ReleaseSysCache(row);
  return language == get_language_oid("cached_sql", true);
}

bool IsOfDatabase(void *database, const EntryInfo &entry) noexcept {
  return static_cast<Oid>(entry.function >> 32) == *static_cast<Oid *>(database);
}

// A later database may get the same oid, and tables in it those of this one.
void RemoveEntriesOfDatabase(Oid database) {
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    LWLockAcquire(shared::PartitionLockAt(partition), LW_EXCLUSIVE);
    shared::store.RemoveIf(partition, IsOfDatabase, &database);
    LWLockRelease(shared::PartitionLockAt(partition));
  }
}

void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument) {
  if (previous_object_access) previous_object_access(access, class_id, object, sub_id, argument);
  if (sub_id != 0) return;
  bool function = class_id == ProcedureRelationId && (access == OAT_DROP || access == OAT_POST_CREATE);
  bool relation = class_id == RelationRelationId && access == OAT_DROP;
  if (class_id == DatabaseRelationId && access == OAT_DROP && shared::state) RemoveEntriesOfDatabase(object);
  if (!function && !relation) return;
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  if (function)
    changed_functions = lappend_oid(changed_functions, object);
  else
    dropped_relations = lappend_oid(dropped_relations, object);
  MemoryContextSwitchTo(outer);
}

}  // namespace

bool MayAttach(Oid relation) { return pg_class_aclcheck(relation, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK; }

void AttachTable(Oid relation_oid) {
  Relation relation = table_open(relation_oid, ShareRowExclusiveLock);
  if (!HasTrackingTriggers(relation)) {
    DropOurTriggers(relation);
    MakeTrigger(relation_oid, kRowTrigger, "track_row", TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE,
                true);
    MakeTrigger(relation_oid, kTruncateTrigger, "track_truncate", TRIGGER_TYPE_TRUNCATE, false);
    RegisterWide(relation_oid);
    CommandCounterIncrement();
  }
  table_close(relation, NoLock);
}

void DetachTable(Oid relation_oid) {
  Relation relation = try_relation_open(relation_oid, AccessExclusiveLock);
  if (relation == nullptr) return;
  DropOurTriggers(relation);
  DeleteAll("watch", "watch_pkey", kWatchRelation, relation_oid);
  CacheInvalidateRelcache(relation);
  relation_close(relation, NoLock);
  CommandCounterIncrement();
}

int AttachFunction(Oid function, const Definition *definition) {
  List *before = RelationsOfFunction(function);
  DeleteAll("dependency", "dependency_pkey", kDependencyFunction, function);
  CommandCounterIncrement();
  KeyColumns keys = {NIL, NIL};
  FindKeyColumns(definition, AddKeyColumn, &keys);
  int untracked = 0;
  for (int i = 0; i < definition->relation_count; i++) {
    Oid relation = definition->relations[i].relation;
    char kind = get_rel_relkind(relation);
    if (!definition->relations[i].tracked && definition->relations[i].obstacle == nullptr) continue;
    bool tracked;
    const char *obstacle = FindTrackingObstacle(relation, &tracked);
    if (obstacle && kind == RELKIND_RELATION && relation >= FirstNormalObjectId && MayAttach(relation) &&
        get_rel_persistence(relation) != RELPERSISTENCE_TEMP && !get_rel_relispartition(relation)) {
      AttachTable(relation);
      obstacle = FindTrackingObstacle(relation, &tracked);
    }
    if (obstacle) {
      untracked++;
      ereport(NOTICE, (errmsg("function %s will not be cached", definition->name), errdetail("%s.", obstacle)));
      continue;
    }
    InsertRow("dependency", ObjectIdGetDatum(function), ObjectIdGetDatum(relation));
    before = list_delete_oid(before, relation);
    // a watch that no trigger serves would promise what nobody keeps
    if (kind == RELKIND_MATVIEW || !MayAttach(relation)) continue;
    ListCell *r, *c;
    forboth (r, keys.relations, c, keys.columns)
      if (lfirst_oid(r) == relation) AddWatch(relation, lfirst_int(c));
  }
  CommandCounterIncrement();
  ListCell *cell;
  foreach (cell, before) DetachIfUnused(lfirst_oid(cell));
  return untracked;
}

void ForgetDropped() {
  while (changed_functions != NIL || dropped_relations != NIL) {
    List *functions = changed_functions, *relations = dropped_relations;
    changed_functions = dropped_relations = NIL;
    if (!OidIsValid(ExtensionRelation("dependency"))) return;
    CommandCounterIncrement();
    List *unused = NIL;
    ListCell *cell;
    foreach (cell, relations) {
      DeleteAll("dependency", "dependency_relation_idx", kDependencyRelation, lfirst_oid(cell));
      DeleteAll("watch", "watch_pkey", kWatchRelation, lfirst_oid(cell));
    }
    CommandCounterIncrement();
    foreach (cell, functions) {
      if (IsCachedFunction(lfirst_oid(cell))) continue;
      List *read = RelationsOfFunction(lfirst_oid(cell));
      if (read == NIL) continue;
      DeleteAll("dependency", "dependency_pkey", kDependencyFunction, lfirst_oid(cell));
      unused = list_concat_unique_oid(unused, read);
    }
    CommandCounterIncrement();
    foreach (cell, unused) DetachIfUnused(lfirst_oid(cell));
  }
}

void AbandonDropped() { changed_functions = dropped_relations = NIL; }

void InstallCatalogHooks() {
  previous_object_access = object_access_hook;
  object_access_hook = OnObjectAccess;
}

}  // namespace aggcache
