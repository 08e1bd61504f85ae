// Watches: which changes of a table's rows are told apart, and by what. A watch consists of
//
//   key columns   a row counts to the tag of its values in them
//   range column  and of the cells (core/cells.h) that its value in this column lies in
//   columns       an UPDATE that changes none of these is no change
//   predicate     a row that does not pass it is of no concern
//
// The catalog aggcache.watch_use holds the watches that cached functions ask for; they follow from the functions'
// bodies (attach.h). The catalog aggcache.watch holds those that are in force for them (sharing.h). Writers compute the
// tags of their rows under all watches of the table that are in force, and of the partitioned tables above it
// (row_tags.h). Readers choose among them (dependencies.h). Every tracked table has one more watch, of all columns and
// without key columns and predicate, which has no row in the catalog: the table tag.
//
// A changed watch is announced by invalidating the relcache entries of the table and its partitions, under a lock that
// keeps writers out.

#ifndef AGGCACHE_PG_WATCH_WATCHES_H
#define AGGCACHE_PG_WATCH_WATCHES_H

#include "pg/base/server.h"

#include "pg/facts/equality.h"
#include "pg/watch/ranges.h"

namespace aggcache {

constexpr int kMostKeyColumns = 4;

struct Watch {
  uint64_t id;  // hash of all that follows
  int key_count;
  AttrNumber keys[kMostKeyColumns];  // ascending
  AttrNumber range_column;           // 0: none
  int64_t range_width;               // of the smallest cell
  bool all_columns;
  Bitmapset *columns;  // unless all; key, range and predicate columns included
  List *predicate;     // implicitly ANDed clauses whose columns are Vars of relation 1; NIL: every row
  bool apart;          // serves many functions: an UPDATE registers by the columns that it changes (changed_columns.h)
};

// How the values of a key column are hashed.
struct KeyColumn {
  AttrNumber attribute;
  Oid type;
  Oid collation;
  HashRule rule;
  FmgrInfo hash;
};

// The watches of a relation as they are committed now, read from the catalog into the current memory context; those
// that no longer fit the relation are left out; whether the key columns can be hashed is not looked at. Readers do not
// keep watches from changing, and a session's cache could be behind a change that its snapshot already sees. A list of
// Watch.
List *ReadWatches(Relation relation);

// The watches that functions ask for, in the same way, each once.
List *ReadWantedWatches(Relation relation);

// Fills *column for a column whose type has a hash function that can be trusted to respect its equality; false if it
// has none.
bool DescribeKeyColumn(Relation relation, AttrNumber attribute, KeyColumn *column, MemoryContext context);

// The width of cells of a column: what aggcache.set_cell_width() said, else that of its type.
int64_t CellWidthOf(Relation relation, AttrNumber attribute);

// Whether the columns of an expression, which are those of relation 1, are what they were when it was stored.
bool FitsRelation(Node *expression, Relation relation);

// Sets watch->id.
void IdentifyWatch(Watch *watch);

// In words: key columns, range column, predicate, columns.
char *DescribeWatch(Relation relation, const Watch &watch);

// Columns of aggcache.watch.
enum WatchAttribute {
  kWatchRelation = 1,
  kWatchId = 2,
  kWatchServer = 3,
  kWatchKeys = 4,
  kWatchRange = 5,
  kWatchWidth = 6,
  kWatchColumns = 7,
  kWatchPredicate = 8,
  kWatchApart = 9,
  kWatchAttributes = 9
};

// Columns of aggcache.watch_use; from the relation on as those of aggcache.watch, to the predicate.
enum UseAttribute { kUseFunction = 1, kUseRelation = 2, kUseWatch = 3, kUseAttributes = 9 };

// The row of aggcache.watch that stands for a watch, and that of aggcache.watch_use for one that a function asks for.
HeapTuple FormWatchRow(Relation catalog, Oid relation, const Watch &watch);
HeapTuple FormUseRow(Relation catalog, Oid function, Oid relation, const Watch &watch);

}  // namespace aggcache

#endif
