// All scans are ForRows, which can delete what it visits. Keeps no state: the tables are read each time, under
// PostgreSQL's locks on tables; they are found by extension.h.

#include "pg/base/server.h"

#include "pg/watch/catalog.h"

#include "pg/base/extension.h"

namespace aggcache {

namespace {

using Member = Oid Extension::*;

enum DependencyAttribute { kDependencyFunction = 1, kDependencyRelation = 2 };
enum ProgramAttribute { kProgramFunction = 1, kProgramRelation = 2, kProgramId = 3, kProgramText = 4 };

// Visits the rows of a catalog whose column `attribute`, the first of the index, is `value`, or all if that is 0;
// deletes those for which visit says so. Returns how many it deleted.
template <class Visit>
int ForRows(Member catalog_member, Member index_member, AttrNumber attribute, Oid value, LOCKMODE lock, Visit visit) {
  const Extension *extension = FindExtension();
  if (extension == nullptr) return 0;
  Oid index = extension->*index_member;
  int deleted = 0;
  Relation catalog = table_open(extension->*catalog_member, lock);
  ScanKeyData key;
  ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
  SysScanDesc scan = systable_beginscan(catalog, index, true, nullptr, OidIsValid(value) ? 1 : 0, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    if (!visit(catalog, row)) continue;
    CatalogTupleDelete(catalog, &row->t_self);
    deleted++;
  }
  systable_endscan(scan);
  table_close(catalog, NoLock);
  return deleted;
}

void DeleteAll(Member catalog, Member index, AttrNumber attribute, Oid value) {
  ForRows(catalog, index, attribute, value, RowExclusiveLock, [](Relation, HeapTuple) { return true; });
}

Datum AttributeOfRow(Relation catalog, HeapTuple row, AttrNumber attribute) {
  bool is_null;
  return heap_getattr(row, attribute, RelationGetDescr(catalog), &is_null);
}

void InsertRow(Member catalog_member, Datum *values) {
  Relation catalog = table_open(RequireExtension()->*catalog_member, RowExclusiveLock);
  bool nulls[4] = {false};
  HeapTuple row = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

// The values of a column in rows of aggcache.dependency.
List *CollectOids(Member index, AttrNumber by, Oid value, AttrNumber wanted) {
  List *oids = NIL;
  ForRows(&Extension::dependency, index, by, value, AccessShareLock, [&](Relation catalog, HeapTuple row) {
    oids = lappend_oid(oids, DatumGetObjectId(AttributeOfRow(catalog, row, wanted)));
    return false;
  });
  return oids;
}

uint64_t WatchOf(Relation catalog, HeapTuple row, AttrNumber attribute) {
  return static_cast<uint64_t>(DatumGetInt64(AttributeOfRow(catalog, row, attribute)));
}

bool IsWatchUsed(Oid relation, uint64_t watch) {
  bool used = false;
  ForRows(&Extension::watch_use, &Extension::watch_use_relation_idx, kUseRelation, relation, AccessShareLock,
          [&](Relation catalog, HeapTuple row) {
            used |= WatchOf(catalog, row, kUseWatch) == watch;
            return false;
          });
  return used;
}

// Adds the relations in rows whose function is not there any more.
List *GoneFunctions(Member catalog, Member index, AttrNumber function_attribute, AttrNumber relation_attribute,
                    List *relations) {
  ForRows(catalog, index, 0, InvalidOid, AccessShareLock, [&](Relation table, HeapTuple row) {
    if (!IsCachedFunction(DatumGetObjectId(AttributeOfRow(table, row, function_attribute))))
      relations = list_append_unique_oid(relations, DatumGetObjectId(AttributeOfRow(table, row, relation_attribute)));
    return false;
  });
  return relations;
}

}  // namespace

List *RelationsOfGoneFunctions() {
  List *relations =
      GoneFunctions(&Extension::dependency, &Extension::dependency_pkey, kDependencyFunction, kDependencyRelation, NIL);
  return GoneFunctions(&Extension::watch_use, &Extension::watch_use_pkey, kUseFunction, kUseRelation, relations);
}

List *ForgetGoneFunctions(Oid relation) {
  ForRows(&Extension::program, &Extension::program_relation_idx, kProgramRelation, relation, ShareRowExclusiveLock,
          [](Relation catalog, HeapTuple row) {
            return !IsCachedFunction(DatumGetObjectId(AttributeOfRow(catalog, row, kProgramFunction)));
          });
  ForRows(&Extension::dependency, &Extension::dependency_relation_idx, kDependencyRelation, relation,
          ShareRowExclusiveLock, [](Relation catalog, HeapTuple row) {
            return !IsCachedFunction(DatumGetObjectId(AttributeOfRow(catalog, row, kDependencyFunction)));
          });
  List *uses = NIL;
  ForRows(&Extension::watch_use, &Extension::watch_use_relation_idx, kUseRelation, relation, ShareRowExclusiveLock,
          [&](Relation catalog, HeapTuple row) {
            if (IsCachedFunction(DatumGetObjectId(AttributeOfRow(catalog, row, kUseFunction)))) return false;
            auto *use = static_cast<WatchUse *>(palloc(sizeof(WatchUse)));
            *use = {relation, WatchOf(catalog, row, kUseWatch)};
            uses = lappend(uses, use);
            return true;
          });
  CommandCounterIncrement();
  return uses;
}

List *RelationsOfFunction(Oid function) {
  return CollectOids(&Extension::dependency_pkey, kDependencyFunction, function, kDependencyRelation);
}

List *FunctionsOfRelation(Oid relation) {
  List *functions = NIL;
  ListCell *cell;
  foreach (cell, CollectOids(&Extension::dependency_relation_idx, kDependencyRelation, relation, kDependencyFunction))
    if (IsCachedFunction(lfirst_oid(cell))) functions = lappend_oid(functions, lfirst_oid(cell));
  return functions;
}

void InsertDependency(Oid function, Oid relation) {
  Datum values[] = {ObjectIdGetDatum(function), ObjectIdGetDatum(relation)};
  InsertRow(&Extension::dependency, values);
}

void DeleteDependenciesOfFunction(Oid function) {
  DeleteAll(&Extension::dependency, &Extension::dependency_pkey, kDependencyFunction, function);
}

void DeleteDependenciesOfRelation(Oid relation) {
  DeleteAll(&Extension::dependency, &Extension::dependency_relation_idx, kDependencyRelation, relation);
}

bool HasUnusedWatches(Oid relation, const List *among) {
  ListCell *cell;
  foreach (cell, among) {
    auto *use = static_cast<WatchUse *>(lfirst(cell));
    if (use->relation == relation && !IsWatchUsed(relation, use->watch)) return true;
  }
  return false;
}

void InsertWatchUse(Oid function, Oid relation, const Watch &watch) {
  Relation catalog = table_open(RequireExtension()->watch_use, RowExclusiveLock);
  HeapTuple row = FormUseRow(catalog, function, relation, watch);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

namespace {

// A list of WatchUse; `take`: deletes their rows.
List *UsesOfFunction(Oid function, bool take) {
  List *uses = NIL;
  ForRows(&Extension::watch_use, &Extension::watch_use_pkey, kUseFunction, function,
          take ? RowExclusiveLock : AccessShareLock, [&](Relation catalog, HeapTuple row) {
            auto *use = static_cast<WatchUse *>(palloc(sizeof(WatchUse)));
            use->relation = DatumGetObjectId(AttributeOfRow(catalog, row, kUseRelation));
            use->watch = WatchOf(catalog, row, kUseWatch);
            uses = lappend(uses, use);
            return take;
          });
  return uses;
}

}  // namespace

List *WatchUsesOfFunction(Oid function) { return UsesOfFunction(function, false); }

List *TakeWatchUsesOfFunction(Oid function) { return UsesOfFunction(function, true); }

List *TakeWatchUses(Oid relation, uint64_t watch) {
  List *functions = NIL;
  ForRows(&Extension::watch_use, &Extension::watch_use_relation_idx, kUseRelation, relation, RowExclusiveLock,
          [&](Relation catalog, HeapTuple row) {
            if (WatchOf(catalog, row, kUseWatch) != watch) return false;
            functions = lappend_oid(functions, DatumGetObjectId(AttributeOfRow(catalog, row, kUseFunction)));
            return true;
          });
  CommandCounterIncrement();
  return functions;
}

void InsertWatch(Oid relation, const Watch &watch) {
  Relation catalog = table_open(RequireExtension()->watch, RowExclusiveLock);
  HeapTuple row = FormWatchRow(catalog, relation, watch);
  CatalogTupleInsert(catalog, row);
  heap_freetuple(row);
  table_close(catalog, NoLock);
}

void DeleteWatches(Oid relation) {
  DeleteAll(&Extension::watch_use, &Extension::watch_use_relation_idx, kUseRelation, relation);
  DeleteAll(&Extension::watch, &Extension::watch_pkey, kWatchRelation, relation);
  DeleteAll(&Extension::program, &Extension::program_relation_idx, kProgramRelation, relation);
}

void InsertProgram(Oid function, Oid relation, uint64_t id, const char *text) {
  Datum values[] = {ObjectIdGetDatum(function), ObjectIdGetDatum(relation), Int64GetDatum(static_cast<int64>(id)),
                    CStringGetTextDatum(text)};
  InsertRow(&Extension::program, values);
}

void DeleteProgramsOfFunction(Oid function) {
  DeleteAll(&Extension::program, &Extension::program_pkey, kProgramFunction, function);
}

char *FindProgramText(Oid relation, uint64_t id) {
  char *found = nullptr;
  ForRows(&Extension::program, &Extension::program_relation_idx, kProgramRelation, relation, AccessShareLock,
          [&](Relation catalog, HeapTuple row) {
            if (found == nullptr && WatchOf(catalog, row, kProgramId) == id)
              found = TextDatumGetCString(AttributeOfRow(catalog, row, kProgramText));
            return false;
          });
  return found;
}

int DeleteOtherWatches(Oid relation, List **watches) {
  return ForRows(&Extension::watch, &Extension::watch_pkey, kWatchRelation, relation, RowExclusiveLock,
                 [&](Relation catalog, HeapTuple row) {
                   const uint64_t id = WatchOf(catalog, row, kWatchId);
                   ListCell *cell;
                   foreach (cell, *watches) {
                     if (static_cast<Watch *>(lfirst(cell))->id != id) continue;
                     *watches = foreach_delete_current(*watches, cell);
                     return false;
                   }
                   return true;
                 });
}

void SetCellWidth(Oid relation, Name column, int64_t width) {
  ForRows(&Extension::cell_width, &Extension::cell_width_pkey, 1, relation, RowExclusiveLock,
          [&](Relation catalog, HeapTuple row) {
            return namestrcmp(DatumGetName(AttributeOfRow(catalog, row, 2)), NameStr(*column)) == 0;
          });
  CommandCounterIncrement();
  if (width == 0) return;
  Datum values[] = {ObjectIdGetDatum(relation), NameGetDatum(column), Int64GetDatum(width)};
  InsertRow(&Extension::cell_width, values);
}

void DeleteCellWidths(Oid relation) { DeleteAll(&Extension::cell_width, &Extension::cell_width_pkey, 1, relation); }

}  // namespace aggcache
