// Outcomes are asked of the list of running transactions and then of the commit log, under PostgreSQL's locks for
// these. State of this session: the array of running ids, which grows with the largest snapshot.

#include "pg/base/server.h"

#include "pg/base/transactions.h"

#include "pg/base/shared.h"

namespace aggcache {

namespace {

Xid *running = nullptr;
uint32_t running_limit = 0;

// An id that the commit log no longer holds must not be asked about, and not be mistaken for one of a later epoch.
// Half of what 32 bits can tell apart is left to what is assigned meanwhile.
bool IsTooOld(Xid xid) { return xid + (1ULL << 30) < compat::NextXid(); }

// How a transaction has ended, so far as the server can still tell.
Outcome ServerOutcome(void *, Xid xid) noexcept {
  TransactionId narrow = static_cast<TransactionId>(xid);
  if (IsTooOld(xid)) return Outcome::kUnknown;
  // In this order: a transaction is in the commit log before it leaves the list of running ones.
  if (TransactionIdIsInProgress(narrow)) return Outcome::kRunning;
  Outcome outcome = Outcome::kUnknown;
  LWLockAcquire(XactTruncationLock, LW_SHARED);
  if (TransactionIdFollowsOrEquals(narrow, compat::OldestClogXid()))
    outcome = TransactionIdDidCommit(narrow) ? Outcome::kCommitted : Outcome::kAborted;
  LWLockRelease(XactTruncationLock);
  return outcome;
}

// Whether the snapshot, the context, has seen the transaction end.
bool HasFinishedInSnapshot(void *context, Xid xid) noexcept {
  const auto *snapshot = static_cast<const SnapshotData *>(context);
  if (IsTooOld(xid)) return false;
  const TransactionId narrow = static_cast<TransactionId>(xid);
  if (TransactionIdPrecedes(narrow, snapshot->xmin)) return true;
  if (TransactionIdFollowsOrEquals(narrow, snapshot->xmax)) return false;
  for (uint32_t i = 0; i < snapshot->xcnt; i++)
    if (snapshot->xip[i] == narrow) return false;
  return true;
}

}  // namespace

bool IsEligibleSnapshot(::Snapshot snapshot) {
  return snapshot != nullptr && snapshot->snapshot_type == SNAPSHOT_MVCC && !snapshot->takenDuringRecovery;
}

Snapshot CoreSnapshot(::Snapshot snapshot) {
  if (snapshot->xcnt + 1 > running_limit) {
    uint32_t limit = Max(64U, (snapshot->xcnt + 1) * 2);
    Xid *larger = static_cast<Xid *>(MemoryContextAlloc(TopMemoryContext, sizeof(Xid) * limit));
    if (running) pfree(running);
    running = larger;
    running_limit = limit;
  }
  Snapshot core;
  const Xid next = compat::NextXid();
  core.xmin = WidenXid(snapshot->xmin, next);
  core.xmax = WidenXid(snapshot->xmax, next);
  core.running = running;
  core.running_count = snapshot->xcnt;
  for (uint32_t i = 0; i < snapshot->xcnt; i++) running[i] = WidenXid(snapshot->xip[i], next);
  // PostgreSQL leaves the taker's own id out. To others, who read the entry later, it was running like any other.
  Xid own = OwnXid();
  if (own != kNoXid && own < core.xmax) running[core.running_count++] = own;
  return core;
}

Xid OwnXid() {
  FullTransactionId own = GetTopFullTransactionIdIfAny();
  return FullTransactionIdIsValid(own) ? U64FromFullTransactionId(own) : kNoXid;
}

Transactions ServerTransactions() { return Transactions{ServerOutcome, nullptr, OwnXid()}; }

Transactions WriterTransactions() {
  Transactions transactions = ServerTransactions();
  ::Snapshot snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() : nullptr;
  if (IsEligibleSnapshot(snapshot)) {
    transactions.context = snapshot;
    transactions.known_finished = HasFinishedInSnapshot;
  }
  return transactions;
}

void BeginStamps() {
  if (RecoveryInProgress())
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("cannot use the cache during recovery")));
  if (!shared::stamps.begun()) shared::stamps.Begin(compat::NextXid() - 1);
}

}  // namespace aggcache
