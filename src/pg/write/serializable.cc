// A hit leaves its lock before it looks for writers; a writer leaves its id before it looks for locks: one of two finds
// the other. State of this session: which relation its transaction has shown last.

#include "pg/base/server.h"

#include "pg/write/serializable.h"

#include "core/tag.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/body/definition.h"
#include "pg/write/registration.h"

namespace aggcache {

namespace {

// Each can be left out, to show that tests notice.
enum class Step { kReadLock = 1, kConflictOut, kIntent, kConflictIn };

bool IsKept(Step step) {
#ifdef AGGCACHE_DEBUG
  return settings::debug_skip_serializable != static_cast<int>(step);
#else
  return true;
#endif
}

uint32_t IntentSlot(Oid relation) { return shared::stamps.SlotOf(IntentTag(MyDatabaseId, relation)); }

// Shows that this transaction has read the relation; false if only running the query can. REQUIRES: the relation is
// locked, so that TRUNCATE and rewrites, which look for SIREAD locks under an exclusive lock, come before or after.
bool ShowRead(Relation relation, ::Snapshot snapshot) {
  // The lock comes first: a write that it is too late for has to be found below.
  if (IsKept(Step::kReadLock)) PredicateLockRelation(relation, snapshot);
  // Also where the server raises that this transaction was chosen to fail. False if it needs no checks: it reads only,
  // and no concurrent transaction can make its snapshot unsafe any more.
  if (!CheckForSerializableConflictOutNeeded(relation, snapshot)) return true;
  Xid writers[kSlotWriters];
  int count;
  if (shared::stamps.ListConcurrent(IntentSlot(RelationGetRelid(relation)), CoreSnapshot(snapshot),
                                    ServerTransactions(), writers, &count) != StampCheck::kValid)
    return false;
  if (!IsKept(Step::kConflictOut)) return true;
  // Top-level ids, as the server wants them. It knows which of them are SERIALIZABLE, and which rolled back.
  for (int i = 0; i < count; i++)
    CheckForSerializableConflictOut(relation, static_cast<TransactionId>(writers[i]), snapshot);
  return true;
}

}  // namespace

bool ShowSerializableReads(const Definition *definition, ::Snapshot snapshot) {
  for (int i = 0; i < definition->relation_count; i++) {
    if (!definition->relations[i].tracked) continue;
    Relation relation = try_relation_open(definition->relations[i].relation, AccessShareLock);
    if (relation == nullptr) return false;
    const bool shown = ShowRead(relation, snapshot);
    relation_close(relation, NoLock);
    if (!shown) return false;
  }
  return true;
}

void ShowFirstSerializableWrite(Relation relation) {
  // Once for each relation is enough: readers from now on find the id, or that it may have been forgotten. The latest
  // relation is remembered, as rows come by table; showing a write again does no harm.
  static LocalTransactionId latest_transaction = InvalidLocalTransactionId;
  static Oid latest_relation = InvalidOid;
  if (latest_transaction == compat::CurrentLocalTransaction() && latest_relation == RelationGetRelid(relation)) return;

  // The id comes first: who comes too late to find it has left a lock by now, which the second look finds.
  if (IsKept(Step::kIntent)) RegisterSlot(IntentSlot(RelationGetRelid(relation)));
  if (IsKept(Step::kConflictIn)) CheckForSerializableConflictIn(relation, nullptr, InvalidBlockNumber);
  latest_transaction = compat::CurrentLocalTransaction();
  latest_relation = RelationGetRelid(relation);
}

}  // namespace aggcache
