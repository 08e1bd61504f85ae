// Making given values the arguments of a function, as a plain call would: with the identity and the settings of the
// current role, whatever the function itself runs as.
//
// What a plain call makes of a literal is made of text; values of other types are cast where a call would cast them
// (implicitly), and where an assignment would with a cast that is PostgreSQL's own. Arguments that are not given get
// the declared defaults.

#ifndef AGGCACHE_PG_SQL_ARGUMENTS_H
#define AGGCACHE_PG_SQL_ARGUMENTS_H

#include "pg/base/server.h"

namespace aggcache {

struct Arguments {
  Oid function;
  int given;
  int count;  // of the function
  Oid given_types[FUNC_MAX_ARGS];
  Oid types[FUNC_MAX_ARGS];  // the function's own
  Oid result;                // type
  Oid collation;             // of a call whose arguments carry none of their own
  bool strict;
  ExprState *expressions[FUNC_MAX_ARGS];  // conversions of what is given, then defaults; NULL: as it is given
  EState *state;
};

// Prepares the conversions. REQUIRES: function, given and given_types are set. Raises an error if they do not fit.
void PrepareArguments(Arguments *arguments);

// Makes the arguments of one call of the values that are given for it, in the current memory context. Given and made
// values may be in the same place. Errors of conversion are raised.
void MakeArguments(const Arguments &arguments, const Datum *given, const bool *given_nulls, Datum *values, bool *nulls);

// When all calls have their arguments: frees what was prepared.
void EndArguments(Arguments *arguments);

}  // namespace aggcache

#endif
