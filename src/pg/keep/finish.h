// What PostgreSQL's aggregates return for what was added up.

#ifndef AGGCACHE_PG_KEEP_FINISH_H
#define AGGCACHE_PG_KEEP_FINISH_H

#include "pg/base/server.h"

#include "pg/keep/aggregates.h"

namespace aggcache {

// The value of an aggregate without values of its own, from its words of a group. False: whether the plain query fails
// hangs on the order of its rows. Errors that it raises in any order are raised.
bool FinishAggregate(const KeptAggregate &aggregate, const uint64_t *words, NullableDatum *value);

}  // namespace aggcache

#endif
