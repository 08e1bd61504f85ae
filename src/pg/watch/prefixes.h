// Clauses that leave a range of a text column, in the order of bytes: those that leave a prefix, and comparisons under
// a collation that orders by bytes.
//
// The unit of a text is made of its first eight bytes (ranges.h). So its order is that of bytes, whatever the collation
// of the column is, and the values with a prefix are a range under every collation. Only what the collation of the
// clause calls equal must be what has the same bytes.

#ifndef AGGCACHE_PG_WATCH_PREFIXES_H
#define AGGCACHE_PG_WATCH_PREFIXES_H

#include "pg/base/server.h"

#include "pg/watch/ranges.h"

namespace aggcache {

// Narrows *range by the clause, if it is one of these about the column, with a constant.
// REQUIRES: column.kind is kText.
bool RestrictsToTexts(Node *clause, Index relation, const RangeColumn &column, UnitRange *range);

// The column that the clause will leave a range of texts for when its other side is known; NULL if there is none. Not
// that of an equality, which makes a key.
Bitmapset *TextRangeColumn(Node *clause, Index relation);

}  // namespace aggcache

#endif
