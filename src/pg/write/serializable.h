// SERIALIZABLE transactions.
//
// PostgreSQL finds dangerous structures from rw-conflicts: a transaction read what a concurrent one wrote, and did not
// see the write. It learns of them from SIREAD locks that reads leave for later writes to find, and from tuples in
// which reads find earlier writes. A hit reads no row, so here it leaves the one and finds the other, at the
// granularity of the relation. docs/internals.md holds the argument.

#ifndef AGGCACHE_PG_WRITE_SERIALIZABLE_H
#define AGGCACHE_PG_WRITE_SERIALIZABLE_H

#include "pg/base/server.h"

namespace aggcache {

struct Definition;

// Leaves a SIREAD lock on every source relation, and flags the conflicts with concurrent transactions that have written
// one. Locks each relation as the query would. False if such a writer may have been forgotten, or a relation is gone:
// then only running the query shows its conflicts. Raises serialization failures. REQUIRES: a SERIALIZABLE transaction.
bool ShowSerializableReads(const Definition *definition, ::Snapshot snapshot);

void ShowFirstSerializableWrite(Relation relation);

// Tells later readers of the relation that this transaction has changed a row of it, and looks for readers that came
// between the change and this call. Called by the AFTER ROW trigger. Raises serialization failures.
inline void ShowSerializableWrite(Relation relation) {
  if (IsolationIsSerializable()) ShowFirstSerializableWrite(relation);
}

}  // namespace aggcache

#endif
