// Watches that tell columns apart (sharing.h). Under such a watch the tag of a row's key values, or of a cell, stands
// for rows that come and go: that are inserted, deleted, moved between keys or cells, or begin or cease to pass the
// predicate. An UPDATE that does none of this registers, for each of these tags, once for each column that it changes,
// and once for any column. So what a writer pays goes by the columns that change, not by the functions that use them.
// Rows that come and go register for any column of their key too: that tag, of the key's tag, has every change under it
// (RelationDependency::key_tag).

#ifndef AGGCACHE_PG_WATCH_CHANGED_COLUMNS_H
#define AGGCACHE_PG_WATCH_CHANGED_COLUMNS_H

#include "pg/base/server.h"

#include "pg/watch/dependencies.h"

namespace aggcache {

// Adds to the tags of an item, which are those of keys and cells under item->watch, those of the columns that the plan
// uses (a NULL set with `all`: of the whole row), each by itself if that makes no more than `most`. item->watch becomes
// what it is to this item.
void AddColumnTags(RelationDependency *item, const Bitmapset *used, bool all, int most);

// What a watch is to a function that asks for another one which it serves.
Watch AsServes(const Watch &watch, const Watch &wanted);

}  // namespace aggcache

#endif
