// The values of a program's groups and aggregates as fields of a contribution.
//
//   rows              how many
//   kNumber           how many
//   kNarrow, kWide    how many values, their sum
//   kScaled           how many finite values, NaN, Infinity, -Infinity; the sum of the finite ones in units of 10^-20
//   kNumeric          the same, and how many finite values have 0, 1, ... 20 digits behind the point
//   kNarrowSquares, kWideSquares
//                     as kNarrow and kWide, and the sum of the squares
//   kNumericSquares   as kNumeric, and the sum of the squares in units of 10^-20
//   kInterval         how many values; the sums of months, of days, of microseconds; those of their absolute values
//   kMoney            how many values, their sum, that of their absolute values
//   kTruth            how many are true, how many false
//   kBits             how many values, all of them by exclusive or
//   kExtreme, kDistinct
//                     how many values; each value is a group besides (group_keys.h, values.h)
//
// Nothing here calls code of users, and nothing fails but for want of memory.

#ifndef AGGCACHE_PG_KEEP_SUMS_H
#define AGGCACHE_PG_KEEP_SUMS_H

#include "pg/base/server.h"

#include "pg/keep/group_keys.h"
#include "pg/keep/program.h"

namespace aggcache {

// The values of a row: of the groups, and for each aggregate its argument. `counts`: the row passes the FILTER.
struct RowValues {
  NullableDatum *groups;
  NullableDatum *arguments;
  bool *counts;
};

RowValues *MakeRowValues(const Program *program);

// A sum that grows in the memory context in which it was begun.
struct Sum {
  unsigned char *bytes;
  uint32_t size;
  uint32_t room;
};

void BeginSum(const Program *program, Sum *sum);

struct BaseValues;

// Adds a row, or takes it away. False: it does not fit, or a number is too large or has too many digits to be added up
// exactly; the sum is lost then. The index, if there is one, is of this sum. `noted`, if there is one, takes the values
// of min and max.
bool AddRow(const Program *program, Sum *sum, const RowValues &row, bool away, GroupIndex *index, BaseValues *noted);

// Adds to the number of rows that have a value of an aggregate, in a group. False: it does not fit.
bool AddToValue(const Program *program, Sum *sum, const unsigned char *group, uint32_t group_size, int aggregate,
                ValueMark mark, Datum value, int64 rows, GroupIndex *index);

}  // namespace aggcache

#endif
