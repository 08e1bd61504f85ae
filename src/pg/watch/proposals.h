// Which watches would tell changes apart for a function, from the clauses of its plan for unknown arguments.

#ifndef AGGCACHE_PG_WATCH_PROPOSALS_H
#define AGGCACHE_PG_WATCH_PROPOSALS_H

#include "pg/base/server.h"

#include "pg/watch/appearances.h"

namespace aggcache {

// Adds what to watch for one appearance of a relation in a plan for unknown arguments to the list of WatchProposal
// (dependencies.h). Where the answer shows the order of its rows, every column counts.
void AddProposals(const Planned &planned, const Appearance &seen, List **proposals);

}  // namespace aggcache

#endif
