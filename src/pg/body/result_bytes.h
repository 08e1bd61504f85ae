// Results as bytes: what a store keeps of a function's result.
//
//   scalar   int64 is_null, then a by-value datum in 8 bytes, or the bytes of a by-reference one
//   rows     int64 count, then each as a MinimalTuple, padded to MAXALIGN
//
// No TOAST pointer and no expanded object is ever part of it.

#ifndef AGGCACHE_PG_BODY_RESULT_BYTES_H
#define AGGCACHE_PG_BODY_RESULT_BYTES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

struct ResultBytes {
  char *data;
  Size size;
  bool too_large;  // stopped at the limit; data is useless
};

// A number that differs, but for collisions, where the bytes of a result would be read as something else.
uint64_t FingerprintRowType(const ResultShape &shape);

// Raises an error unless rows of the result are what a caller expects, as the executor would.
void RequireRowType(const ResultShape &shape, TupleDesc expected);

// Raises an error if the caller would read rows by their type as it is now, and that is not what it was. For results of
// definitions that are not valid any more.
void RequireCurrentRowType(const ResultShape &shape, FunctionCallInfo fcinfo);

ResultBytes EncodeScalar(const ResultShape &shape, Datum value, bool is_null, Size limit);
// Reads the tuplestore from the start and leaves it there.
ResultBytes EncodeRows(const ResultShape &shape, Tuplestorestate *rows, Size limit);

// The value is copied into the current memory context.
Datum DecodeScalar(const ResultShape &shape, const char *data, Size size, bool *is_null);

}  // namespace aggcache

#endif
