// The key of a call: what is executed, on what. Equal keys under equal snapshots have equal results.
//
//   database and function, fingerprint, settings if the body reads them, then for each argument and hidden parameter
//   a byte that tells null, and the value's bytes: arguments that are equal but differ in bytes (numeric 1.0 and 1.00)
//   are different keys

#ifndef AGGCACHE_PG_CALL_KEY_H
#define AGGCACHE_PG_CALL_KEY_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/body/definition.h"
#include "pg/call/hidden_values.h"

namespace aggcache {

// Builds the key in memory that this module keeps: good until the next call. It has no bytes if it would be larger than
// aggcache.max_entry_size: then there is no result under it.
Key BuildKey(const Definition *definition, FunctionCallInfo fcinfo, const NullableDatum *hidden);

// The same for arguments given otherwise than by a call.
Key BuildKeyOf(const Definition *definition, const NullableDatum *arguments, const NullableDatum *hidden);

// Gives back the memory of a large key, which is no longer needed.
void TrimKey();

}  // namespace aggcache

#endif
