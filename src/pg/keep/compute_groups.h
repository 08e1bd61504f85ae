// Computes the groups of a call from the rows of its table.

#ifndef AGGCACHE_PG_KEEP_COMPUTE_GROUPS_H
#define AGGCACHE_PG_KEEP_COMPUTE_GROUPS_H

#include "pg/base/server.h"

#include "pg/body/definition.h"
#include "pg/keep/sums.h"

namespace aggcache {

// Adds up the rows that count under the snapshot, in the current memory context. False: the groups are too many, or a
// number is too large. Errors of the body are raised. REQUIRES: the definition has a program; locks on its relations.
bool ComputeGroups(const Definition *definition, ParamListInfo parameters, ::Snapshot snapshot, Sum *sum);

}  // namespace aggcache

#endif
