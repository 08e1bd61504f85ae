// What this transaction has written: registered in the stamps, and in the way of its own hits.
//
// Rows are registered by the row trigger (tracking.cc). Everything else goes by the wide tag of its relation: TRUNCATE,
// DDL, REFRESH, and rows that PostgreSQL has counted and no trigger has reported.

#ifndef AGGCACHE_PG_WRITE_WRITTEN_H
#define AGGCACHE_PG_WRITE_WRITTEN_H

#include "pg/base/server.h"

#include "pg/write/counted_writes.h"

namespace aggcache {

struct Definition;

struct WrittenTable {
  Oid relation;
  bool escalated;  // registered in the wide tag: no tag of this table needs registering any more
  bool table_tag;  // registered in the table tags of the table and of the partitioned tables above it
  bool reordered;  // registered in its order tag, and noted for those above it
  uint32_t tags;   // tags of watches registered
  uint32_t rows;   // rows seen, not yet counted in the statistics
  ReportedRows reported;
};

// Whether writes are recorded in this process now. Nothing of the protocol runs in recovery: transactions of the
// primary do not register here.
bool IsRecording();

// Notes a relation as written; NULL if there are more than can be kept, which then all count as written.
WrittenTable *NoteWritten(Oid relation);

// Registers in those tags of watches that are not among the latest, and returns how many that were. `all`: none is.
// Rows that lie together mostly share theirs. The array is overwritten.
int RegisterNewTags(uint64_t *tags, int count, bool all);

// Registers this transaction in a relation's wide tag and notes the relation as written.
void RegisterWide(Oid relation);
// The same where neither an error nor a wait is sound. REQUIRES: the transaction has an id.
void RegisterWideOrDefer(Oid relation);

// The rows of the relation, and of partitions below it, have been put in another order. REQUIRES: as above.
void RegisterOrderOrDefer(Oid relation);

// Whether this transaction has written, or is writing, a relation that the definition depends on.
bool HasWritten(const Definition *definition);

// Before a commit, in this order: what nobody has reported, and the partitioned tables above what was changed.
void RegisterUnreportedWrites();
void RegisterSubtrees();

// At a commit, and at the end of a transaction.
void CountWritten();
void ForgetWritten();

}  // namespace aggcache

#endif
