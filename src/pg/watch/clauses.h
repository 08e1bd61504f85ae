// Reading the clauses that each row of a base relation must pass to matter, as the planner has worked them out.
//
// Two kinds of plans are read. With the arguments as constants, a clause tells which values a column can have. With the
// arguments unknown, it tells which columns will be told apart by such clauses, so that they can be watched.

#ifndef AGGCACHE_PG_WATCH_CLAUSES_H
#define AGGCACHE_PG_WATCH_CLAUSES_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// More values than this are not told apart.
constexpr int kMostValues = 256;

// The values that a key column can have in rows that matter, by their hashes.
struct ValueSet {
  int count;
  bool has_null;
  uint32_t hashes[kMostValues];
};

// Whether the clause leaves only a set of values for the column, by the equality that its hash respects; fills *values.
bool RestrictsToValues(Node *clause, Index relation, const KeyColumn &column, ValueSet *values);

// What clauses leave of a range column: these units, and, as evaluating a clause may raise an error there, those up to
// `below` and from `above` on.
struct Range {
  UnitRange units;
  int64_t below, above;
};
constexpr Range kWholeRange = {{kFirstUnit, kLastUnit}, kFirstUnit, kLastUnit};

// Narrows *range by the clause, if it compares the column, or what keeps its order, with constants. What is costly to
// find is kept in *memo, a list for clauses of one relation.
bool RestrictsToRange(Node *clause, Index relation, const RangeColumn &column, List **memo, Range *range);

// The column that "own operation value" tells apart by its hash when the value is known; 0 if there is none.
AttrNumber ComparedKey(Node *own, Oid operation, Oid collation, Index relation);

// What a clause will tell when the arguments are known.
struct ClauseColumns {
  Bitmapset *keys;      // compared for equality in every case
  Bitmapset *optional;  // in some: in arms of an OR that the arguments may decide
  Bitmapset *ranges;    // compared by order, with a type whose ranges are followed
};
ClauseColumns FindColumns(Node *clause, Index relation);

// A copy of the clause whose columns are those of relation 1, without places in the source text.
Node *NormaliseClause(Node *clause, Index relation);

// The columns of the relation that the plan uses: those that its clauses or anything above it need. A NULL set with
// *all set means the whole row.
Bitmapset *UsedColumns(RelOptInfo *rel, bool *all);

}  // namespace aggcache

#endif
