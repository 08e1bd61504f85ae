// State of this session: a hash table of its tables, each with a memory context of its own. Messages only mark a table;
// its memory is given back when no row change is being looked at.

#include "pg/base/server.h"

#include "pg/write/row_tags.h"

#include "core/tag.h"
#include "pg/facts/partitions.h"
#include "pg/watch/watches.h"

namespace aggcache {

namespace {

using Word = uint64_t;
constexpr int kWordBits = 64;

// A key column of some watches; its hash is computed once for a row image.
struct HashedColumn {
  KeyColumn column;
  uint32_t hash[2];  // of the old and the new image
  bool is_null[2];
  bool known[2];
};

struct RowWatch {
  uint64_t tag;  // of the relation it is declared on, not yet narrowed
  int key_count;
  HashedColumn *keys[kMostKeyColumns];
  AttrNumber names[kMostKeyColumns];  // the columns' numbers in the relation that the watch is declared on
  RangeColumn range;
  bool all_columns;
  Word *columns;
  ExprState *predicate;  // NULL: every row
  bool apart;            // changed columns have tags (changed_columns.h)
  Word *place;           // then: the columns by which a row is in its tags
  AttrNumber *declared;  // and the numbers, as in `names`, of the columns here; by their number less one
};

}  // namespace

struct WatchedTable {
  Oid relation;
  bool valid;
  MemoryContext context;  // what all of this is in
  int ancestor_count;
  Oid *ancestors;
  int hashed_count;
  HashedColumn *hashed;
  int watch_count;
  RowWatch *watches;
  int words;      // of the column sets
  Word *watched;  // columns that some watch cares about
  int last_watched;
  Word *changed;  // by the row change at hand
  ExprContext *evaluation;
  uint64_t *tags;  // the table tags of the relation and of those above it; then room for those of a row change
  int table_tag_count;
};

namespace {

struct TableEntry {
  Oid relation;  // hash key
  WatchedTable *table;
};

HTAB *tables = nullptr;
MemoryContext tables_context = nullptr;
bool any_invalid = false;
// How many changes of rows, one within the other, are being looked at: conditions and types may run code that writes.
// After an error it may say too many, until the transaction ends.
int in_use = 0;

void AddColumn(Word *set, int attribute) { set[attribute / kWordBits] |= Word{1} << (attribute % kWordBits); }

bool Contains(const Word *set, int attribute) {
  return (set[attribute / kWordBits] >> (attribute % kWordBits) & 1) != 0;
}

bool Intersects(const Word *a, const Word *b, int words) {
  for (int i = 0; i < words; i++)
    if (a[i] & b[i]) return true;
  return false;
}

// The entry of a key column, made if there is none; NULL if its values cannot be hashed.
HashedColumn *FindHashed(WatchedTable *table, Relation relation, AttrNumber attribute) {
  for (int i = 0; i < table->hashed_count; i++)
    if (table->hashed[i].column.attribute == attribute) return &table->hashed[i];
  HashedColumn *hashed = &table->hashed[table->hashed_count];
  if (!DescribeKeyColumn(relation, attribute, &hashed->column, CurrentMemoryContext)) return nullptr;
  table->hashed_count++;
  return hashed;
}

// What a watch that tells columns apart needs besides. Returns how many columns they are.
int LoadColumns(RowWatch *row, Relation relation, Relation owner, const Watch &watch, const AttrMap *map) {
  auto local = [&](AttrNumber attribute) { return map ? map->attnums[attribute - 1] : attribute; };
  int count = 0;
  row->apart = true;
  row->declared = static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * RelationGetNumberOfAttributes(relation)));
  for (AttrNumber i = 1; i <= RelationGetNumberOfAttributes(owner); i++) {
    const bool watched = watch.all_columns ? !TupleDescAttr(RelationGetDescr(owner), i - 1)->attisdropped
                                           : bms_is_member(i, watch.columns);
    if (!watched) continue;
    AddColumn(row->columns, local(i));
    row->declared[local(i) - 1] = i;
    count++;
  }
  row->place = static_cast<Word *>(palloc0(sizeof(Word) * (RelationGetNumberOfAttributes(relation) / kWordBits + 1)));
  for (int i = 0; i < watch.key_count; i++) AddColumn(row->place, local(watch.keys[i]));
  if (watch.range_column) AddColumn(row->place, local(watch.range_column));
  return count;
}

