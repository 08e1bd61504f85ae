// Whether the writes of a relation reach the stamps: what a tracked table is.

#ifndef AGGCACHE_PG_FACTS_TRACKED_H
#define AGGCACHE_PG_FACTS_TRACKED_H

#include "pg/base/server.h"

namespace aggcache {

// Whether a relation's writes verifiably reach the stamps. *tracked is false for views, whose relations count instead.
// Returns why not, in words, or NULL. REQUIRES: a lock on the relation.
const char *FindTrackingObstacle(Oid relation, bool *tracked);

}  // namespace aggcache

#endif
