// The watches of tables, and which functions use them.

#ifndef AGGCACHE_PG_WRITE_WATCH_USES_H
#define AGGCACHE_PG_WRITE_WATCH_USES_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// Adds a watch that serves for the wanted one, if there is none yet, and notes that the function uses it. False if the
// table has too many.
bool AddWatch(Oid function, Oid relation, const Watch &wanted);

// Drops those among the watches (WatchUse *) that no function uses any more.
void DropUnusedWatches(Oid relation, const List *watches);

// The watch of one table for another whose columns have the same names.
Watch TranslateWatch(const Watch &watch, const AttrMap *map);

// Makes the watches of a relation anew with the widths of cells as they are now.
void ResizeCells(Oid relation);

// The watches of a relation have changed: ends the results that rest on the old ones, and tells the sessions. REQUIRES:
// a lock that keeps writers out.
void AnnounceWatches(Relation relation);

}  // namespace aggcache

#endif