// Makes the watch of `owner` ready for rows of `relation`, which is the same or a partition below. Returns how many
// tags a row image can have under it, 0 if it cannot be used: then `owner` has changed so that no result uses it. That
// its key columns cannot be hashed is no such change, for no lock keeps it from coming: all rows count to one tag then,
// which every result that rests on a hash of this kind carries too (dependencies.cc).
int LoadWatch(WatchedTable *table, Relation relation, Relation owner, const Watch &watch, const AttrMap *map) {
  RowWatch *row = &table->watches[table->watch_count];
  memset(row, 0, sizeof(*row));
  auto local = [&](AttrNumber attribute) { return map ? map->attnums[attribute - 1] : attribute; };
  row->tag = WatchTag(MyDatabaseId, RelationGetRelid(owner), watch.id);
  bool hashed = true;
  for (int i = 0; hashed && i < watch.key_count; i++) {
    row->names[i] = watch.keys[i];
    row->keys[i] = FindHashed(table, relation, local(watch.keys[i]));
    hashed = row->keys[i] != nullptr;
  }
  row->key_count = hashed ? watch.key_count : 0;
  if (hashed && watch.range_column &&
      !DescribeRangeColumn(relation, local(watch.range_column), watch.range_width, &row->range))
    return 0;
  row->all_columns = watch.all_columns;
  row->columns = static_cast<Word *>(palloc0(sizeof(Word) * table->words));
  int column = -1;
  while ((column = bms_next_member(watch.columns, column)) >= 0)
    AddColumn(row->columns, local(static_cast<AttrNumber>(column)));
  const int apart = watch.apart ? LoadColumns(row, relation, owner, watch, map) : 0;
  for (int i = 0; i < table->words; i++) table->watched[i] |= row->all_columns ? ~Word{0} : row->columns[i];
  if (watch.predicate != NIL) {
    Node *predicate = reinterpret_cast<Node *>(make_ands_explicit(watch.predicate));
    bool whole_row = false;
    if (map) predicate = map_variable_attnos(predicate, 1, 0, map, InvalidOid, &whole_row);
    row->predicate = ExecInitExpr(expression_planner(reinterpret_cast<Expr *>(predicate)), nullptr);
  }
  table->watch_count++;
  return (1 + (row->range.attribute ? row->range.grid.levels : 0)) * (1 + apart) + watch.apart;
}

// Reads the watches of the relation and of the partitioned tables above it.
void LoadWatches(WatchedTable *table, Relation relation) {
  MemoryContext outer = MemoryContextSwitchTo(table->context);
  table->words = RelationGetNumberOfAttributes(relation) / kWordBits + 1;
  table->watched = static_cast<Word *>(palloc0(sizeof(Word) * table->words));
  table->changed = static_cast<Word *>(palloc0(sizeof(Word) * table->words));
  table->evaluation = CreateStandaloneExprContext();
  table->hashed =
      static_cast<HashedColumn *>(palloc0(sizeof(HashedColumn) * (RelationGetNumberOfAttributes(relation) + 1)));
  table->hashed_count = table->watch_count = table->ancestor_count = 0;
  table->watches = nullptr;

  List *owners = list_make1_oid(RelationGetRelid(relation));
  owners = list_concat(owners, PartitionAncestors(relation));
  table->ancestors = static_cast<Oid *>(palloc(sizeof(Oid) * list_length(owners)));
  int room = 0, most_tags = 0;
  ListCell *cell;
  foreach (cell, owners) {
    bool own = lfirst_oid(cell) == RelationGetRelid(relation);
    if (!own) table->ancestors[table->ancestor_count++] = lfirst_oid(cell);
    Relation owner = own ? relation : relation_open(lfirst_oid(cell), AccessShareLock);
    AttrMap *map = own ? nullptr : compat::MapColumns(RelationGetDescr(relation), RelationGetDescr(owner));
    List *watches = ReadWatches(owner);
    room += list_length(watches);
    if (room > 0) {
      Size size = sizeof(RowWatch) * room;
      table->watches = static_cast<RowWatch *>(table->watches ? repalloc(table->watches, size) : palloc(size));
    }
    ListCell *watch;
    foreach (watch, watches) most_tags += LoadWatch(table, relation, owner, *static_cast<Watch *>(lfirst(watch)), map);
    if (!own) relation_close(owner, NoLock);
  }
  table->last_watched = 0;
  for (int i = 1; i <= RelationGetNumberOfAttributes(relation); i++)
    if (Contains(table->watched, i)) table->last_watched = i;
  table->tags = static_cast<uint64_t *>(palloc(sizeof(uint64_t) * (list_length(owners) + most_tags * 2)));
  table->table_tag_count = 0;
  foreach (cell, owners) table->tags[table->table_tag_count++] = TableTag(MyDatabaseId, lfirst_oid(cell));
  MemoryContextSwitchTo(outer);
}

