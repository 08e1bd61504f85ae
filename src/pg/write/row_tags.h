// Which tags a changed row belongs to: the writer's half of the watches (watches.h).
//
// Each session keeps, for the tables that it writes, their watches in a form that rows are quickly held against. For a
// partition these include the watches of the partitioned tables above it.

#ifndef AGGCACHE_PG_WRITE_ROW_TAGS_H
#define AGGCACHE_PG_WRITE_ROW_TAGS_H

#include "pg/base/server.h"

namespace aggcache {

struct WatchedTable;

// The watches that rows of the relation count to. Good until the next invalidation message is accepted. REQUIRES: a
// lock that conflicts with changing watches (ROW EXCLUSIVE or more), so that the session's cache is not behind.
WatchedTable *WatchedTableOf(Relation relation);

// The partitioned tables above the relation, the nearest first.
int AncestorsOf(const WatchedTable *table, const Oid **ancestors);

// Tags in memory that the next call overwrites.
struct TagList {
  int count;
  uint64_t *tags;
  int table_tags;  // so many of them, the first ones
};

// The tags that a row change belongs to: of the old image, the new, or both. Either may be NULL, for INSERT and DELETE.
// `with_table`: the table tags of the relation and of the partitioned tables above it as well, if anything has changed.
TagList TagsOfChange(WatchedTable *table, TupleTableSlot *old_row, TupleTableSlot *new_row, bool with_table);

// Forgets what is cached of a relation, or of all if it is InvalidOid.
void ForgetWatchedTables(Oid relation);

// At the end of a transaction: an error may have ended a row change without a word.
void EndRowChanges();

}  // namespace aggcache

#endif
