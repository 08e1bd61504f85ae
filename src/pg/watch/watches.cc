// Rows of aggcache.watch are read anew each time; a predicate is kept there as a tree of nodes, which only the same
// major version reads. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/watches.h"

#include "pg/base/extension.h"

namespace aggcache {

namespace {

// Expressions are stored as trees, which another major version may read differently.
constexpr int kServer = compat::kMajorVersion;

bool IsColumn(TupleDesc descriptor, int attribute) {
  return attribute >= 1 && attribute <= descriptor->natts && !TupleDescAttr(descriptor, attribute - 1)->attisdropped;
}

// The elements of an array of smallint, or -1 if it is no such array.
int ReadColumnArray(Datum value, int16 **elements) {
  ArrayType *array = DatumGetArrayTypeP(value);
  if (ARR_ELEMTYPE(array) != INT2OID || ARR_HASNULL(array) || ARR_NDIM(array) > 1) return -1;
  *elements = reinterpret_cast<int16 *>(ARR_DATA_PTR(array));
  return ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0];
}

// Finds a column that is not what it was when the expression was stored.
bool ChangedColumnWalker(Node *node, void *argument) {
  auto *descriptor = static_cast<TupleDesc>(argument);
  if (node == nullptr) return false;
  if (IsA(node, Var)) {
    Var *column = reinterpret_cast<Var *>(node);
    if (!IsColumn(descriptor, column->varattno)) return true;
    Form_pg_attribute form = TupleDescAttr(descriptor, column->varattno - 1);
    return form->atttypid != column->vartype || form->atttypmod != column->vartypmod ||
           form->attcollation != column->varcollid;
  }
  return compat::WalkExpression(node, ChangedColumnWalker, argument);
}

// Reads the values of columns of aggcache.watch, but for the last. False if they cannot be used for the relation as it
// is now. What a column that was dropped leaves of a watch that tells columns apart is as good as before.
bool ReadWatch(const Datum *values, const bool *nulls, bool apart, Relation relation, Watch *watch) {
  TupleDesc descriptor = RelationGetDescr(relation);
  memset(watch, 0, sizeof(*watch));
  watch->apart = apart;
  watch->id = static_cast<uint64_t>(DatumGetInt64(values[kWatchId - 1]));
  if (DatumGetInt32(values[kWatchServer - 1]) != kServer) return false;

  int16 *columns;
  int count = ReadColumnArray(values[kWatchKeys - 1], &columns);
  if (count < 0 || count > kMostKeyColumns) return false;
  watch->key_count = count;
  for (int i = 0; i < count; i++) {
    watch->keys[i] = columns[i];
    if (!IsColumn(descriptor, columns[i])) return false;
  }
  if (!nulls[kWatchRange - 1]) {
    watch->range_column = DatumGetInt16(values[kWatchRange - 1]);
    watch->range_width = DatumGetInt64(values[kWatchWidth - 1]);
    RangeColumn description;
    if (!DescribeRangeColumn(relation, watch->range_column, watch->range_width, &description)) return false;
  }
  watch->all_columns = nulls[kWatchColumns - 1];
  if (!watch->all_columns) {
    count = ReadColumnArray(values[kWatchColumns - 1], &columns);
    if (count < 0) return false;
    for (int i = 0; i < count; i++) {
      if (IsColumn(descriptor, columns[i]))
        watch->columns = bms_add_member(watch->columns, columns[i]);
      else if (!apart)
        return false;
    }
  }
  if (!nulls[kWatchPredicate - 1]) {
    watch->predicate = castNode(List, stringToNode(TextDatumGetCString(values[kWatchPredicate - 1])));
    if (ChangedColumnWalker(reinterpret_cast<Node *>(watch->predicate), descriptor)) return false;
  }
  return true;
}

bool ReadWatchRow(Relation catalog, HeapTuple row, Relation relation, Watch *watch) {
  Datum values[kWatchAttributes];
  bool nulls[kWatchAttributes];
  heap_deform_tuple(row, RelationGetDescr(catalog), values, nulls);
  return ReadWatch(values, nulls, DatumGetBool(values[kWatchApart - 1]), relation, watch);
}

bool ReadUseRow(Relation catalog, HeapTuple row, Relation relation, Watch *watch) {
  Datum values[kUseAttributes];
  bool nulls[kUseAttributes];
  heap_deform_tuple(row, RelationGetDescr(catalog), values, nulls);
  return ReadWatch(values + kUseRelation - 1, nulls + kUseRelation - 1, false, relation, watch);
}

void RequireAttributes(Relation catalog, int count) {
  if (RelationGetNumberOfAttributes(catalog) != count)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("extension \"pg_aggcache\" is of another version than the library"),
                    errhint("Run ALTER EXTENSION pg_aggcache UPDATE.")));
}