// Whether two values of a column differ. Unchanged values that are stored out of line keep their place there, so most
// of them need not be read.
bool ValuesDiffer(TupleDesc descriptor, int attribute, Datum a, bool a_is_null, Datum b, bool b_is_null) {
  if (a_is_null || b_is_null) return a_is_null != b_is_null;
  Form_pg_attribute form = TupleDescAttr(descriptor, attribute - 1);
  if (form->attbyval) return a != b;
  if (form->attlen == -1) {
    auto *left = reinterpret_cast<struct varlena *>(DatumGetPointer(a));
    auto *right = reinterpret_cast<struct varlena *>(DatumGetPointer(b));
    if (VARSIZE_ANY(left) == VARSIZE_ANY(right) && memcmp(left, right, VARSIZE_ANY(left)) == 0) return false;
  }
  return !datum_image_eq(a, b, form->attbyval, form->attlen);
}

// Fills table->changed for the columns that are watched, and tells whether any column at all has changed, as far as
// that is asked.
bool FindChanged(WatchedTable *table, TupleTableSlot *old_row, TupleTableSlot *new_row, bool look_at_all) {
  TupleDesc descriptor = old_row->tts_tupleDescriptor;
  memset(table->changed, 0, sizeof(Word) * table->words);
  bool any = false;
  auto read = [&](int last) {
    slot_getsomeattrs(old_row, last);
    slot_getsomeattrs(new_row, last);
  };
  read(table->last_watched);
  auto differs = [&](int attribute) {
    return ValuesDiffer(descriptor, attribute, old_row->tts_values[attribute - 1], old_row->tts_isnull[attribute - 1],
                        new_row->tts_values[attribute - 1], new_row->tts_isnull[attribute - 1]);
  };
  for (int word = 0; word < table->words; word++) {
    Word rest = table->watched[word];
    while (rest) {
      int attribute = word * kWordBits + __builtin_ctzll(rest);
      rest &= rest - 1;
      if (attribute == 0) continue;
      if (attribute > table->last_watched) break;
      if (!differs(attribute)) continue;
      AddColumn(table->changed, attribute);
      any = true;
    }
  }
  if (any || !look_at_all) return any;
  read(descriptor->natts);
  for (int attribute = 1; !any && attribute <= descriptor->natts; attribute++)
    any = !Contains(table->watched, attribute) && differs(attribute);
  return any;
}

enum Image { kOld, kNew };

// REQUIRES: the watch has a predicate.
bool PassesPredicate(WatchedTable *table, const RowWatch &watch, TupleTableSlot *row) {
  ExprContext *evaluation = table->evaluation;
  evaluation->ecxt_scantuple = row;
  bool is_null;
  Datum value = ExecEvalExprSwitchContext(watch.predicate, evaluation, &is_null);
  ResetExprContext(evaluation);
  return !is_null && DatumGetBool(value);
}

