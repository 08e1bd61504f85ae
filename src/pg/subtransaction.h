// Trying what may fail: errors are dropped, and with them whatever the attempt held.

#ifndef AGGCACHE_PG_SUBTRANSACTION_H
#define AGGCACHE_PG_SUBTRANSACTION_H

#include "pg/server.h"

namespace aggcache {

// Whether an error is about cancelling or shutting down, which nobody may drop.
bool IsInterruption(const ErrorData *error);

// Runs work(context) in a subtransaction, in the current memory context. False if it raised an error, which is put into
// *error, or dropped if `error` is NULL, unless it is an interruption: that is raised again. REQUIRES: no parallel
// operation.
bool TryInSubtransaction(void (*work)(void *context), void *context, ErrorData **error = nullptr);

}  // namespace aggcache

#endif
