// Functions that never fall, or never rise, as their argument grows: casts, date_trunc, extract(year), arithmetic with
// constants, to_char, and what is made of these; and the orders that operators belong to. Texts are in the order of
// their bytes.
//
// Local time falls where a clock is put back. So a conversion between zones keeps the order of moments only if they are
// far enough apart: by the distance between the offsets that the zone has ever had.

#ifndef AGGCACHE_PG_WATCH_MONOTONE_H
#define AGGCACHE_PG_WATCH_MONOTONE_H

#include "pg/base/server.h"

#include "pg/watch/ranges.h"

namespace aggcache {

// How a function's value moves as the column grows.
struct Order {
  int direction;  // +1: never falls, -1: never rises
  int64_t slack;  // microseconds: only for columns at least so far apart
  bool steps;     // values may lie a step apart, and a step is at most a day
};

// Finds the only column that the expression reads, and how the expression moves with it; false if that is not known.
// All else must be constants; without `known` they are not there yet, and are taken for such as fit.
bool FindOrder(Node *node, Index relation, bool known, Var **column, Order *order);

// The column of such an expression, if its ranges can be found, or NULL; where constants are not known yet.
Var *FindOrderedArgument(Node *expression, Index relation);

// What comparing values of two types does to an order: if only one of them has a zone, the other is converted.
void AddComparison(Oid left, Oid right, Order *order);

// The built-in order that the operator belongs to, and as what.
bool FindOrdering(Oid operation, Oid *family, int *strategy);
bool HasOrder(Oid operation);
// Whether it asks for the lesser values of its left argument.
bool IsLess(Oid operation);
// The operator that compares the same types as the equality does, by its order; or InvalidOid.
Oid OrderOfEquality(Oid equality, int strategy);

}  // namespace aggcache

#endif
