// The places of the statistics of functions and tables: claimed when they are first needed, given back when what they
// are about has been dropped.
//
// Two arrays in shared memory, each an open-addressing table. The id of a place is 0 where none has been since the
// search could first have stopped there, kFormer where one has been, which a search passes by and a claim may take.
// Reading takes no lock; ids change under shared::state->statistics_lock.

#ifndef AGGCACHE_PG_BASE_STATISTICS_H
#define AGGCACHE_PG_BASE_STATISTICS_H

#include "pg/base/server.h"

namespace aggcache {

// The id of a place that was given back. No database has this number.
constexpr uint64_t kFormer = ~uint64_t{0};

inline bool IsFreePlace(uint64_t id) { return id == 0 || id == kFormer; }

// Notes what is dropped. Called by _PG_init.
void InstallStatisticsHook();

// Before a commit, and at the end of a transaction, after the others have counted.
void FindDroppedStatistics();
void GiveBackStatistics(bool committed);

// Sets all statistics to zero, and gives the places back of what does not exist any more: dropped by a transaction that
// was prepared, say.
void ResetStatistics();

}  // namespace aggcache

#endif
