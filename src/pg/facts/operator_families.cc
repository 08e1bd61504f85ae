// Read from the operator classes of indexes and partition keys. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/operator_families.h"

#include "pg/facts/function_facts.h"
#include "pg/facts/partitions.h"

extern "C" {
#include "catalog/pg_partitioned_table.h"
}

namespace aggcache {

namespace {

// Adds the family of an operator class unless it is built in.
void AddOwnFamily(List **families, Oid operator_class) {
  const Oid family = get_opclass_family(operator_class);
  if (!IsBuiltIn(family)) *families = list_append_unique_oid(*families, family);
}

void AddIndexFamilies(List **families, Oid index) {
  HeapTuple row = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(row)) return;
  bool is_null;
  auto *classes = reinterpret_cast<oidvector *>(
      DatumGetPointer(SysCacheGetAttr(INDEXRELID, row, Anum_pg_index_indclass, &is_null)));
  for (int i = 0; !is_null && i < classes->dim1; i++) AddOwnFamily(families, classes->values[i]);
  ReleaseSysCache(row);
}

void AddPartitionFamilies(List **families, Oid relation) {
  HeapTuple row = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(row)) return;
  bool is_null;
  auto *classes = reinterpret_cast<oidvector *>(
      DatumGetPointer(SysCacheGetAttr(PARTRELID, row, Anum_pg_partitioned_table_partclass, &is_null)));
  for (int i = 0; !is_null && i < classes->dim1; i++) AddOwnFamily(families, classes->values[i]);
  ReleaseSysCache(row);
}

void AddRelationFamilies(List **families, Oid oid) {
  Relation relation = try_relation_open(oid, AccessShareLock);
  if (relation == nullptr) return;
  ListCell *cell;
  if (relation->rd_rel->relhasindex)
    foreach (cell, RelationGetIndexList(relation)) AddIndexFamilies(families, lfirst_oid(cell));
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) AddPartitionFamilies(families, oid);
  relation_close(relation, NoLock);
}

}  // namespace

List *FamiliesOfRelations(const List *relations) {
  List *families = NIL;
  ListCell *cell, *part;
  foreach (cell, relations) {
    AddRelationFamilies(&families, lfirst_oid(cell));
    bool pending;
    foreach (part, PartsOf(lfirst_oid(cell), &pending)) AddRelationFamilies(&families, lfirst_oid(part));
  }
  return families;
}

}  // namespace aggcache
