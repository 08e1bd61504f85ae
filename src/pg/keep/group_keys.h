// Keys of a contribution's groups (core/contribution.h), as bytes.
//
//   of a group   its values, one after the other
//   of a value   the group's key; the aggregate's number (1 byte); ValueMark (1 byte); the value
//   a value      a byte that tells null; then its bytes, behind their number in 4 bytes if it has no fixed length

#ifndef AGGCACHE_PG_KEEP_GROUP_KEYS_H
#define AGGCACHE_PG_KEEP_GROUP_KEYS_H

#include "pg/base/server.h"

#include "pg/keep/program.h"

namespace aggcache {

constexpr uint32_t kMaxKey = 8192;

enum ValueMark : unsigned char {
  kValue = 0,  // its group's first word is how many rows have it
  kBound = 1,  // of this value, and of those beyond it, all are there
};

// The key of the group in a buffer of kMaxKey bytes; false if it is too long.
bool MakeGroupKey(const Program *program, const NullableDatum *values, unsigned char *key, uint32_t *size);

// Makes the key of a group, at the front of a buffer of kMaxKey bytes, one of a value of an aggregate; false if it is
// too long.
bool ExtendToValue(const Program *program, int aggregate, ValueMark mark, Datum value, unsigned char *key,
                   uint32_t *size);

// Reads a value; returns what follows. It is in the current memory context.
const unsigned char *ReadValue(Oid type, const unsigned char *key, NullableDatum *value);

// Reads the values of a group; `values` may be NULL. Returns the end of the group's key.
const unsigned char *ReadGroup(const Program *program, const unsigned char *key, NullableDatum *values);

}  // namespace aggcache

#endif
