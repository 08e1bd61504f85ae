// The watches of tables, and which functions use them.

#ifndef AGGCACHE_PG_WRITE_WATCH_USES_H
#define AGGCACHE_PG_WRITE_WATCH_USES_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// Notes that the function asks for a watch. False if the table has too many.
bool AskForWatch(Oid function, Oid relation, const Watch &wanted);

// Puts the watches in force that follow from what functions ask for now, once all that they ask for is noted.
void PutWatchesInForce(Oid relation);

// Does away with what those among the watches (WatchUse *) were in force for that no function asks for any more.
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
