// Clauses that follow from what a relation is joined with: at a miss the values of the other side are read, and become
// clauses with constants that each row must pass to matter. "line JOIN ord USING (ord_id) WHERE ord.customer = 7" asks
// for lines of the orders that customer 7 has now.
//
// Such a clause holds as long as the other side's rows that matter stay what they are, and these have tags of their
// own. Values of rows that do not matter may be among those that are read: it only makes the clause wider.
//
// Two appearances must not be narrowed by each other, whether directly or by way of others: a new row of the one and a
// new row of the other could meet, and neither would be registered under a tag that the result rests on. So tags are
// chosen for one appearance after the other, and each is narrowed only by what is settled. A recursive WITH table is no
// exception: the first new row that its recursion comes to meets a row that was there before.

#ifndef AGGCACHE_PG_WATCH_NARROWING_H
#define AGGCACHE_PG_WATCH_NARROWING_H

#include "pg/base/server.h"

#include "pg/watch/conditions.h"

namespace aggcache {

// A table is not read for its values if more rows than this are estimated to pass its clauses, or, without clauses, if
// it has more: then its values are mostly all that there are, and a hit would ask about each of them.
constexpr double kMostJoinRows = 20000, kMostRowsOfTable = 16;

// What kept values from being used.
struct JoinLimit {
  enum class Kind : uint8_t { kNone, kManyValues, kManyRows } kind;
  Oid relation;  // whose values they are; InvalidOid: something else than a relation
};

// Columns by which a relation's rows could be told apart, if a clause restricted them.
struct WantedColumns {
  Bitmapset *keys;
  Bitmapset *ranges;
};

// Clauses on the wanted columns of an appearance, as far as the other sides can be read by themselves and have few
// values; *limit tells of what else could have been read. REQUIRES: a plan for actual arguments, an active snapshot, no
// parallel operation. What an error keeps from being read is left out.
List *ReadJoinClauses(const Planned &planned, const Appearance &seen, const WantedColumns &wanted, JoinLimit *limit);

// The appearances in the order in which tags are to be chosen for them: what clauses of its own restrict comes before
// what is narrowed by it. Returns the next that is not settled; NULL if there is none.
Appearance *NextAppearance(const Planned &planned);

// The columns on which ReadJoinClauses may find clauses for actual arguments, going by a plan for unknown ones.
WantedColumns FindJoinColumns(const Planned &planned, const Appearance &seen);

}  // namespace aggcache

#endif
