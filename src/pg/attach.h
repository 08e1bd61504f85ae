// Attaching: the tracking triggers and watches of the tables that cached functions read, put on and taken off as
// functions come and go.

#ifndef AGGCACHE_PG_ATTACH_H
#define AGGCACHE_PG_ATTACH_H

#include "pg/server.h"

#include "pg/definition.h"

namespace aggcache {

// Installs the hook that notes dropped functions and tables, and new children. Called by _PG_init.
void InstallAttachHooks();

// Records what the function reads, puts triggers and watches on tables that the current role may put triggers on, and
// takes them from tables that no function reads any more. Returns how many tables could not be tracked; notices say
// why.
int AttachFunction(Oid function, const Definition *definition);

// Puts the tracking triggers on a table, replacing altered ones. REQUIRES: the role may.
void AttachTable(Oid relation);

// Puts the tracking triggers on the tables whose writes carry the relation's rows, where the role may.
void AttachRelation(Oid relation);

// Takes triggers and watches from a table.
void DetachTable(Oid relation);

// Makes the watches of a relation anew with the widths of cells as they are now.
void ResizeCells(Oid relation);

// Whether the current role may put triggers on the relation.
bool MayAttach(Oid relation);

// Follows up what the running statement has dropped, created or detached. Called at the end of utility statements.
void FollowUp(Node *statement);

// Forgets what was noted: the transaction ends.
void AbandonFollowUp();

}  // namespace aggcache

#endif
