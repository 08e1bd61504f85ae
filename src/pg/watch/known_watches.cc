// State of this session: a hash table of relations, each with a memory context of its own. What is known may change
// whenever a body runs, so callers get copies. Messages only tell which relations may be gone.

#include "pg/base/server.h"

#include "pg/watch/known_watches.h"

#include <algorithm>

#include "core/stamp.h"
#include "core/tag.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/watch/watches.h"

namespace aggcache {

namespace {

struct Known {
  Oid relation;           // hash key
  bool spare;             // a message has come: it may be gone
  MemoryContext context;  // what follows is in it
  List *watches;
  Snapshot snapshot;  // that was active when they were read
  Stamp stamps[2];    // of the wide tag, settled under it
  uint32_t stamp_count;
};

HTAB *relations = nullptr;
MemoryContext relations_context = nullptr;

constexpr int kMostSpare = 256;  // relations, before those that may be gone are forgotten

void ForgetSpare() {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, relations);
  while (auto *known = static_cast<Known *>(hash_seq_search(&scan))) {
    if (!known->spare) continue;
    MemoryContextDelete(known->context);
    (void)hash_search(relations, &known->relation, HASH_REMOVE, nullptr);
  }
}

List *Copy(const List *watches) {
  List *copy = NIL;
  ListCell *cell;
  foreach (cell, watches) {
    const auto *watch = static_cast<const Watch *>(lfirst(cell));
    auto *own = static_cast<Watch *>(palloc(sizeof(Watch)));
    *own = *watch;
    own->columns = bms_copy(watch->columns);
    own->predicate = static_cast<List *>(copyObjectImpl(watch->predicate));
    copy = lappend(copy, own);
  }
  return copy;
}

// Whether the protocol runs for this session now.
bool CanProve() {
  return shared::state != nullptr && !RecoveryInProgress() && shared::stamps.begun() && ActiveSnapshotSet() &&
         IsEligibleSnapshot(GetActiveSnapshot());
}

void MakeTable() {
  relations_context = AllocSetContextCreate(TopMemoryContext, "aggcache known watches", ALLOCSET_SMALL_SIZES);
  HASHCTL control;
  memset(&control, 0, sizeof(control));
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(Known);
  control.hcxt = relations_context;
  relations = hash_create("aggcache known watches", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool IsProven(const Known &known) {
  return shared::stamps.CheckAll(known.stamps, known.stamp_count, known.snapshot, CoreSnapshot(GetActiveSnapshot()),
                                 ServerTransactions()) == StampCheck::kValid;
}

// Keeps what was read, if that can be proven to be what the snapshot sees or later.
void Keep(Oid relation, const List *watches, MemoryContext context, const Snapshot &snapshot) {
  Stamp stamps[2];
  uint32_t count = 2;
  shared::stamps.MakeStamps(WideTag(MyDatabaseId, relation), true, stamps);
  if (shared::stamps.SettleAll(stamps, &count, snapshot, ServerTransactions()) != StampCheck::kValid) {
    MemoryContextDelete(context);
    return;
  }
  MemoryContext outer = MemoryContextSwitchTo(context);
  List *copy = Copy(watches);
  MemoryContextSwitchTo(outer);
  if (hash_get_num_entries(relations) > kMostSpare) ForgetSpare();
  bool found;
  auto *known = static_cast<Known *>(hash_search(relations, &relation, HASH_ENTER, &found));
  if (found) MemoryContextDelete(known->context);
  *known = {relation, false, context, copy, snapshot, {stamps[0], stamps[1]}, count};
  MemoryContextSetParent(context, relations_context);
}

}  // namespace

List *KnownWatches(Relation relation) {
  if (!CanProve()) return ReadWatches(relation);
  if (relations == nullptr) MakeTable();
  const Oid oid = RelationGetRelid(relation);
  const auto *known = static_cast<const Known *>(hash_search(relations, &oid, HASH_FIND, nullptr));
  if (known && IsProven(*known)) return Copy(known->watches);
  // It was taken before reading: whatever it sees is in what is read.
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "aggcache known watches", ALLOCSET_SMALL_SIZES);
  Snapshot snapshot = CoreSnapshot(GetActiveSnapshot());
  auto *running = static_cast<Xid *>(MemoryContextAlloc(context, sizeof(Xid) * Max(1U, snapshot.running_count)));
  std::copy(snapshot.running, snapshot.running + snapshot.running_count, running);
  snapshot.running = running;
  List *watches = ReadWatches(relation);
  Keep(oid, watches, context, snapshot);
  return watches;
}

void MaySpareWatches(Oid relation) {
  if (relations == nullptr) return;
  if (OidIsValid(relation)) {
    auto *known = static_cast<Known *>(hash_search(relations, &relation, HASH_FIND, nullptr));
    if (known) known->spare = true;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, relations);
  while (auto *known = static_cast<Known *>(hash_seq_search(&scan))) known->spare = true;
}

}  // namespace aggcache
