// Which aggregates can be kept current, and how each is laid out in contributions (sums.h).

#ifndef AGGCACHE_PG_KEEP_AGGREGATES_H
#define AGGCACHE_PG_KEEP_AGGREGATES_H

#include "pg/base/server.h"

#include "core/contribution.h"

namespace aggcache {

constexpr int kNumericScales = 21;  // digits behind the point that numerics may have: 0 to 20

// How an aggregate is added up; its fields are drawn in sums.h.
enum class SumKind : uint8_t {
  kNumber,          // count: of rows, or of values that are not null
  kNarrow,          // sum and avg of smallint and integer
  kWide,            // of bigint
  kNumeric,         // of numeric, whose scales are counted as well
  kScaled,          // of a numeric column of a fixed scale
  kNarrowSquares,   // variance, stddev and kin of smallint and integer
  kWideSquares,     // of bigint
  kNumericSquares,  // of numeric
  kInterval,        // sum and avg of interval
  kMoney,           // sum of money
  kTruth,           // bool_and, bool_or, every
  kBits,            // bit_xor
  kExtreme,         // min, max: with the values (values.h)
  kDistinct,        // count(DISTINCT …): with the values
};

inline bool HasValues(SumKind kind) { return kind == SumKind::kExtreme || kind == SumKind::kDistinct; }

struct KeptAggregate {
  const Aggref *call;
  SumKind kind;
  int scale;        // kScaled
  bool greatest;    // kExtreme: max
  Oid comparison;   // kExtreme: compares values as the aggregate does; with the call's collation
  Expr *argument;   // NULL: of rows
  Expr *filter;     // NULL: all
  uint32_t fields;  // the first of its fields
  uint32_t words;   // of a group, the first of its words
};

// How many fields a kind has, and which.
const FieldKind *FieldsOf(SumKind kind, int *count);

// What is known of an aggregate that can be kept, from its normalised call; fields and words are not set.
KeptAggregate DescribeAggregate(const Aggref *call);

// Why an aggregate cannot be kept, in words, or NULL. Sets *may_fail if evaluating it on a row may.
const char *FindObstacleInAggregate(const Aggref *call, bool *may_fail);

// Whether a window function gives the same to rows that its window's order does not tell apart, in whatever order they
// come. `frame`: the window's options.
bool MindsNoTies(Oid function, int frame);

// Whether values of the type are equal by the operator exactly if their bytes are.
bool IsEqualByBytes(Oid type, Oid collation, Oid equality);

}  // namespace aggcache

#endif
