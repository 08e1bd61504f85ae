// State of this session: the sums of this transaction, in its memory, and memory to add up in.

#include "pg/base/server.h"

#include "pg/keep/kept_writes.h"

#include <algorithm>
#include <utility>

#include "core/contribution.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/keep/rows.h"
#include "pg/keep/sums.h"

namespace aggcache {

namespace {

struct KeptSum {
  LedgerAbout about;
  int level;  // of nesting of the savepoint
  bool lost;  // the ledger has been given up
  uint32_t rows;
  Sum sum;
};

KeptSum **sums = nullptr;
int sum_count = 0, sum_limit = 0;
bool published = false;
unsigned char *work = nullptr;

// A transaction that changes more makes the ledgers go, so that a bulk write costs no more than without.
constexpr int kMostSums = 256;
constexpr uint32_t kMostRows = 1000;
// More ledgers of one tag than this are given up by its writers.
constexpr uint32_t kMostOfTag = 16;
constexpr uint32_t kWorkBytes = 2 * kMaxContribution;

bool IsOf(const KeptSum &sum, const LedgerAbout &about, int level) {
  return sum.level == level && sum.about.key.tag == about.key.tag && sum.about.key.program == about.key.program;
}

KeptSum *FindSum(const LedgerAbout &about, int level) {
  for (int i = sum_count - 1; i >= 0; i--)
    if (IsOf(*sums[i], about, level)) return sums[i];
  return nullptr;
}

// NULL: there are too many.
KeptSum *MakeSum(const LedgerAbout &about, int level, const Program *program) {
  if (sum_count >= kMostSums) return nullptr;
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  if (sum_count == sum_limit) {
    const int limit = Max(16, sum_limit * 2);
    const Size size = sizeof(KeptSum *) * static_cast<Size>(limit);
    sums = static_cast<KeptSum **>(sums ? repalloc(sums, size) : palloc(size));
    sum_limit = limit;
  }
  auto *sum = static_cast<KeptSum *>(palloc0(sizeof(KeptSum)));
  sum->about = about;
  sum->level = level;
  BeginSum(program, &sum->sum);
  MemoryContextSwitchTo(outer);
  sums[sum_count++] = sum;
  return sum;
}

// Keeps what a row contributes to one ledger; false if that cannot be.
bool KeepFor(Relation relation, const LedgerAbout &about, TupleTableSlot *old_row, TupleTableSlot *new_row) {
  if (published) return false;
  CompiledProgram *compiled = ProgramOfLedger(relation, about);
  if (compiled == nullptr) return false;
  const int level = GetCurrentTransactionNestLevel();
  KeptSum *sum = FindSum(about, level);
  if (sum == nullptr) sum = MakeSum(about, level, ProgramOf(compiled));
  if (sum == nullptr) return false;
  const bool same = sum->about.size == about.size && memcmp(sum->about.bytes, about.bytes, about.size) == 0;
  if (!same || sum->lost || ++sum->rows > kMostRows || !AddChange(compiled, about, old_row, new_row, &sum->sum))
    sum->lost = true;
  return !sum->lost;
}

// Copies what there is to know of the tag's ledgers. If they are too many, or nothing is to be kept, gives them up.
uint32_t ListLedgers(uint64_t tag, LedgerAbout *list) {
  LWLock *lock = shared::LedgerLock(tag);
  LWLockAcquire(lock, LW_SHARED);
  uint32_t count = shared::ledgers.ListOf(tag, list, kMostOfTag);
  LWLockRelease(lock);
  if (count <= kMostOfTag) return count;
  LWLockAcquire(lock, LW_EXCLUSIVE);
  shared::ledgers.GiveUpAll(tag);
  LWLockRelease(lock);
  return 0;
}

// Adds a sum to one of the level around it. False: the result would be too large.
bool Merge(KeptSum *to, const KeptSum &from) {
  if (to->lost || from.lost) return false;
  const uint32_t room = to->sum.size + from.sum.size;
  if (room > kMaxContribution) return false;
  if (to->sum.room < room) {
    to->sum.bytes = static_cast<unsigned char *>(repalloc(to->sum.bytes, room));
    to->sum.room = room;
  }
  to->rows += from.rows;
  return AddContribution(nullptr, to->sum.bytes, &to->sum.size, to->sum.room, from.sum.bytes, from.sum.size);
}

#ifdef AGGCACHE_DEBUG
// How often a delta is put in: once, unless a test asks for a broken build. Sessions begin to count anywhere.
int TimesToPublish() {
  static uint32_t count = murmurhash32(static_cast<uint32>(MyProcPid)) % 100000;
  count++;
  auto is_due = [](int each) { return each > 0 && count % static_cast<uint32_t>(each) == 0; };
  return is_due(settings::debug_lose_delta) ? 0 : is_due(settings::debug_repeat_delta) ? 2 : 1;
}
#else
constexpr int TimesToPublish() { return 1; }
#endif

// So that a delta need not make its ledger go, because others have taken all memory. Once: others go on taking.
void MakeRoomFor(const KeptSum &sum) {
  if (shared::ledgers.FreeBlocks() < sum.sum.size / kBlockBytes + 16) (void)SweepLedgers();
}

}  // namespace

void GiveUpLedger(const LedgerKey &key) {
  LWLock *lock = shared::LedgerLock(key.tag);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  shared::ledgers.GiveUp(key);
  LWLockRelease(lock);
}

bool SweepLedgers() {
  static uint32_t next = 0;
  // each partition twice: what has been read since the last time survives the first
  for (uint32_t i = 0; i < 2 * kLedgerPartitions; i++) {
    const uint32_t partition = next++ % kLedgerPartitions;
    LWLock *lock = &shared::state->ledger_locks[partition].lock;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    const uint32_t swept = shared::ledgers.Sweep(partition);
    LWLockRelease(lock);
    if (swept > 0) return true;
  }
  return false;
}

void GiveUpLedgersOf(const List *relations, bool all) {
  std::pair<const List *, bool> wanted = {relations, all};
  for (uint32_t partition = 0; partition < kLedgerPartitions; partition++) {
    LWLock *lock = &shared::state->ledger_locks[partition].lock;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    shared::ledgers.GiveUpIf(
        partition,
        [](void *context, const LedgerKey &, const LedgerInfo &info) noexcept {
          auto *asked = static_cast<std::pair<const List *, bool> *>(context);
          return IsLedgerOf(info.about, info.about_size, asked->first, asked->second);
        },
        &wanted);
    LWLockRelease(lock);
  }
}

Adding KeptAdding() {
  if (work == nullptr) work = static_cast<unsigned char *>(MemoryContextAlloc(TopMemoryContext, kWorkBytes));
  return {AddContribution, nullptr, work, kWorkBytes};
}

void KeepChange(Relation relation, const uint64_t *tags, int count, TupleTableSlot *old_row, TupleTableSlot *new_row) {
  // Registered before, as all of these look: whoever opens a ledger later finds this transaction in the slots.
  FullFence();
  if (shared::ledgers.ledgers() == 0) return;
  for (int i = 0; i < count; i++) {
    if (!shared::ledgers.MayHaveAfterFence(tags[i])) continue;
    // of a row that stays under a key but moves to another cell, both images have the key's tag
    if (std::find(tags, tags + i, tags[i]) != tags + i) continue;
    LedgerAbout list[kMostOfTag];
    const uint32_t ledgers = ListLedgers(tags[i], list);
    for (uint32_t j = 0; j < ledgers; j++)
      if (!KeepFor(relation, list[j], old_row, new_row)) GiveUpLedger(list[j].key);
  }
}

void KeepNothing(const uint64_t *tags, int count) {
  for (int i = 0; i < count; i++) {
    if (!shared::ledgers.MayHave(tags[i])) continue;
    LWLock *lock = shared::LedgerLock(tags[i]);
    LWLockAcquire(lock, LW_EXCLUSIVE);
    shared::ledgers.GiveUpAll(tags[i]);
    LWLockRelease(lock);
  }
}

void PublishKept() {
  if (sum_count > 0) {
    const Adding adding = KeptAdding();
    const Transactions transactions = ServerTransactions();
    for (int i = 0; i < sum_count; i++) {
      const KeptSum &sum = *sums[i];
      if (sum.lost) continue;
      MakeRoomFor(sum);
      LWLock *lock = shared::LedgerLock(sum.about.key.tag);
      LWLockAcquire(lock, LW_EXCLUSIVE);
      for (int times = TimesToPublish(); times > 0; times--)
        (void)shared::ledgers.Publish(sum.about.key, transactions.own, sum.sum.bytes, sum.sum.size, transactions,
                                      adding);
      LWLockRelease(lock);
    }
  }
  published = true;
}

void EndKeptLevel(int level, bool committed) {
  int kept = 0;
  for (int i = 0; i < sum_count; i++) {
    KeptSum *sum = sums[i];
    if (sum->level < level) {
      sums[kept++] = sum;
      continue;
    }
    if (!committed) continue;
    KeptSum *outer = nullptr;
    for (int j = 0; j < kept && outer == nullptr; j++)
      if (IsOf(*sums[j], sum->about, level - 1)) outer = sums[j];
    if (outer == nullptr) {
      sum->level = level - 1;
      sums[kept++] = sum;
    } else if (!Merge(outer, *sum)) {
      outer->lost = true;
      GiveUpLedger(sum->about.key);
    }
  }
  sum_count = kept;
}

void ForgetKept() {
  sums = nullptr;
  sum_count = sum_limit = 0;
  published = false;
}

}  // namespace aggcache
