// Trying what may fail: errors are dropped, and with them whatever the attempt held.

#ifndef AGGCACHE_PG_SUBTRANSACTION_H
#define AGGCACHE_PG_SUBTRANSACTION_H

#include "pg/server.h"

namespace aggcache {

// Runs work(context) in a subtransaction, in the current memory context. False if it raised an error, which is dropped,
// unless it was about cancelling or shutting down: that is raised again. REQUIRES: no parallel operation.
bool TryInSubtransaction(void (*work)(void *context), void *context);

}  // namespace aggcache

#endif
