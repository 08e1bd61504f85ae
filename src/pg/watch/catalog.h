// The extension's own catalogs.
//
//   aggcache.dependency (function oid, relation oid)                   which function needs which table tracked
//   aggcache.watch      (relation oid, id bigint, ...)                 what tells a table's changes apart (watches.h)
//   aggcache.watch_use  (function oid, relation oid, watch bigint, ...) which watch a function asks for
//   aggcache.program    (function oid, relation oid, id bigint, ...)   what a row contributes (keep/program.h)
//   aggcache.cell_width (relation regclass, column name, width bigint) said by the user (ranges.h)
//
// All but the last follow from function bodies, so they are not dumped; aggcache.refresh() makes them anew. Changes
// here are part of the changing transaction.

#ifndef AGGCACHE_PG_WATCH_CATALOG_H
#define AGGCACHE_PG_WATCH_CATALOG_H

#include "pg/base/server.h"

#include "pg/watch/watches.h"

namespace aggcache {

// Which relations a function needs tracked, and which functions need a relation tracked; of those, only functions that
// are there.
List *RelationsOfFunction(Oid function);
List *FunctionsOfRelation(Oid relation);
void InsertDependency(Oid function, Oid relation);
void DeleteDependenciesOfFunction(Oid function);
void DeleteDependenciesOfRelation(Oid relation);

struct WatchUse {
  Oid relation;
  uint64_t watch;
};

void InsertWatchUse(Oid function, Oid relation, const Watch &watch);
List *WatchUsesOfFunction(Oid function);
// Deletes the uses of a function; returns them, a list of WatchUse.
List *TakeWatchUsesOfFunction(Oid function);
// Deletes the uses of one watch; returns the functions whose they were.
List *TakeWatchUses(Oid relation, uint64_t watch);

// What functions have left that went unseen: by pg_upgrade, which gives them other oids, or while the library was not
// preloaded. The relations that have such rows; and one relation's are deleted. Returns the uses among them.
List *RelationsOfGoneFunctions();
List *ForgetGoneFunctions(Oid relation);

// Of a function that has none on the relation.
void InsertProgram(Oid function, Oid relation, uint64_t id, const char *text);
void DeleteProgramsOfFunction(Oid function);
// The text of a program that some function has on the relation, in the current memory context, or NULL.
char *FindProgramText(Oid relation, uint64_t id);

void InsertWatch(Oid relation, const Watch &watch);
// Deletes all watches of the relation, with their uses, and all programs.
void DeleteWatches(Oid relation);
// Deletes those watches of the relation whose id is not one of the list of Watch. Returns how many, and takes those out
// of the list that are there.
int DeleteOtherWatches(Oid relation, List **watches);
// Whether a watch of the relation among a list of WatchUse is one that no function asks for any more.
bool HasUnusedWatches(Oid relation, const List *among);

// 0: that of the type again.
void SetCellWidth(Oid relation, Name column, int64_t width);
void DeleteCellWidths(Oid relation);

}  // namespace aggcache

#endif