// The tag of the row's key values.
uint64_t KeyTagOf(const RowWatch &watch, TupleTableSlot *row, Image image) {
  uint64_t tag = watch.tag;
  for (int i = 0; i < watch.key_count; i++) {
    HashedColumn *key = watch.keys[i];
    if (!key->known[image]) {
      Datum value = slot_getattr(row, key->column.attribute, &key->is_null[image]);
      if (!key->is_null[image])
        key->hash[image] = DatumGetUInt32(FunctionCall1Coll(&key->column.hash, key->column.collation, value));
      key->known[image] = true;
    }
    tag = key->is_null[image] ? WithNull(tag, watch.names[i]) : WithColumn(tag, watch.names[i], key->hash[image]);
  }
  return tag;
}

bool HasChanged(const WatchedTable *table, AttrNumber attribute) { return Contains(table->changed, attribute); }

// Whether old and new image have the same tags under the watch. REQUIRES: both images, FindChanged.
bool StaysInPlace(const WatchedTable *table, const RowWatch &watch) {
  for (int i = 0; i < watch.key_count; i++)
    if (HasChanged(table, watch.keys[i]->column.attribute)) return false;
  return watch.range.attribute == 0 || !HasChanged(table, watch.range.attribute);
}

// Adds the tags that an image of the row has under the watch.
void AddTags(WatchedTable *table, const RowWatch &watch, TupleTableSlot *row, Image image, TagList *list) {
  uint64_t tag = KeyTagOf(watch, row, image);
  list->tags[list->count++] = tag;
  if (watch.range.attribute == 0) return;
  bool is_null;
  Datum value = slot_getattr(row, watch.range.attribute, &is_null);
  if (is_null) return;  // in no range; who asks for all values, or for none, uses the tag above
  int64_t unit = ClampUnit(UnitOf(watch.range, value), watch.range.grid);
  for (int level = 0; level < watch.range.grid.levels; level++)
    list->tags[list->count++] = WithCell(tag, level, CellIndex(unit, level, watch.range.grid));
}

// Adds the tags of a row that comes or goes. Of a watch that tells columns apart also the one that every change under
// its key has: what is kept current goes by that.
void AddTagsOfMove(WatchedTable *table, const RowWatch &watch, TupleTableSlot *row, Image image, TagList *list) {
  const int first = list->count;
  AddTags(table, watch, row, image, list);
  if (watch.apart) list->tags[list->count++] = WithChange(list->tags[first], 0);
}

// Adds the tags of an UPDATE that leaves the row under the tags that it has: of each of these, one for any column and
// one for each that has changed. REQUIRES: the watch tells columns apart; FindChanged.
void AddChangeTags(WatchedTable *table, const RowWatch &watch, TupleTableSlot *row, TagList *list) {
  const int first = list->count;
  AddTags(table, watch, row, kOld, list);
  const int end = list->count;
  for (int word = 0; word < table->words; word++) {
    for (Word rest = table->changed[word] & watch.columns[word]; rest; rest &= rest - 1) {
      const AttrNumber column = watch.declared[word * kWordBits + __builtin_ctzll(rest) - 1];
      for (int i = first; i < end; i++) list->tags[list->count++] = WithChange(list->tags[i], column);
    }
  }
  for (int i = first; i < end; i++) list->tags[i] = WithChange(list->tags[i], 0);
}

WatchedTable *latest = nullptr;

// Gives the memory of tables back that have changed, or are gone.
void FreeInvalidTables() {
  if (!any_invalid || in_use > 0) return;
  any_invalid = false;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, tables);
  while (auto *entry = static_cast<TableEntry *>(hash_seq_search(&scan))) {
    if (entry->table->valid) continue;
    if (latest == entry->table) latest = nullptr;
    MemoryContextDelete(entry->table->context);
    (void)hash_search(tables, &entry->relation, HASH_REMOVE, nullptr);
  }
}

}  // namespace

