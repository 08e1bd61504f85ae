// Whether bytes from Redis are a result of a function, before anything of them becomes a datum.
//
// The rule: PostgreSQL trusts each length within a datum, and what reads it reads on by them. So, unless a proof of the
// secret says that this server has written the bytes (redis/secret.h), every length is checked down to the last: that
// of each row, its header, each column, and what is within the column's value. That can be done for types whose bytes
// are known here; a result of any other type is kept in Redis only if there is a secret. What is checked is that
// reading the bytes is safe, and raises no error, not that they are the right answer: against that only a secret helps.

#ifndef AGGCACHE_PG_BODY_WELLFORMED_H
#define AGGCACHE_PG_BODY_WELLFORMED_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

enum class ValueKind : uint8_t {
  kUnknown,  // cannot be checked
  kAny,      // of fixed length, and any bytes are a value
  kBool,
  kDate,
  kTime,
  kTimeTz,
  kTimestamp,
  kEnum,
  kName,
  kBytes,
  kText,
  kNumeric,
  kBits,
  kInet,
  kJsonb,
  kArray,
  kRange
};

// What values of one type are checked for.
struct ValueCheck {
  ValueKind kind;
  bool by_value;
  char alignment;
  int16 length;
  Oid type;                   // of an enum or a range; of an array the type of its elements: as the bytes name it
  const ValueCheck *element;  // of an array or a range
};

// Those of the columns of a result, or of its one value.
struct ResultChecks {
  bool complete;  // there are no values that cannot be checked
  int count;
  ValueCheck values[FLEXIBLE_ARRAY_MEMBER];
};

// In the current memory context, for the life of the shape's descriptor.
const ResultChecks *MakeResultChecks(const ResultShape &shape);

// Whether bytes are a result. With a proof only its rows are counted and measured. REQUIRES: a proof, or complete
// checks; data at a multiple of MAXALIGN.
bool IsWellFormed(const ResultShape &shape, const char *data, Size size, bool proven);

}  // namespace aggcache

#endif
