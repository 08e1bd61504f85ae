// State of this transaction, in variables of the session: the relations that it has written, the tags that it has
// lately registered in, and the relations whose partitioned tables are still to be told.

#include "pg/base/server.h"

#include "pg/write/written.h"

#include "core/tag.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/body/definition.h"
#include "pg/facts/partitions.h"
#include "pg/facts/triggers.h"
#include "pg/write/blame.h"
#include "pg/write/catalog_commits.h"
#include "pg/write/registration.h"

namespace aggcache {

namespace {

constexpr int kMostWritten = 128;
WrittenTable written[kMostWritten];
int written_count = 0;
bool written_all = false;  // more than fit
// Relations with wide changes whose partitioned parents have not been told; looked up before commit, because messages
// arrive where catalogs cannot be read. In TopTransactionContext.
List *changed_below = NIL;
List *reordered_below = NIL;  // the same of those whose rows have been put in another order

const WrittenTable *FindWritten(Oid relation) {
  for (int i = written_count - 1; i >= 0; i--)
    if (written[i].relation == relation) return &written[i];
  return nullptr;
}

void RegisterOne(uint64_t tag) { RegisterTags(&tag, 1); }

// Tags that this transaction has lately registered in; rows that lie together mostly share theirs.
constexpr int kRecentTags = 256;  // places have eight bits
uint64_t recent_tags[kRecentTags];
uint8_t recent_places[16];  // the first places that were used
int recent_count = 0;       // of them; all there is room for: others may be used, too

int RecentPlaceOf(uint64_t tag) { return static_cast<int>((tag >> 32) % kRecentTags); }

// Leaves out what has been registered; returns how many are left.
int DropRecent(uint64_t *tags, int count) {
  int left = 0;
  for (int i = 0; i < count; i++)
    if (recent_tags[RecentPlaceOf(tags[i])] != tags[i]) tags[left++] = tags[i];
  return left;
}

// After they are registered: that can fail on reading the commit log, and a savepoint can outlive it.
void NoteRecent(const uint64_t *tags, int count) {
  for (int i = 0; i < count; i++) {
    const int place = RecentPlaceOf(tags[i]);
    recent_tags[place] = tags[i];
    if (recent_count == static_cast<int>(lengthof(recent_places))) continue;
    recent_places[recent_count++] = static_cast<uint8_t>(place);
  }
}

void ForgetRecent() {
  if (recent_count == static_cast<int>(lengthof(recent_places)))
    memset(recent_tags, 0, sizeof(recent_tags));
  else
    for (int i = 0; i < recent_count; i++) recent_tags[recent_places[i]] = 0;
  recent_count = 0;
}

// Leaves a relation for RegisterSubtrees.
void NoteBelow(List **list, Oid relation) {
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  *list = lappend_oid(*list, relation);
  MemoryContextSwitchTo(outer);
}

// Registers a relation in its wide tag, unless that is done, and leaves it for RegisterSubtrees.
void RegisterWideBy(Oid relation, void (*register_tag)(uint64_t tag)) {
  if (!IsRecording()) return;
  NoteChangedCatalogs();
  WrittenTable *table = NoteWritten(relation);
  if (table == nullptr || !table->escalated) {
    register_tag(WideTag(MyDatabaseId, relation));
    NoteBelow(&changed_below, relation);
    NoteWideChange(relation);
    if (table) table->escalated = true;
    TableStatistics *statistics = shared::StatisticsOfTable(relation, false);
    if (statistics) shared::Count(statistics->wide);
  }
}

// Whether results may rest on the relation. One that is not tracked can become so before this transaction commits,
// unless it holds the lock that writers have: it registers all the same.
bool MayBeTracked(Oid oid, bool written_by_executor) {
  Relation relation = RelationIdGetRelation(oid);
  if (!RelationIsValid(relation)) return false;
  char kind = relation->rd_rel->relkind;
  bool may = kind == RELKIND_MATVIEW;
  if (kind == RELKIND_RELATION && relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP)
    may = HasAnyTrackingTrigger(relation) ||
          (!written_by_executor && !CheckRelationLockedByMe(relation, RowExclusiveLock, true));
  RelationClose(relation);
  return may;
}

// Registers a relation of which more rows were counted than its trigger has reported; goes on.
bool RegisterUnreported(void *, Oid oid, Relation relation, const RowCounts &counts) {
  if (oid < FirstNormalObjectId) return false;
  const WrittenTable *table = FindWritten(oid);
  if (table && (table->escalated || Covers(table->reported, counts))) return false;
  // What the executor writes without a trigger of ours is most of what is left.
  if (table && relation && relation->rd_isvalid && relation->trigdesc == nullptr &&
      relation->rd_rel->relkind == RELKIND_RELATION)
    return false;
  if (MayBeTracked(oid, table != nullptr)) RegisterWide(oid);
  return false;
}

// Whether the definition depends on a relation that has counts.
bool IsRelationOf(void *definition, Oid oid, Relation, const RowCounts &) {
  const auto *looked_at = static_cast<const Definition *>(definition);
  for (int i = 0; i < looked_at->relation_count; i++)
    if (looked_at->relations[i].relation == oid) return true;
  return false;
}

}  // namespace

bool IsRecording() { return shared::state != nullptr && OidIsValid(MyDatabaseId) && !RecoveryInProgress(); }

WrittenTable *NoteWritten(Oid relation) {
  for (int i = written_count - 1; i >= 0; i--)
    if (written[i].relation == relation) return &written[i];
  if (written_count == kMostWritten) {
    written_all = true;
    return nullptr;
  }
  written[written_count] = {relation, false, false, false, 0, 0, {{0, 0, 0}, 0}};
  return &written[written_count++];
}

int RegisterNewTags(uint64_t *tags, int count, bool all) {
  if (!all) count = DropRecent(tags, count);
  RegisterTags(tags, count);
  NoteRecent(tags, count);
  return count;
}

void RegisterWide(Oid relation) {
  if (!IsRecording()) return;
  (void)GetTopTransactionId();
  RegisterWideBy(relation, RegisterOne);
}

void RegisterWideOrDefer(Oid relation) { RegisterWideBy(relation, RegisterTagOrDefer); }

void RegisterOrderOrDefer(Oid relation) {
  RegisterTagOrDefer(OrderTag(MyDatabaseId, relation));
  NoteBelow(&reordered_below, relation);
}

bool HasWritten(const Definition *definition) {
  if (HasDeferred()) return true;
  if (written_all) return true;
  for (int i = 0; i < definition->relation_count; i++)
    for (int j = 0; j < written_count; j++)
      if (written[j].relation == definition->relations[i].relation) return true;
  if (OwnXid() == kNoXid) return false;
  return SomeIsUncounted() || VisitCounts(IsRelationOf, const_cast<Definition *>(definition));
}

void RegisterUnreportedWrites() {
  if (SomeIsUncounted()) {
    ListCell *cell;
    foreach (cell, TrackedRelations()) RegisterWide(lfirst_oid(cell));
    return;
  }
  // It may have become tracked meanwhile, if its writer gave the lock back.
  AcceptInvalidationMessages();
  (void)VisitCounts(RegisterUnreported, nullptr);
}

// Tells the partitioned tables above of wide changes below them.
void RegisterSubtrees() {
  List *changed = changed_below;
  changed_below = NIL;
  ListCell *cell, *ancestor;
  foreach (cell, changed)
    foreach (ancestor, PartitionAncestorsOf(lfirst_oid(cell)))
      RegisterOne(SubtreeTag(MyDatabaseId, lfirst_oid(ancestor)));
  changed = reordered_below;
  reordered_below = NIL;
  foreach (cell, changed)
    foreach (ancestor, PartitionAncestorsOf(lfirst_oid(cell)))
      RegisterOne(OrderTag(MyDatabaseId, lfirst_oid(ancestor)));
}

void CountWritten() {
  if (!IsRecording()) return;
  for (int i = 0; i < written_count; i++) {
    WrittenTable *table = &written[i];
    if (table->rows == 0) continue;
    TableStatistics *statistics = shared::StatisticsOfTable(table->relation, true);
    if (statistics) {
      shared::Count(statistics->transactions);
      shared::Count(statistics->rows, table->rows);
    }
    table->rows = 0;
  }
}

void ForgetWritten() {
  ForgetRecent();
  written_count = 0;
  written_all = false;
  changed_below = reordered_below = NIL;
}

}  // namespace aggcache
