// What lies below is read from pg_inherits, what lies above is asked of PostgreSQL. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/partitions.h"

extern "C" {
#include "catalog/partition.h"
#include "partitioning/partdesc.h"
}

namespace aggcache {

namespace {

// The direct children. PostgreSQL's own function trusts the cached relhassubclass, which may be behind; pg_inherits has
// no cache, so a scan of it always takes a new snapshot.
List *ChildrenOf(Oid parent, bool *pending) {
  List *children = NIL;
  Relation catalog = table_open(InheritsRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(parent));
  SysScanDesc scan = systable_beginscan(catalog, InheritsParentIndexId, true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(row));
    if (form->inhdetachpending) *pending = true;
    children = lappend_oid(children, form->inhrelid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return children;
}

}  // namespace

List *PartsOf(Oid relation, bool *pending) {
  *pending = false;
  List *parts = ChildrenOf(relation, pending);
  // grows while it is walked
  for (int i = 0; i < list_length(parts); i++) parts = list_concat(parts, ChildrenOf(list_nth_oid(parts, i), pending));
  // a child of several parents counts once
  list_sort(parts, list_oid_cmp);
  list_deduplicate_oid(parts);
  return parts;
}

List *PartitionAncestors(Relation relation) {
  return relation->rd_rel->relispartition ? get_partition_ancestors(RelationGetRelid(relation)) : NIL;
}

List *PartitionAncestorsOf(Oid relation) {
  return get_rel_relispartition(relation) ? get_partition_ancestors(relation) : NIL;
}

bool SameOids(List *a, List *b) {
  list_sort(a, list_oid_cmp);
  list_sort(b, list_oid_cmp);
  return equal(a, b);
}

bool AreKnownPartsCurrent(Oid table) {
  Relation relation = try_relation_open(table, AccessShareLock);
  if (relation == nullptr) return false;
  PartitionDesc descriptor = RelationGetPartitionDesc(relation, true);
  List *known = NIL;
  for (int i = 0; i < descriptor->nparts; i++) known = lappend_oid(known, descriptor->oids[i]);
  bool pending = false;
  bool current = SameOids(known, ChildrenOf(table, &pending)) && !pending;
  relation_close(relation, NoLock);
  return current;
}

}  // namespace aggcache
