// May calls use the cache, and if not, why? Calls, aggcache.explain(), the views and aggcache.health() all ask here.

#ifndef AGGCACHE_PG_CALL_DECISION_H
#define AGGCACHE_PG_CALL_DECISION_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/body/definition.h"

namespace aggcache {

// What keeps every call of this session, now and under the active snapshot, from using the cache.
Obstacle FindSessionObstacle();

// What keeps every call of the function from it in a session that has no obstacle. With AnalyseAsCalled() that is known
// without a call.
Obstacle FindFunctionObstacle(const Definition *definition);

// Both, in that order.
Obstacle FindObstacle(const Definition *definition);

// What keeps a call by the current role from it.
Obstacle FindRoleObstacle(Definition *definition);

}  // namespace aggcache

#endif
