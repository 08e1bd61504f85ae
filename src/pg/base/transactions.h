// The core's questions about transactions, answered by the server: snapshots with 64-bit ids, outcomes, the own id.

#ifndef AGGCACHE_PG_BASE_TRANSACTIONS_H
#define AGGCACHE_PG_BASE_TRANSACTIONS_H

#include "pg/base/server.h"

#include "core/snapshot.h"

namespace aggcache {

// Whether results computed under this snapshot may be stored or looked up: a plain MVCC snapshot taken outside
// recovery.
bool IsEligibleSnapshot(::Snapshot snapshot);

// The active snapshot with 64-bit ids. The array of running ids is this module's and good until the next call.
Snapshot CoreSnapshot(::Snapshot snapshot);

// This transaction's top-level id, or kNoXid.
Xid OwnXid();

// Answers for Transactions.
Transactions ServerTransactions();
// The same for who registers: what the active snapshot has seen finish has finished. Good as long as it is active.
Transactions WriterTransactions();

// Begins the protocol after a start or a promotion (StampTable::Begin). REQUIRES: not in recovery.
void BeginStamps();

}  // namespace aggcache

#endif
