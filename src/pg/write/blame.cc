// Memory: the notes, in sets of kWays by transaction id, each with a sequence number that is odd while it is written;
// and the counts, under shared::state->blame_lock. State of this session: the change that it noted last, which the next
// row mostly repeats.

#include "pg/base/server.h"

#include "pg/write/blame.h"

#include "core/tag.h"
#include "pg/base/settings.h"
#include "pg/base/transactions.h"
#include "pg/body/definition.h"

extern "C" {
#include "tcop/pquery.h"
#include "utils/backend_status.h"
}

namespace aggcache {

namespace {

constexpr int kSets = 1024;
constexpr int kWays = 8;
constexpr int kProbes = 16;

// One cache line; written by one session at a time, read by all.
struct alignas(64) Note {
  std::atomic<uint64_t> sequence;
  std::atomic<Xid> xid;
  std::atomic<uint64_t> object;  // database << 32 | relation
  std::atomic<uint64_t> columns[kColumnWords];
  std::atomic<uint64_t> query_id;
  std::atomic<uint32_t> command;
};
static_assert(sizeof(Note) == 64, "a note is one cache line");

struct Change {
  Xid xid;
  Oid relation;
  CommandTag command;
  ChangedColumns columns;
  uint64_t query_id;
};

Note *notes = nullptr;         // kSets * kWays
BlameCount *counts = nullptr;  // settings::max_blames; free where key.function is InvalidOid

// The first of the places where notes of the transaction are.
Note *SetOf(Xid xid) { return &notes[(xid % kSets) * kWays]; }

// False if another session is writing it.
bool LockNote(Note *note) {
  uint64_t sequence = note->sequence.load(std::memory_order_relaxed);
  return (sequence & 1) == 0 &&
         note->sequence.compare_exchange_strong(sequence, sequence + 1, std::memory_order_acq_rel);
}

void UnlockNote(Note *note) { note->sequence.fetch_add(1, std::memory_order_release); }

// False if the note is another transaction's, of another database, or being written.
bool ReadNote(const Note &note, Xid xid, Change *change) {
  const uint64_t sequence = note.sequence.load(std::memory_order_acquire);
  if ((sequence & 1) != 0 || note.xid.load(std::memory_order_acquire) != xid) return false;
  const uint64_t object = note.object.load(std::memory_order_acquire);
  change->xid = xid;
  change->relation = static_cast<Oid>(object);
  for (int i = 0; i < kColumnWords; i++) change->columns.words[i] = note.columns[i].load(std::memory_order_acquire);
  change->query_id = note.query_id.load(std::memory_order_acquire);
  change->command = static_cast<CommandTag>(note.command.load(std::memory_order_acquire));
  return object >> 32 == MyDatabaseId && note.sequence.load(std::memory_order_relaxed) == sequence;
}

// A note of the same change takes the columns in; else the oldest note of the set makes room, which for the first of a
// transaction, mostly the only one, follows from its id. Another session that writes there at this moment has its way.
void WriteNote(const Change &change) {
  static Xid latest = kNoXid;
  Note *set = SetOf(change.xid);
  Note *place = &set[change.xid / kSets % kWays];
  for (int i = 0; change.xid == latest && i < kWays; i++) {
    Change there;
    if (ReadNote(set[i], change.xid, &there) && there.relation == change.relation && there.command == change.command &&
        there.query_id == change.query_id) {
      if (!LockNote(&set[i])) return;
      // it may have had to make room meanwhile
      if (set[i].xid.load(std::memory_order_relaxed) == change.xid)
        for (int w = 0; w < kColumnWords; w++)
          set[i].columns[w].fetch_or(change.columns.words[w], std::memory_order_release);
      UnlockNote(&set[i]);
      return;
    }
    if (set[i].xid.load(std::memory_order_relaxed) < place->xid.load(std::memory_order_relaxed)) place = &set[i];
  }
  latest = change.xid;
  if (!LockNote(place)) return;
  place->object.store(shared::ObjectId(change.relation), std::memory_order_release);
  for (int i = 0; i < kColumnWords; i++) place->columns[i].store(change.columns.words[i], std::memory_order_release);
  place->query_id.store(change.query_id, std::memory_order_release);
  place->command.store(static_cast<uint32_t>(change.command), std::memory_order_release);
  place->xid.store(change.xid, std::memory_order_release);
  UnlockNote(place);
}

ChangedColumns ColumnsOf(const Bitmapset *updated) {
  ChangedColumns columns = {};
  int bit = -1;
  while ((bit = bms_next_member(updated, bit)) >= 0) {
    // a whole row, or a system column
    const int attribute = bit + FirstLowInvalidHeapAttributeNumber;
    const int place = attribute <= 0 ? 0 : Min(attribute, kLastColumnBit);
    columns.words[place / 64] |= uint64_t{1} << (place % 64);
  }
  return columns;
}

// The command of the portal that is running: mostly what the client has sent, not what functions run in it.
CommandTag TopCommand() { return ActivePortal ? ActivePortal->commandTag : CMDTAG_UNKNOWN; }

bool SameKey(const BlameKey &a, const BlameKey &b) {
  return a.database == b.database && a.function == b.function && a.relation == b.relation && a.command == b.command &&
         memcmp(&a.columns, &b.columns, sizeof(a.columns)) == 0 && a.query_id == b.query_id;
}

uint64_t HashBlame(const BlameKey &key) {
  uint64_t hash = Mix((uint64_t{key.database} << 32) | key.function);
  hash = Mix(hash ^ ((uint64_t{key.relation} << 32) | static_cast<uint32_t>(key.command)));
  for (uint64_t word : key.columns.words) hash = Mix(hash ^ word);
  return Mix(hash ^ key.query_id);
}

// Counts one invalidation with this cause.
void CountBlame(const BlameKey &key) {
  const int64_t now = GetCurrentTimestamp();
  const uint64_t start = HashBlame(key) % static_cast<uint64_t>(settings::max_blames);
  const int probes = Min(kProbes, settings::max_blames);
  LWLockAcquire(shared::state->blame_lock, LW_EXCLUSIVE);
  // The rarest of the neighbours makes room for what is new.
  BlameCount *place = nullptr;
  for (int i = 0; i < probes; i++) {
    BlameCount *there = &counts[(start + i) % settings::max_blames];
    if (SameKey(there->key, key)) {
      place = there;
      break;
    }
    if (place == nullptr || there->invalidations < place->invalidations) place = there;
  }
  if (!SameKey(place->key, key)) {
    place->key = key;
    place->invalidations = 0;
  }
  place->invalidations++;
  place->last_at = now;
  LWLockRelease(shared::state->blame_lock);
}

// Whether the definition depends on the relation.
bool DependsOn(const Definition *definition, Oid relation) {
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].relation == relation) return true;
  return false;
}

}  // namespace