// The rows of a catalog, with that many columns, whose column `attribute` is the relation, as `read` reads them.
List *ReadRows(Oid catalog_oid, Oid index, AttrNumber attribute, int attributes, Relation relation,
               bool (*read)(Relation catalog, HeapTuple row, Relation relation, Watch *watch)) {
  List *watches = NIL;
  Relation catalog = table_open(catalog_oid, AccessShareLock);
  RequireAttributes(catalog, attributes);
  ScanKeyData key;
  ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(relation)));
  SysScanDesc scan = systable_beginscan(catalog, index, true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *watch = static_cast<Watch *>(palloc(sizeof(Watch)));
    if (read(catalog, row, relation, watch)) watches = lappend(watches, watch);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return watches;
}

Datum ColumnArray(const AttrNumber *columns, int count) {
  auto *elements = static_cast<Datum *>(palloc(sizeof(Datum) * Max(1, count)));
  for (int i = 0; i < count; i++) elements[i] = Int16GetDatum(columns[i]);
  return PointerGetDatum(construct_array(elements, count, INT2OID, sizeof(int16), true, TYPALIGN_SHORT));
}

void AppendNames(StringInfo text, Relation relation, const Bitmapset *columns) {
  int column = -1;
  const char *separator = "";
  while ((column = bms_next_member(columns, column)) >= 0) {
    appendStringInfo(text, "%s%s", separator,
                     quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)->attname)));
    separator = ", ";
  }
}

}  // namespace

bool DescribeKeyColumn(Relation relation, AttrNumber attribute, KeyColumn *column, MemoryContext context) {
  TupleDesc descriptor = RelationGetDescr(relation);
  if (!IsColumn(descriptor, attribute)) return false;
  Form_pg_attribute form = TupleDescAttr(descriptor, attribute - 1);
  if (!FindHashRule(form->atttypid, &column->rule)) return false;
  column->attribute = attribute;
  column->type = form->atttypid;
  column->collation = form->attcollation;
  fmgr_info_cxt(column->rule.function, &column->hash, context);
  return true;
}

List *ReadWatches(Relation relation) {
  const Extension *extension = FindExtension();
  if (extension == nullptr) return NIL;
  return ReadRows(extension->watch, extension->watch_pkey, kWatchRelation, kWatchAttributes, relation, ReadWatchRow);
}

List *ReadWantedWatches(Relation relation) {
  const Extension *extension = FindExtension();
  if (extension == nullptr) return NIL;
  List *wanted = NIL;
  ListCell *cell, *earlier;
  foreach (cell, ReadRows(extension->watch_use, extension->watch_use_relation_idx, kUseRelation, kUseAttributes,
                          relation, ReadUseRow)) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    bool known = false;
    foreach (earlier, wanted) known |= static_cast<Watch *>(lfirst(earlier))->id == watch->id;
    if (!known) wanted = lappend(wanted, watch);
  }
  return wanted;
}

bool FitsRelation(Node *expression, Relation relation) {
  return !ChangedColumnWalker(expression, RelationGetDescr(relation));
}

int64_t CellWidthOf(Relation relation, AttrNumber attribute) {
  Form_pg_attribute form = TupleDescAttr(RelationGetDescr(relation), attribute - 1);
  int64_t width = DefaultCellWidth(RangeKindOf(form->atttypid));
  const Extension *extension = FindExtension();
  if (extension == nullptr) return width;
  Oid index = extension->cell_width_pkey;
  Relation catalog = table_open(extension->cell_width, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(relation)));
  ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&form->attname));
  SysScanDesc scan = systable_beginscan(catalog, index, true, nullptr, 2, keys);
  HeapTuple row = systable_getnext(scan);
  if (HeapTupleIsValid(row)) {
    bool is_null;
    width = DatumGetInt64(heap_getattr(row, 3, RelationGetDescr(catalog), &is_null));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return width;
}

