// The extension's own catalogs and the tracking triggers: which cached function reads which table, which watches a
// table has.
//
//   aggcache.dependency (function oid, relation oid)       which function needs which table tracked
//   aggcache.watch      (relation oid, columns int2[])     sets of key columns (watches.h)
//
// Both follow from function bodies, so they are not dumped; aggcache.refresh() makes them anew. Changes here are part
// of the changing transaction.

#ifndef AGGCACHE_PG_CATALOG_H
#define AGGCACHE_PG_CATALOG_H

#include "pg/server.h"

#include "pg/definition.h"

namespace aggcache {

// Installs the hook that notes dropped functions and tables. Called by _PG_init.
void InstallCatalogHooks();

// Records what the function reads, puts triggers and watches on tables that the current role may put triggers on, and
// takes them from tables that no function reads any more. Returns how many tables could not be tracked; notices say
// why.
int AttachFunction(Oid function, const Definition *definition);

// Puts the tracking triggers on a table, replacing altered ones. REQUIRES: the role may.
void AttachTable(Oid relation);

// Takes triggers and watches from a table.
void DetachTable(Oid relation);

// Whether the current role may put triggers on the relation.
bool MayAttach(Oid relation);

// Cleans up after functions and tables that the running statement has dropped. Called at the end of utility statements.
void ForgetDropped();

// Forgets what was noted: the transaction ends.
void AbandonDropped();

}  // namespace aggcache

#endif
