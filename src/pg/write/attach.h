// Attaching: the tracking triggers and watches of the tables that cached functions read, put on and taken off as
// functions come and go.

#ifndef AGGCACHE_PG_WRITE_ATTACH_H
#define AGGCACHE_PG_WRITE_ATTACH_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Installs the hook that notes dropped functions and tables, and new children. Called by _PG_init.
void InstallAttachHooks();

// Records what the function reads, puts triggers and watches on tables that the function's owner may put triggers on,
// and takes them from tables that no function reads any more. Messages of the level say which tables could not be
// tracked, and why. REQUIRES: the current role has the privileges of the owner.
void AttachFunction(Oid function, const Definition *definition, int level);

// Puts the tracking triggers on a table, replacing altered ones. By hand: they stay when functions go.
// REQUIRES: MayAttach.
void AttachTable(Oid relation, bool by_hand);

// Takes triggers and watches from a table.
void DetachTable(Oid relation);

// Makes the watches of a relation anew with the widths of cells as they are now.
void ResizeCells(Oid relation);

// Whether a role, and the current one, may put triggers on the relation and on all its partitions.
bool MayAttach(Oid relation, Oid role);

// Lets go of what functions needed that went unseen, on tables that the current role may put triggers on.
void ForgetGone();

// Follows up what the running statement has dropped, created or detached. Called at the end of utility statements.
void FollowUp(Node *statement);

// The same for children that no utility statement has made, but an extension by itself, as it does for a row. REQUIRES:
// the transaction is about to commit, and its triggers have fired. What it has written to them is covered by the wide
// tags of the parents, which have got a child.
void FollowUpAtCommit();

// Forgets what was noted: the transaction ends.
void AbandonFollowUp();

}  // namespace aggcache

#endif
