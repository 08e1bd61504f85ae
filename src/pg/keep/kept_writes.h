// What this transaction contributes to ledgers (core/ledger.h): kept for each savepoint until it commits or is
// prepared.

#ifndef AGGCACHE_PG_KEEP_KEPT_WRITES_H
#define AGGCACHE_PG_KEEP_KEPT_WRITES_H

#include "pg/base/server.h"

#include "core/ledger.h"

namespace aggcache {

// A row of the relation has changed; the transaction has registered in these tags for it. Either image may be NULL.
void KeepChange(Relation relation, const uint64_t *tags, int count, TupleTableSlot *old_row, TupleTableSlot *new_row);

// The same, and what it adds is not known: what is kept for these tags goes.
void KeepNothing(const uint64_t *tags, int count);

// Before a commit and before PREPARE, after everything of this module that may change rows: puts the contributions into
// the ledgers. Rows that others change later still make the ledgers go.
void PublishKept();

// A savepoint of this nesting level has ended.
void EndKeptLevel(int level, bool committed);

// A transaction has ended.
void ForgetKept();

// How contributions are added, with memory of this session. Good until the next call.
Adding KeptAdding();

// Makes room by giving up ledgers that nobody reads, of some partitions. False: there are none.
bool SweepLedgers();

// Gives up all ledgers of the relations, or of this database.
void GiveUpLedgersOf(const List *relations, bool all);

// Gives the ledger up.
void GiveUpLedger(const LedgerKey &key);

}  // namespace aggcache

#endif
