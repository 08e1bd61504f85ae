// Which answers show the order in which rows happen to come. Where a query leaves it open, it is that of the files,
// mostly, and an UPDATE moves a row whatever column it sets.

#ifndef AGGCACHE_PG_BODY_ROW_ORDER_H
#define AGGCACHE_PG_BODY_ROW_ORDER_H

#include "pg/base/server.h"

namespace aggcache {

// The relations (Oids) of which the order of rows may decide what the query answers. The order of the rows of a set is
// no part of the answer; of a function that returns no set the first row is.
List *RelationsShowingOrder(const Query *query, bool returns_set);

}  // namespace aggcache

#endif
