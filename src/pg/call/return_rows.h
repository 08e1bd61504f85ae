// How a hit hands its rows to the executor.

#ifndef AGGCACHE_PG_CALL_RETURN_ROWS_H
#define AGGCACHE_PG_CALL_RETURN_ROWS_H

#include "pg/base/server.h"

#include "pg/body/result_bytes.h"

namespace aggcache {

// Who takes the rows of hits one by one, instead of a tuplestore for each call that it would only empty into its own.
// Set as long as it makes calls.
struct RowTaker {
  const ReturnSetInfo *info;                      // of these calls
  void (*expect)(void *context, TupleDesc rows);  // told what rows a call gives, however it gives them
  void (*take)(void *context, MinimalTuple row);
  void *context;
};
// Sets it, NULL for nobody, and returns who was it before.
const RowTaker *SetRowTaker(const RowTaker *taker);

// Makes a tuplestore in the statement's memory and gives it to the executor; or hands the rows to who takes them, and
// gives none.
void ReturnRows(const ResultShape &shape, const char *data, ReturnSetInfo *info);
// Gives an already filled tuplestore to the executor.
void ReturnTuplestore(const ResultShape &shape, Tuplestorestate *rows, ReturnSetInfo *info);

}  // namespace aggcache

#endif
