// Sharing: which watches a table has in force for those that functions ask for.
//
// Each watch costs every writer of the table, so that what a row change costs must not grow with the number of
// functions. Few that are alike are in force as they are asked for. Of many, one takes the place of all that have the
// same key columns and range: it is *apart*, so that to each function only the columns count that it uses
// (changed_columns.h); and a condition that leaves one value of a column, as kind = 'k', makes the column a key, of
// which every function knows its value. So nobody loses by it. Only where the other conditions are too many, some are
// given up; the rows that they tell apart then count.

#ifndef AGGCACHE_PG_WATCH_SHARING_H
#define AGGCACHE_PG_WATCH_SHARING_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// More than this number of watches that differ in columns, and in conditions that can be keys, are made one.
constexpr int kMostAlike = 8;
// Of one table: from the first number on all are made one that can be, and then conditions are given up. The second is
// of different keys and ranges, which nothing can share.
constexpr int kMostOwnWatches = 64;
constexpr int kMostWatches = 128;

// The watches to be in force for those that are wanted, both lists of Watch. It depends on what the list holds, not on
// its order.
List *ShareWatches(Relation relation, const List *wanted);

// Whether the relation, for which these are wanted, can have a further one.
bool HasRoomFor(Relation relation, const List *wanted, const Watch &further);

// Whether a function that asks for one watch is served by another: both have the same key columns and range, but for
// keys that take the place of conditions, and to the function all changes count under the one that count under the
// other.
bool Serves(Relation relation, const Watch &watch, const Watch &wanted);

// Whether conditions were given up in a watch that serves for the wanted one.
bool LacksConditions(Relation relation, const Watch &watch, const Watch &wanted);

}  // namespace aggcache

#endif
