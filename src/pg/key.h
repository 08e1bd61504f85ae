// The key of a call: what is executed, on what. Equal keys under equal snapshots have equal results.
//
//   database and function, fingerprint, settings if the body reads them, then for each argument and hidden parameter
//   a byte that tells null, and the value's bytes: arguments that are equal but differ in bytes (numeric 1.0 and 1.00)
//   are different keys

#ifndef AGGCACHE_PG_KEY_H
#define AGGCACHE_PG_KEY_H

#include "pg/server.h"

#include "core/entry_store.h"
#include "pg/definition.h"

namespace aggcache {

// Values of a call's arguments and hidden parameters, as the planner and executor take them. In `context`.
ParamListInfo CallParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden);

// Evaluates the hidden parameters into values[definition->hidden_count]. False if one cannot be evaluated: the
// error is dropped, since the query itself might never have come to it.
bool EvaluateHiddenParameters(const Definition *definition, FunctionCallInfo fcinfo, NullableDatum *values);

// Builds the key in memory that this module keeps: good until the next call.
Key BuildKey(const Definition *definition, FunctionCallInfo fcinfo, const NullableDatum *hidden);

// The same for arguments given otherwise than by a call.
Key BuildKeyOf(const Definition *definition, const NullableDatum *arguments, const NullableDatum *hidden);

}  // namespace aggcache

#endif
