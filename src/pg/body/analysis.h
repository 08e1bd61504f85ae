// Making a definition: the body is parsed, rewritten, seen through, and taken apart.

#ifndef AGGCACHE_PG_BODY_ANALYSIS_H
#define AGGCACHE_PG_BODY_ANALYSIS_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Makes one for this call in the current environment, in the current memory context. Errors of parsing the body are
// raised. Only definition_cache.cc calls it: nobody tells what is made here of later changes.
Definition *MakeDefinition(FunctionCallInfo fcinfo);

// Makes one for a function as its declaration stands, outside any call, in the current memory context.
// What only forbids creating the function goes to *refusal. With a caller: a function, of language sql too, that the
// caller's body calls.
Definition *AnalyseFunction(Oid function, Refusal *refusal, const Definition *caller = nullptr);

// The same for a function that is looked at: what forbids creating it is its obstacle, as for a call.
Definition *AnalyseAsCalled(Oid function);

}  // namespace aggcache

#endif