Size BlameBytes() {
  return add_size(sizeof(Note) * kSets * kWays, mul_size(static_cast<Size>(settings::max_blames), sizeof(BlameCount)));
}

void AttachBlame(void *area, bool) {
  notes = static_cast<Note *>(area);
  counts = reinterpret_cast<BlameCount *>(notes + kSets * kWays);
}

void NoteRowChange(const TriggerData *data) {
  static LocalTransactionId transaction = InvalidLocalTransactionId;
  static Oid relation = InvalidOid;
  static TriggerEvent event = 0;
  static CommandTag top = CMDTAG_UNKNOWN;
  static uint64_t query_id = 0;
  static bitmapword set_words[4];  // of the latest UPDATE's columns, as many as there were
  static int set_count = 0;

  if (settings::max_blames == 0) return;
  const bool update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  const Bitmapset *set = update ? data->tg_updatedcols : nullptr;
  const int count = set ? set->nwords : 0;
  const uint64_t current_query = static_cast<uint64_t>(pgstat_get_my_query_id());
  if (transaction == compat::CurrentLocalTransaction() && relation == RelationGetRelid(data->tg_relation) &&
      event == (data->tg_event & TRIGGER_EVENT_OPMASK) && top == TopCommand() && query_id == current_query &&
      count == set_count && (count == 0 || memcmp(set->words, set_words, sizeof(bitmapword) * count) == 0))
    return;
  transaction = compat::CurrentLocalTransaction();
  relation = RelationGetRelid(data->tg_relation);
  event = data->tg_event & TRIGGER_EVENT_OPMASK;
  top = TopCommand();
  query_id = current_query;
  set_count = count <= static_cast<int>(lengthof(set_words)) ? count : -1;
  if (set_count > 0) memcpy(set_words, set->words, sizeof(bitmapword) * count);
  Change change = {OwnXid(), relation, CMDTAG_DELETE, ColumnsOf(set), query_id};
  if (top == CMDTAG_MERGE || top == CMDTAG_COPY)
    change.command = top;
  else if (update)
    change.command = CMDTAG_UPDATE;
  else if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
    change.command = CMDTAG_INSERT;
  WriteNote(change);
}

void NoteWideChange(Oid relation) {
  if (settings::max_blames == 0 || notes == nullptr) return;
  WriteNote({OwnXid(), relation, TopCommand(), {}, static_cast<uint64_t>(pgstat_get_my_query_id())});
}

void CountInvalidation(const Definition *definition, Xid writer) {
  if (settings::max_blames == 0) return;
  BlameKey key = {MyDatabaseId, definition->function, InvalidOid, CMDTAG_UNKNOWN, {}, 0};
  bool found = false;
  if (writer != kNoXid) {
    const Note *set = SetOf(writer);
    // Which of several changes of one transaction it was, the slot does not tell: each is counted.
    for (int i = 0; i < kWays; i++) {
      Change change;
      if (!ReadNote(set[i], writer, &change) || !DependsOn(definition, change.relation)) continue;
      key.relation = change.relation;
      key.command = change.command;
      key.columns = change.columns;
      key.query_id = change.query_id;
      CountBlame(key);
      found = true;
    }
  }
  if (!found) CountBlame(key);
}

int CopyBlames(BlameCount *copies) {
  int count = 0;
  LWLockAcquire(shared::state->blame_lock, LW_SHARED);
  for (int i = 0; i < settings::max_blames; i++)
    if (OidIsValid(counts[i].key.function) && counts[i].key.database == MyDatabaseId) copies[count++] = counts[i];
  LWLockRelease(shared::state->blame_lock);
  return count;
}

void ResetBlames() {
  LWLockAcquire(shared::state->blame_lock, LW_EXCLUSIVE);
  memset(counts, 0, sizeof(BlameCount) * settings::max_blames);
  LWLockRelease(shared::state->blame_lock);
}

}  // namespace aggcache
