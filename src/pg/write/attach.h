// Attaching: the tracking triggers and watches of the tables that cached functions read, put on and taken off as
// functions come and go.

#ifndef AGGCACHE_PG_WRITE_ATTACH_H
#define AGGCACHE_PG_WRITE_ATTACH_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Records what the function reads, puts triggers and watches on tables that the function's owner may put triggers on,
// and takes them from tables that no function reads any more. Messages of the level say which tables could not be
// tracked, and why. REQUIRES: the current role has the privileges of the owner.
void AttachFunction(Oid function, const Definition *definition, int level);

// Puts the tracking triggers on a table, replacing altered ones. By hand: they stay when functions go.
// REQUIRES: MayAttach.
void AttachTable(Oid relation, bool by_hand);

// Takes triggers and watches from a table.
void DetachTable(Oid relation);

// Whether a role, and the current one, may put triggers on the relation and on all its partitions.
bool MayAttach(Oid relation, Oid role);

// Lets go of what functions needed that went unseen, on tables that the current role may put triggers on.
void ForgetGone();

// The current role may, and so may the one on whose account it is: an administrator who does something about another
// role's function tracks no table that the other role may not track.
bool CanBeAttached(Oid relation, Oid role);

// Triggers of a statement that is writing the table, which calls us, may still have to fire.
bool HasPendingEvents(Oid table);

// After a function has let go of a table. Who may not put triggers on it takes none off by dropping his function: they
// wait for somebody who may.
void ReleaseTable(Oid relation, Oid role, const List *watches);

}  // namespace aggcache

#endif
