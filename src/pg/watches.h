// Watches: which columns of a table's rows name the tags that a write registers in. The catalog aggcache.watch holds
// them, one row a set of key columns; each session caches those of the tables it writes or reads.
//
// Every tracked table has one watch without key columns, which has no row in the catalog. A changed watch is announced
// by invalidating the table's relcache entry, under a lock that keeps writers out.

#ifndef AGGCACHE_PG_WATCHES_H
#define AGGCACHE_PG_WATCHES_H

#include "pg/server.h"

namespace aggcache {

constexpr int kMostKeyColumns = 4;

struct WatchColumn {
  AttrNumber attribute;
  Oid type;
  Oid collation;
  Oid hash_family;  // operator family whose equality the hash respects
  FmgrInfo hash;
};

struct Watch {
  int column_count;
  WatchColumn columns[kMostKeyColumns];
};

struct TableWatches {
  Oid relation;  // hash key
  bool valid;
  int count;
  Watch *watches;
};

// For writers: the watches with key columns of the relation, from this session's cache. Good until the next
// invalidation message is accepted. REQUIRES: a lock that conflicts with changing watches (ROW EXCLUSIVE or more), so
// that the cache is not behind.
const TableWatches *WatchesOf(Relation relation);

// For readers, whose lock does not keep watches from changing: the watches as they are committed now, read from the
// catalog into the current memory context. A session's cache could be behind a change that its snapshot already sees.
TableWatches ReadWatches(Relation relation);

// Forgets what is cached of a relation, or of all if it is InvalidOid.
void ForgetWatches(Oid relation);

// Fills *column for a column whose type has a hash function for its equality; false if it has none.
bool DescribeWatchColumn(Relation relation, AttrNumber attribute, WatchColumn *column, MemoryContext context);

// The tag of a row image under a watch.
uint64_t TagOfRow(const Watch &watch, Oid relation, TupleTableSlot *row);

// OID of a table or index of the schema aggcache; InvalidOid if the extension is not there.
Oid ExtensionRelation(const char *name);

}  // namespace aggcache

#endif
