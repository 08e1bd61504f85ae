// The values of a program's groups and aggregates as fields of a contribution, and back.
//
//   key of a group    for each expression a byte that tells null, then the value's bytes; of a value of no fixed length
//                     its length in 4 bytes before them
//   rows              how many
//   kNumber           how many
//   kNarrow, kWide    how many values, their sum
//   kScaled           how many finite values, NaN, Infinity, -Infinity; the sum of the finite ones in units of 10^-20
//   kNumeric          the same, and how many finite values have 0, 1, ... 20 digits behind the point
//   kTruth            how many are true, how many false
//   kBits             how many values, all of them by exclusive or
//
// Nothing here calls code of users, and nothing fails but for want of memory.

#ifndef AGGCACHE_PG_KEEP_SUMS_H
#define AGGCACHE_PG_KEEP_SUMS_H

#include "pg/base/server.h"

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

// Adds a row, or takes it away. False: it does not fit, or a number is too large or has too many digits to be added up
// exactly; the sum is lost then. The index, if there is one, is of this sum.
bool AddRow(const Program *program, Sum *sum, const RowValues &row, bool away, GroupIndex *index);

// What PostgreSQL's aggregate returns for a group.
NullableDatum FinishAggregate(const KeptAggregate &aggregate, const uint64_t *words);

// Reads the values of a group out of its key.
void ReadGroup(const Program *program, const unsigned char *key, NullableDatum *groups);

}  // namespace aggcache

#endif
