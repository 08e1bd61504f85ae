// Equalities that compare not a key column but what a cast makes of it, as drivers and applications write them:
// int_column::numeric = 5.0, char_column::text = 'ab', citext_column::text = 'ab'. Each value of the other side comes
// from one value of the column at most, or from some that the column's own equality finds equal.

#ifndef AGGCACHE_PG_WATCH_CONVERSIONS_H
#define AGGCACHE_PG_WATCH_CONVERSIONS_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// The column of the relation for which "own operation value" is such an equality, or NULL.
Var *FindConvertedColumn(Node *own, Oid operation, Oid collation, Index relation);

// The hash that the column has in rows for which "own operation value" holds; false if there is no such row. REQUIRES:
// FindConvertedColumn has found the column.
bool HashConverted(Node *own, const KeyColumn &column, Datum value, uint32_t *hash);

}  // namespace aggcache

#endif
