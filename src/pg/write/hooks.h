// How writes reach the stamps that no trigger of a table shows.
//
//   REFRESH    of a materialized view: CONCURRENTLY runs statements whose target is the view, which the executor hook
//              registers in its wide tag before they begin; otherwise it is one of
//   the rest   every DDL invalidates the relcache entries of the relations it concerns, in the own session first:
//              the callback registers the transaction in the wide tag; what the last command left is looked at before
//              commit
//
// And how a transaction is kept from hitting on what it is itself changing: the executor hook notes each relation that
// a statement writes before any row changes; calls that depend on one compute until the transaction ends.

#ifndef AGGCACHE_PG_WRITE_HOOKS_H
#define AGGCACHE_PG_WRITE_HOOKS_H

#include "pg/base/server.h"

namespace aggcache {

class OwnCommits;

// Installs the executor and utility hooks, and asks for invalidation messages. Called by _PG_init when the library is
// preloaded.
void InstallTrackingHooks();

// Before a transaction commits or is prepared, when one has, and when one ends.
void RegisterBeforeCommit();
void NoteOwnCommit(XactEvent event);
void ForgetStatements();

// Whether a utility statement that may change anything is running in this session.
bool InsideUtility();

// What this session has committed and prepared so far.
const OwnCommits &OwnCommitsOfSession();

}  // namespace aggcache

#endif
