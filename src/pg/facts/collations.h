// What is known of the order and the equality of texts under a collation.

#ifndef AGGCACHE_PG_FACTS_COLLATIONS_H
#define AGGCACHE_PG_FACTS_COLLATIONS_H

#include "pg/base/server.h"

namespace aggcache {

// Whether texts are in the order of their bytes.
bool OrdersByBytes(Oid collation);

// Whether a text equals another under the collation only if it has the same bytes.
bool EqualsByBytes(Oid collation);

}  // namespace aggcache

#endif