WatchedTable *WatchedTableOf(Relation relation) {
  if (tables == nullptr) {
    tables_context = AllocSetContextCreate(TopMemoryContext, "aggcache watches", ALLOCSET_DEFAULT_SIZES);
    HASHCTL control;
    memset(&control, 0, sizeof(control));
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(TableEntry);
    control.hcxt = tables_context;
    tables = hash_create("aggcache watches", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  }
  Oid oid = RelationGetRelid(relation);
  // Rows mostly come by table.
  if (latest && latest->relation == oid && latest->valid) return latest;
  auto *entry = static_cast<TableEntry *>(hash_search(tables, &oid, HASH_FIND, nullptr));
  if (entry && entry->table->valid) return latest = entry->table;

  FreeInvalidTables();
  auto *context = AllocSetContextCreate(CurrentMemoryContext, "aggcache watched table", ALLOCSET_SMALL_SIZES);
  auto *table = static_cast<WatchedTable *>(MemoryContextAllocZero(context, sizeof(WatchedTable)));
  table->relation = oid;
  table->context = context;
  entry = static_cast<TableEntry *>(hash_search(tables, &oid, HASH_FIND, nullptr));
  if (entry == nullptr) {
    entry = static_cast<TableEntry *>(hash_search(tables, &oid, HASH_ENTER, nullptr));
  } else {
    // Still looked at: it is not found any more, and goes with the transaction.
    if (latest == entry->table) latest = nullptr;
    MemoryContextSetParent(entry->table->context, TopTransactionContext);
  }
  entry->table = table;
  MemoryContextSetParent(context, tables_context);
  // Set first: a message that arrives while loading clears it again.
  table->valid = true;
  const int outer_in_use = in_use++;
  PG_TRY();
  { LoadWatches(table, relation); }
  PG_CATCH();
  {
    // Half a list of watches would leave writes unregistered.
    table->valid = false;
    any_invalid = true;
    in_use = outer_in_use;
    PG_RE_THROW();
  }
  PG_END_TRY();
  in_use = outer_in_use;
  return latest = table;
}

int AncestorsOf(const WatchedTable *table, const Oid **ancestors) {
  *ancestors = table->ancestors;
  return table->ancestor_count;
}

TagList TagsOfChange(WatchedTable *table, TupleTableSlot *old_row, TupleTableSlot *new_row, bool with_table) {
  TagList list = {0, table->tags + (with_table ? 0 : table->table_tag_count), 0};
  bool update = old_row && new_row;
  if (update && !FindChanged(table, old_row, new_row, with_table)) return list;
  if (with_table) list.count = list.table_tags = table->table_tag_count;
  const int outer_in_use = in_use++;
  for (int i = 0; i < table->hashed_count; i++) table->hashed[i].known[kOld] = table->hashed[i].known[kNew] = false;
  for (int i = 0; i < table->watch_count; i++) {
    const RowWatch &watch = table->watches[i];
    if (update && !Intersects(table->changed, watch.all_columns ? table->watched : watch.columns, table->words))
      continue;
    bool was = old_row && (watch.predicate == nullptr || PassesPredicate(table, watch, old_row));
    bool is = new_row && (watch.predicate == nullptr || PassesPredicate(table, watch, new_row));
    if (was && is && watch.apart && !Intersects(table->changed, watch.place, table->words)) {
      AddChangeTags(table, watch, old_row, &list);
      continue;
    }
    if (was) AddTagsOfMove(table, watch, old_row, kOld, &list);
    if (is && !(was && StaysInPlace(table, watch))) AddTagsOfMove(table, watch, new_row, kNew, &list);
  }
  in_use = outer_in_use;
  return list;
}

void ForgetWatchedTables(Oid relation) {
  if (tables == nullptr) return;
  if (OidIsValid(relation)) {
    auto *entry = static_cast<TableEntry *>(hash_search(tables, &relation, HASH_FIND, nullptr));
    if (entry == nullptr) return;
    entry->table->valid = false;
    any_invalid = true;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, tables);
  while (auto *entry = static_cast<TableEntry *>(hash_seq_search(&scan))) entry->table->valid = false;
  any_invalid = true;
}

void EndRowChanges() { in_use = 0; }

}  // namespace aggcache
