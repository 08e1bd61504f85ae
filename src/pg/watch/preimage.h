// Which values of an ordered column can pass "f(column) operation constant", where f keeps the order of the column or
// turns it round (monotone.h).
//
// No inverse of f is written down. The comparison itself is evaluated at chosen values, and the place where it begins
// or ceases to hold is found by bisection. Clocks that are put back make local time fall: a conversion between zones
// keeps the order of moments only if they are far enough apart. That distance is added at the edge that was found.

#ifndef AGGCACHE_PG_WATCH_PREIMAGE_H
#define AGGCACHE_PG_WATCH_PREIMAGE_H

#include "pg/base/server.h"

#include "pg/watch/ranges.h"

namespace aggcache {

// Values of the column as they are kept: days, microseconds, or whole numbers; both ends included.
struct Preimage {
  int64_t low, high;
  int64_t fails_below, fails_above;  // up to the first and from the second on, evaluating may raise an error
};
constexpr Preimage kAnyValue = {kFirstUnit, kLastUnit, kFirstUnit, kLastUnit};

// The values of the column that can pass the clause, an OpExpr, a ScalarArrayOpExpr or a RowCompareExpr; NULL if it
// tells nothing of the column. Kept in *memo, a list for clauses of one relation: every watch asks for them.
const Preimage *PreimageOf(Node *clause, Index relation, AttrNumber attribute, List **memo);

}  // namespace aggcache

#endif
