// The values that one part of a body has where it joins another: read at a miss, under the snapshot of the result,
// before the body runs. They tell the rows of the other part apart, and hold as long as nothing is registered under the
// tags of the part that they come from, so they need no tags of their own.

#ifndef AGGCACHE_PG_WATCH_VALUES_H
#define AGGCACHE_PG_WATCH_VALUES_H

#include "pg/base/server.h"

#include "pg/watch/conditions.h"

namespace aggcache {

// More distinct values than this are not told apart.
constexpr int kMostJoinValues = 256;

struct Values {
  Oid type;
  int16 length;
  bool by_value;
  bool too_many;  // then `items` is not complete
  int count;
  Datum items[kMostJoinValues];  // distinct bytes, none of them NULL
  bool has_bounds;               // there is a value, and its type has an order
  Datum least, greatest;
};

// Reads the values of the source, of whose rows only those that pass `clauses` (implicitly ANDed, the columns its own)
// count; the values of other rows may be among them. `bounds`: the least and the greatest are wanted even if there are
// too many. False if they cannot be read by themselves. Errors of the source are raised. The result lies in the current
// memory context.
bool ReadValues(const Planned &planned, const Source &source, List *clauses, bool bounds, Values *values);

// The value of a sub-select that is computed once, as a constant; NULL if it cannot be computed by itself.
Const *ReadInitPlan(const Planned &planned, PlannerInfo *root, Param *parameter);

}  // namespace aggcache

#endif
