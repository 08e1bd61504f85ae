// Watches: which columns of a table's rows name the tags that a write registers in. The catalog aggcache.watch holds them,
// one row a set of key columns; each session caches those of the tables it writes or reads.
//
// Every tracked table has one watch without key columns, which has no row in the catalog. A changed watch is announced by
// invalidating the table's relcache entry, under a lock that keeps writers out.

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

// The watches with key columns of the relation. Good until the next invalidation message is accepted.
// REQUIRES: a lock on the relation.
const TableWatches *WatchesOf(Relation relation);

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
