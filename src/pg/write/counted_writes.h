// What this transaction has written as PostgreSQL counts it for its statistics: each tuple that it inserts, updates or
// deletes, by whatever code, at the moment when it does. Triggers report rows that the executor changes; code that
// changes rows by itself (Apache AGE's Cypher does) leaves no other trace.
//
//   a call           looks whether a relation it depends on has counts: then this transaction has written it
//   before commit    a relation with more counts than its trigger has reported registers in its wide tag (written.cc)
//
// A transaction that rolls a savepoint back is no longer counted what it did in it, so what the trigger has reported is
// kept by savepoint too. With track_counts off nothing is counted: then everything counts as written.

#ifndef AGGCACHE_PG_WRITE_COUNTED_WRITES_H
#define AGGCACHE_PG_WRITE_COUNTED_WRITES_H

#include "pg/base/server.h"

namespace aggcache {

struct RowCounts {
  int64_t inserted;
  int64_t updated;
  int64_t deleted;
};

// What a relation's trigger has reported, and since which savepoint.
struct ReportedRows {
  RowCounts counts;
  int level;  // the nesting of subtransactions at the latest change of counts; 0 before the first
};

inline bool Covers(const ReportedRows &reported, const RowCounts &counts) {
  return reported.counts.inserted >= counts.inserted && reported.counts.updated >= counts.updated &&
         reported.counts.deleted >= counts.deleted;
}

// Counts one event of a row trigger. *reported stays where it is until the transaction ends.
void CountReported(const TriggerData *data, ReportedRows *reported);

// Called at the end of a subtransaction, of the level that ends.
void EndReportedLevel(int level, bool commits);
void ForgetReported();

// Calls visit for each relation and savepoint with counts that are not rolled back, until it returns true, and returns
// whether it did. `relation` may be NULL; if it is not, it is the session's entry for it, perhaps an old one.
// REQUIRES: within a transaction.
using CountVisitor = bool (*)(void *context, Oid oid, Relation relation, const RowCounts &counts);
bool VisitCounts(CountVisitor visit, void *context);

// Whether something was not counted, so far as hooks were passed.
void NoteWhetherCounted();
bool SomeIsUncounted();

}  // namespace aggcache

#endif
