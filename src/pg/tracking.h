// Tracking: how writes reach the stamps.
//
//   rows       AFTER ROW triggers, enabled ALWAYS, register the transaction in the tags of the old and new row image
//   TRUNCATE   an AFTER STATEMENT trigger registers it in the table's wide tag
//   REFRESH    of a materialized view: CONCURRENTLY runs statements whose target is the view, which the executor hook
//              registers in its wide tag before they begin; otherwise it is one of
//   the rest   every DDL invalidates the relcache entries of the relations it concerns, in the own session first:
//              the callback registers the transaction in the wide tag; what the last command left is looked at before
//              commit
//
// And how a transaction is kept from hitting on what it is itself changing: the executor hook notes each relation that
// a statement writes before any row changes; calls that depend on one compute until the transaction ends.

#ifndef AGGCACHE_PG_TRACKING_H
#define AGGCACHE_PG_TRACKING_H

#include "pg/server.h"

namespace aggcache {

class OwnCommits;
struct Definition;

// Installs the executor, utility and transaction hooks. Called by _PG_init when the library is preloaded.
void InstallTrackingHooks();

// Whether a relation's writes verifiably reach the stamps. *tracked is false for views, whose relations count instead.
// Returns why not, in words, or NULL. REQUIRES: a lock on the relation.
const char *FindTrackingObstacle(Oid relation, bool *tracked);

// Registers this transaction in a relation's wide tag and notes the relation as written.
void RegisterWide(Oid relation);

// Whether this transaction has written, or is writing, a relation that the definition depends on.
bool HasWritten(const Definition *definition);

// Whether a utility statement that may change anything is running in this session.
bool InsideUtility();

// What this session has committed and prepared so far.
const OwnCommits &OwnCommitsOfSession();

}  // namespace aggcache

#endif
