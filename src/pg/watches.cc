#include "pg/server.h"

#include "pg/watches.h"

#include "core/tag.h"

namespace aggcache {

namespace {

HTAB *tables = nullptr;
MemoryContext tables_context = nullptr;

// Columns of aggcache.watch.
enum WatchAttribute { kWatchRelation = 1, kWatchColumns = 2 };

// Reads the watches of a relation into `context`, with a catalog snapshot taken now.
void Load(TableWatches *table, Relation relation, MemoryContext context) {
  table->watches = nullptr;
  table->count = 0;
  Oid catalog_oid = ExtensionRelation("watch");
  if (!OidIsValid(catalog_oid)) return;
  MemoryContext outer = MemoryContextSwitchTo(context);
  Relation catalog = table_open(catalog_oid, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, kWatchRelation, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(relation)));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionRelation("watch_pkey"), true, nullptr, 1, &key);
  int limit = 0;
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    bool is_null;
    Datum columns = heap_getattr(row, kWatchColumns, RelationGetDescr(catalog), &is_null);
    if (is_null) continue;
    ArrayType *array = DatumGetArrayTypeP(columns);
    int count = ARR_NDIM(array) == 1 ? ARR_DIMS(array)[0] : 0;
    if (count < 1 || count > kMostKeyColumns || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT2OID) continue;
    auto *attributes = reinterpret_cast<int16 *>(ARR_DATA_PTR(array));
    if (table->count == limit) {
      limit = limit ? limit * 2 : 4;
      Size size = sizeof(Watch) * limit;
      table->watches = static_cast<Watch *>(table->watches ? repalloc(table->watches, size) : palloc(size));
    }
    Watch *watch = &table->watches[table->count];
    watch->column_count = count;
    bool usable = true;
    for (int i = 0; usable && i < count; i++)
      usable = DescribeWatchColumn(relation, attributes[i], &watch->columns[i], context);
    if (usable) table->count++;
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  MemoryContextSwitchTo(outer);
}

}  // namespace

Oid ExtensionRelation(const char *name) {
  Oid schema = get_namespace_oid("aggcache", true);
  return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

bool DescribeWatchColumn(Relation relation, AttrNumber attribute, WatchColumn *column, MemoryContext context) {
  TupleDesc descriptor = RelationGetDescr(relation);
  if (attribute < 1 || attribute > descriptor->natts) return false;
  Form_pg_attribute form = TupleDescAttr(descriptor, attribute - 1);
  if (form->attisdropped) return false;
  TypeCacheEntry *type = lookup_type_cache(form->atttypid, TYPECACHE_HASH_PROC | TYPECACHE_HASH_OPFAMILY);
  if (!OidIsValid(type->hash_proc) || !OidIsValid(type->hash_opf)) return false;
  column->attribute = attribute;
  column->type = form->atttypid;
  column->collation = form->attcollation;
  column->hash_family = type->hash_opf;
  fmgr_info_cxt(type->hash_proc, &column->hash, context);
  return true;
}

const TableWatches *WatchesOf(Relation relation) {
  if (tables == nullptr) {
    tables_context = AllocSetContextCreate(TopMemoryContext, "aggcache watches", ALLOCSET_DEFAULT_SIZES);
    HASHCTL control;
    memset(&control, 0, sizeof(control));
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(TableWatches);
    control.hcxt = tables_context;
    tables = hash_create("aggcache watches", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  }
  Oid oid = RelationGetRelid(relation);
  bool found;
  auto *table = static_cast<TableWatches *>(hash_search(tables, &oid, HASH_ENTER, &found));
  if (!found) {
    table->valid = false;
    table->count = 0;
    table->watches = nullptr;
  }
  if (!table->valid) {
    // Set first: a message that arrives while loading clears it again.
    table->valid = true;
    if (table->watches) pfree(table->watches);
    table->watches = nullptr;
    PG_TRY();
    { Load(table, relation, tables_context); }
    PG_CATCH();
    {
      // Half a list of watches would leave writes unregistered.
      table->valid = false;
      table->count = 0;
      PG_RE_THROW();
    }
    PG_END_TRY();
  }
  return table;
}

TableWatches ReadWatches(Relation relation) {
  TableWatches table;
  memset(&table, 0, sizeof(table));
  table.relation = RelationGetRelid(relation);
  Load(&table, relation, CurrentMemoryContext);
  return table;
}

void ForgetWatches(Oid relation) {
  if (tables == nullptr) return;
  if (OidIsValid(relation)) {
    auto *table = static_cast<TableWatches *>(hash_search(tables, &relation, HASH_FIND, nullptr));
    if (table) table->valid = false;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, tables);
  while (auto *table = static_cast<TableWatches *>(hash_seq_search(&scan))) table->valid = false;
}

uint64_t TagOfRow(const Watch &watch, Oid relation, TupleTableSlot *row) {
  uint64_t tag = KeyTag(MyDatabaseId, relation);
  for (int i = 0; i < watch.column_count; i++) {
    const WatchColumn &column = watch.columns[i];
    bool is_null;
    Datum value = slot_getattr(row, column.attribute, &is_null);
    if (is_null) {
      tag = WithNull(tag, column.attribute);
      continue;
    }
    uint32_t hash = DatumGetUInt32(FunctionCall1Coll(const_cast<FmgrInfo *>(&column.hash), column.collation, value));
    tag = WithColumn(tag, column.attribute, hash);
  }
  return tag;
}

}  // namespace aggcache
