// Tables that consist of others: partitioned tables and inheritance parents.
//
// A write names the table that holds the row. Results that read a partitioned table carry tags of that table, so writes
// to a partition register under the tables above it as well; results that read an inheritance parent carry tags of
// every child. Attaching and detaching are DDL of the table above, and register in its wide tag.

#ifndef AGGCACHE_PG_FACTS_PARTITIONS_H
#define AGGCACHE_PG_FACTS_PARTITIONS_H

#include "pg/base/server.h"

namespace aggcache {

// All relations below this one, at every level, as pg_inherits has them now, whatever this session's caches say.
// Sets *pending if a partition among them is being detached concurrently: whether it still belongs depends on the
// snapshot.
List *PartsOf(Oid relation, bool *pending);

// The partitioned tables above a partition, the nearest first.
List *PartitionAncestors(Relation relation);
List *PartitionAncestorsOf(Oid relation);

// Whether planning in this session would read the partitions of a partitioned table that pg_inherits has now. Attaching
// one does not wait for readers, so for a moment after it has committed a session may not know of it. REQUIRES: a lock
// on the table.
bool AreKnownPartsCurrent(Oid table);

bool SameOids(List *a, List *b);

}  // namespace aggcache

#endif
