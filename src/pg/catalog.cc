#include "pg/server.h"

#include "pg/catalog.h"

namespace aggcache {

namespace {

enum DependencyAttribute { kDependencyFunction = 1, kDependencyRelation = 2 };
enum UseAttribute { kUseFunction = 1, kUseRelation = 2, kUseWatch = 3 };

// Visits the rows of a catalog whose column `attribute`, the first of the index, is `value`; deletes those for which
// visit says so. Returns how many it deleted.
template <class Visit>
int ForRows(const char *catalog_name, const char *index_name, AttrNumber attribute, Oid value, LOCKMODE lock,
            Visit visit) {
  Oid catalog_oid = ExtensionRelation(catalog_name);
  if (!OidIsValid(catalog_oid)) return 0;
  int deleted = 0;
  Relation catalog = table_open(catalog_oid, lock);
  ScanKeyData key;
  ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionRelation(index_name), true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    if (!visit(catalog, row)) continue;
    CatalogTupleDelete(catalog, &row->t_self);
    deleted++;
  }
  systable_endscan(scan);
  table_close(catalog, NoLock);
  return deleted;
}

void DeleteAll(const char *catalog, const char *index, AttrNumber attribute, Oid value) {
  ForRows(catalog, index, attribute, value, RowExclusiveLock, [](Relation, HeapTuple) { return true; });
}

Datum Attribute(Relation catalog, HeapTuple row, AttrNumber attribute) {
  bool is_null;
  return heap_getattr(row, attribute, RelationGetDescr(catalog), &is_null);
}

void InsertRow(const char *catalog_name, Datum *values) {
  Relation catalog = table_open(ExtensionRelation(catalog_name), RowExclusiveLock);
  bool nulls[4] = {false};
  HeapTuple row = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

List *CollectOids(const char *index, AttrNumber by, Oid value, AttrNumber wanted) {
  List *oids = NIL;
  ForRows("dependency", index, by, value, AccessShareLock, [&](Relation catalog, HeapTuple row) {
    oids = lappend_oid(oids, DatumGetObjectId(Attribute(catalog, row, wanted)));
    return false;
  });
  return oids;
}

uint64_t WatchOf(Relation catalog, HeapTuple row, AttrNumber attribute) {
  return static_cast<uint64_t>(DatumGetInt64(Attribute(catalog, row, attribute)));
}

bool IsWatchUsed(Oid relation, uint64_t watch) {
  bool used = false;
  ForRows("watch_use", "watch_use_relation_idx", kUseRelation, relation, AccessShareLock,
          [&](Relation catalog, HeapTuple row) {
            used |= WatchOf(catalog, row, kUseWatch) == watch;
            return false;
          });
  return used;
}

}  // namespace

List *RelationsOfFunction(Oid function) {
  return CollectOids("dependency_pkey", kDependencyFunction, function, kDependencyRelation);
}

List *FunctionsOfRelation(Oid relation) {
  return CollectOids("dependency_relation_idx", kDependencyRelation, relation, kDependencyFunction);
}

void InsertDependency(Oid function, Oid relation) {
  Datum values[] = {ObjectIdGetDatum(function), ObjectIdGetDatum(relation)};
  InsertRow("dependency", values);
}

void DeleteDependenciesOfFunction(Oid function) {
  DeleteAll("dependency", "dependency_pkey", kDependencyFunction, function);
}

void DeleteDependenciesOfRelation(Oid relation) {
  DeleteAll("dependency", "dependency_relation_idx", kDependencyRelation, relation);
}

bool HasUnusedWatches(Oid relation) {
  bool found = false;
  ForRows("watch", "watch_pkey", kWatchRelation, relation, AccessShareLock, [&](Relation catalog, HeapTuple row) {
    found |= !IsWatchUsed(relation, WatchOf(catalog, row, kWatchId));
    return false;
  });
  return found;
}

void InsertWatchUse(Oid function, Oid relation, uint64_t watch) {
  Datum values[] = {ObjectIdGetDatum(function), ObjectIdGetDatum(relation), Int64GetDatum(static_cast<int64>(watch))};
  InsertRow("watch_use", values);
}

void DeleteWatchUsesOfFunction(Oid function) { DeleteAll("watch_use", "watch_use_pkey", kUseFunction, function); }

List *TakeWatchUses(Oid relation, uint64_t watch) {
  List *functions = NIL;
  ForRows("watch_use", "watch_use_relation_idx", kUseRelation, relation, RowExclusiveLock,
          [&](Relation catalog, HeapTuple row) {
            if (WatchOf(catalog, row, kUseWatch) != watch) return false;
            functions = lappend_oid(functions, DatumGetObjectId(Attribute(catalog, row, kUseFunction)));
            return true;
          });
  CommandCounterIncrement();
  return functions;
}

void InsertWatch(Oid relation, const Watch &watch) {
  Relation catalog = table_open(ExtensionRelation("watch"), RowExclusiveLock);
  HeapTuple row = FormWatchRow(catalog, relation, watch);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

int DeleteWatches(Oid relation, bool only_unused) {
  if (!only_unused) DeleteAll("watch_use", "watch_use_relation_idx", kUseRelation, relation);
  return ForRows("watch", "watch_pkey", kWatchRelation, relation, RowExclusiveLock,
                 [&](Relation catalog, HeapTuple row) {
                   return !only_unused || !IsWatchUsed(relation, WatchOf(catalog, row, kWatchId));
                 });
}

void SetCellWidth(Oid relation, Name column, int64_t width) {
  ForRows("cell_width", "cell_width_pkey", 1, relation, RowExclusiveLock, [&](Relation catalog, HeapTuple row) {
    return namestrcmp(DatumGetName(Attribute(catalog, row, 2)), NameStr(*column)) == 0;
  });
  CommandCounterIncrement();
  if (width == 0) return;
  Datum values[] = {ObjectIdGetDatum(relation), NameGetDatum(column), Int64GetDatum(width)};
  InsertRow("cell_width", values);
}

void DeleteCellWidths(Oid relation) { DeleteAll("cell_width", "cell_width_pkey", 1, relation); }

}  // namespace aggcache