void IdentifyWatch(Watch *watch) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "%d", kServer);
  for (int i = 0; i < watch->key_count; i++) appendStringInfo(&text, " %d", watch->keys[i]);
  if (watch->range_column) appendStringInfo(&text, " range %d " INT64_FORMAT, watch->range_column, watch->range_width);
  if (!watch->all_columns) {
    appendStringInfoString(&text, " columns");
    int column = -1;
    while ((column = bms_next_member(watch->columns, column)) >= 0) appendStringInfo(&text, " %d", column);
  }
  if (watch->apart) appendStringInfoString(&text, " apart");
  if (watch->predicate != NIL) appendStringInfo(&text, " where %s", nodeToString(watch->predicate));
  watch->id = hash_bytes_extended(reinterpret_cast<unsigned char *>(text.data), text.len, 0);
  pfree(text.data);
}

namespace {

// Fills in the columns of aggcache.watch.
void FormWatch(Oid relation, const Watch &watch, Datum *values, bool *nulls) {
  memset(nulls, 0, sizeof(bool) * kWatchPredicate);
  values[kWatchRelation - 1] = ObjectIdGetDatum(relation);
  values[kWatchId - 1] = Int64GetDatum(static_cast<int64>(watch.id));
  values[kWatchServer - 1] = Int32GetDatum(kServer);
  values[kWatchKeys - 1] = ColumnArray(watch.keys, watch.key_count);
  nulls[kWatchRange - 1] = nulls[kWatchWidth - 1] = watch.range_column == 0;
  values[kWatchRange - 1] = Int16GetDatum(watch.range_column);
  values[kWatchWidth - 1] = Int64GetDatum(watch.range_width);
  nulls[kWatchColumns - 1] = watch.all_columns;
  auto *columns = static_cast<AttrNumber *>(palloc(sizeof(AttrNumber) * MaxTupleAttributeNumber));
  int count = 0, column = -1;
  while ((column = bms_next_member(watch.columns, column)) >= 0) columns[count++] = static_cast<AttrNumber>(column);
  values[kWatchColumns - 1] = ColumnArray(columns, count);
  nulls[kWatchPredicate - 1] = watch.predicate == NIL;
  values[kWatchPredicate - 1] = CStringGetTextDatum(nodeToString(watch.predicate));
}

}  // namespace

HeapTuple FormWatchRow(Relation catalog, Oid relation, const Watch &watch) {
  Datum values[kWatchAttributes];
  bool nulls[kWatchAttributes];
  FormWatch(relation, watch, values, nulls);
  values[kWatchApart - 1] = BoolGetDatum(watch.apart);
  nulls[kWatchApart - 1] = false;
  return heap_form_tuple(RelationGetDescr(catalog), values, nulls);
}

HeapTuple FormUseRow(Relation catalog, Oid function, Oid relation, const Watch &watch) {
  Datum values[kUseAttributes];
  bool nulls[kUseAttributes];
  FormWatch(relation, watch, values + kUseRelation - 1, nulls + kUseRelation - 1);
  values[kUseFunction - 1] = ObjectIdGetDatum(function);
  nulls[kUseFunction - 1] = false;
  return heap_form_tuple(RelationGetDescr(catalog), values, nulls);
}

char *DescribeWatch(Relation relation, const Watch &watch) {
  StringInfoData text;
  initStringInfo(&text);
  Bitmapset *keys = nullptr;
  for (int i = 0; i < watch.key_count; i++) keys = bms_add_member(keys, watch.keys[i]);
  if (keys) {
    appendStringInfoString(&text, "by ");
    AppendNames(&text, relation, keys);
  }
  if (watch.range_column) {
    appendStringInfoString(&text, keys ? ", ranges of " : "by ranges of ");
    AppendNames(&text, relation, bms_make_singleton(watch.range_column));
  }
  if (watch.predicate != NIL) {
    List *context = deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));
    Node *predicate =
        reinterpret_cast<Node *>(make_ands_explicit(static_cast<List *>(copyObjectImpl(watch.predicate))));
    appendStringInfo(&text, "%swhere %s", text.len ? ", " : "", deparse_expression(predicate, context, false, false));
  }
  if (!watch.all_columns) {
    if (text.len) appendStringInfoString(&text, ", ");
    appendStringInfoString(&text, watch.columns ? "in columns " : "in no column");
    AppendNames(&text, relation, watch.columns);
  }
  if (watch.apart && (watch.all_columns || watch.columns))
    appendStringInfo(&text, "%s", watch.all_columns ? ", each column by itself" : ", each by itself");
  return text.data;
}

}  // namespace aggcache
