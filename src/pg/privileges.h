// Whether the current role may run the body of a definition: a hit needs the same privileges as the query. What was
// found is kept in the definition until a privilege may have changed.

#ifndef AGGCACHE_PG_PRIVILEGES_H
#define AGGCACHE_PG_PRIVILEGES_H

#include "pg/server.h"

#include "pg/definition.h"

namespace aggcache {

// Changes whenever a privilege may have; the callbacks in definition_cache.cc see to it.
extern uint64_t privilege_epoch;

// Whether the current role may run the body, as the executor would decide. False also where it would raise an error.
bool IsPermitted(Definition *definition);

}  // namespace aggcache

#endif
