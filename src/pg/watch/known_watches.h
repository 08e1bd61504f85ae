// The watches of tables as this session has read them, so that a miss need not read the catalog each time.
//
// A session may be behind a change that its snapshot already sees: the change is visible before its invalidation
// message has come. So what was read is kept with proof, as a result is (core/stamp.h): whoever changes watches
// registers in the table's wide tag. As long as the active snapshot sees nobody there who was not seen when the watches
// were read, they are what it sees. What changes later is as if they had been read now (docs/internals.md).

#ifndef AGGCACHE_PG_WATCH_KNOWN_WATCHES_H
#define AGGCACHE_PG_WATCH_KNOWN_WATCHES_H

#include "pg/base/server.h"

namespace aggcache {

// As ReadWatches: the caller's own list of Watch, in the current memory context.
List *KnownWatches(Relation relation);

// A relation, or any if it is InvalidOid, may be gone: what is known of it may be forgotten. Raises no error.
void MaySpareWatches(Oid relation);

}  // namespace aggcache

#endif
