// Aggregates that rest on their values: min, max and count(DISTINCT …).
//
// Of each value that a row changes, a contribution says how many rows more or less have it. A base holds all values of
// count(DISTINCT …), but of min and max only those next to the end, and a bound: of values at the bound and beyond it,
// towards the end, none is missing. What is kept can answer for as long as such a value is left.

#ifndef AGGCACHE_PG_KEEP_VALUES_H
#define AGGCACHE_PG_KEEP_VALUES_H

#include "pg/base/server.h"

#include "pg/keep/sums.h"

namespace aggcache {

// The values next to the end, for min and max, while a base is computed.
struct BaseValues;

// In the current memory context.
BaseValues *MakeBaseValues(const Program *program);

// Takes note of a value that is not null, of an aggregate of a group; `place` tells groups apart.
void NoteValue(BaseValues *values, uint32_t place, const unsigned char *key, uint32_t key_size, int aggregate,
               Datum value);

// Adds what was noted to the sum. False: it does not fit.
bool AddNotedValues(const BaseValues *values, Sum *sum);

// A value of a group, as a contribution has it: what follows the group's key, and how many rows have it.
struct ValueEntry {
  const unsigned char *rest;
  int64 count;
};

// What the aggregate returns for a group that has so many rows with a value. False: what is kept cannot tell.
bool FinishValues(const Program *program, int aggregate, int64 rows, const ValueEntry *entries, int count,
                  NullableDatum *value);

}  // namespace aggcache

#endif
