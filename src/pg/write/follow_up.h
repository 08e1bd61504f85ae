// Following up what statements have dropped, made or detached: triggers and watches that nothing needs any more, and
// those that a new child needs.

#ifndef AGGCACHE_PG_WRITE_FOLLOW_UP_H
#define AGGCACHE_PG_WRITE_FOLLOW_UP_H

#include "pg/base/server.h"

namespace aggcache {

// Installs the hook that notes dropped functions and tables, and new children. Called by _PG_init.
void InstallFollowUpHook();

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
