// The tracking triggers of a table: recognised, put on, taken off. Ours is what calls the extension's trigger function,
// whatever its name.
//
// Triggers that were put on by hand, with aggcache.attach(), have the argument 'attached'. It is seen in \d, goes with
// a dump and to the clones on partitions, and tells that no function that goes takes them off.

#ifndef AGGCACHE_PG_FACTS_TRIGGERS_H
#define AGGCACHE_PG_FACTS_TRIGGERS_H

#include "pg/base/server.h"

namespace aggcache {

// Whether our triggers are on the relation, and all enabled ALWAYS.
bool HasTrackingTriggers(Relation relation);
// Whether any trigger of ours is on the relation, in whatever state.
bool HasAnyTrackingTrigger(Relation relation);
// Whether any that was put by hand on the relation itself is.
bool IsAttachedByHand(Relation relation);

// The relations with a trigger of ours (Oids). Reads the catalogs.
List *TrackedRelations();

// Puts our triggers on a table, under names that are free on it and on its partitions. REQUIRES: ShareRowExclusiveLock
// on it; the role may put triggers on it and them.
void MakeTrackingTriggers(Relation relation, bool by_hand);

// Takes ours off, with their clones on partitions; those that a partition has from the table above it stay. An error if
// trigger events of the table are pending. REQUIRES: ShareRowExclusiveLock.
void DeleteTrackingTriggers(Relation relation);

}  // namespace aggcache

#endif
