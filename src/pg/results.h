// Results as bytes: what a store keeps of a function's result, and how a hit hands it to the executor.
//
//   scalar   int64 is_null, then a by-value datum in 8 bytes, or the bytes of a by-reference one
//   rows     int64 count, then each as a MinimalTuple, padded to MAXALIGN
//
// No TOAST pointer and no expanded object is ever part of it.

#ifndef AGGCACHE_PG_RESULTS_H
#define AGGCACHE_PG_RESULTS_H

#include "pg/server.h"

#include "pg/definition.h"

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

// Who takes the rows of hits one by one, instead of a tuplestore for each call that it would only empty into its own.
// Set as long as it makes calls.
struct RowTaker {
  const ReturnSetInfo *info;                      // of these calls
  void (*expect)(void *context, TupleDesc rows);  // told what rows a call gives, however it gives them
  void (*take)(void *context, MinimalTuple row);
  void *context;
};
extern const RowTaker *row_taker;

// Makes a tuplestore in the statement's memory and gives it to the executor; or hands the rows to who takes them, and
// gives none.
void ReturnRows(const ResultShape &shape, const char *data, ReturnSetInfo *info);
// Gives an already filled tuplestore to the executor.
void ReturnTuplestore(const ResultShape &shape, Tuplestorestate *rows, ReturnSetInfo *info);

}  // namespace aggcache

#endif
