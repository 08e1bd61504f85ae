// Operator families that indexes and partition keys bring along.

#ifndef AGGCACHE_PG_FACTS_OPERATOR_FAMILIES_H
#define AGGCACHE_PG_FACTS_OPERATOR_FAMILIES_H

#include "pg/base/server.h"

namespace aggcache {

// Operator families, not built in, of the indexes and partition keys of these relations and of what is below them.
// Through them a plan may call other functions for a built-in operator than the built-in families have. REQUIRES: locks
// on the relations.
List *FamiliesOfRelations(const List *relations);

}  // namespace aggcache

#endif
