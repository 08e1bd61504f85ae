// Invalidating by hand: aggcache.invalidate() and its kin.
//
// Results in shared memory are removed. Those that may be in Redis carry tags (core/tag.h) by which they end at
// once, whether Redis can be reached or not and whatever is still on its way there; that they are then removed from
// Redis too only gives its memory back. What writers keep of the tables that a function reads goes as well, so that the
// next call computes.

#include "pg/base/server.h"

#include <algorithm>

#include "core/tag.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/call/key.h"
#include "pg/keep/kept_writes.h"
#include "pg/redis/values.h"
#include "pg/sql/described_call.h"
#include "pg/sql/inspection.h"
#include "pg/watch/catalog.h"
#include "pg/write/registration.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

// The results that were removed, each once though it may have been in both tiers: function and hash of the key.
struct Removed {
  uint64_t *hashes;
  Size count;
  Size limit;
};

void Reserve(Removed *removed, Size more) {
  if (removed->count + more <= removed->limit) return;
  removed->limit = (removed->count + more) * 2;
  const Size size = sizeof(uint64_t) * removed->limit;
  removed->hashes = static_cast<uint64_t *>(removed->hashes ? repalloc_huge(removed->hashes, size)
                                                            : MemoryContextAllocHuge(CurrentMemoryContext, size));
}

// ---- All results of functions -----------------------------------------------------------------------------------

struct Wanted {
  const List *functions;
  bool all;  // those of dropped functions too
  Removed *removed;
};

bool IsWanted(void *context, const EntryInfo &entry) noexcept {
  auto *wanted = static_cast<Wanted *>(context);
  if (entry.function >> 32 != MyDatabaseId || wanted->removed->count == wanted->removed->limit ||
      !(wanted->all || list_member_oid(wanted->functions, static_cast<Oid>(entry.function))))
    return false;
  wanted->removed->hashes[wanted->removed->count++] = entry.key_hash;
  return true;
}

// Memory is not asked for under the lock: what does not fit waits for the next round.
void RemoveFromPartition(uint32_t partition, Wanted *wanted) {
  for (;;) {
    Reserve(wanted->removed, 1024);
    LWLockAcquire(shared::PartitionLockAt(partition), LW_EXCLUSIVE);
    shared::store.RemoveIf(partition, IsWanted, wanted);
    LWLockRelease(shared::PartitionLockAt(partition));
    if (wanted->removed->count < wanted->removed->limit) return;
    CHECK_FOR_INTERRUPTS();
  }
}

void NoteRemoved(void *context, uint64_t hash) {
  auto *removed = static_cast<Removed *>(context);
  Reserve(removed, 1);
  removed->hashes[removed->count++] = hash;
}

// Returns how many there were.
int64_t RemoveResults(List *functions, bool all) {
  if (shared::state == nullptr || (functions == NIL && !all)) return 0;
  List *relations = NIL;
  ListCell *cell;
  foreach (cell, functions) {
    ExpireTag(FunctionTag(MyDatabaseId, lfirst_oid(cell)));
    relations = list_concat_unique_oid(relations, RelationsOfFunction(lfirst_oid(cell)));
  }
  GiveUpLedgersOf(relations, all);
  Removed removed = {nullptr, 0, 0};
  Wanted wanted = {functions, all, &removed};
  for (uint32_t partition = 0; partition < kPartitions; partition++) {
    CHECK_FOR_INTERRUPTS();
    RemoveFromPartition(partition, &wanted);
  }
  RemoveAllFromRedis(functions, all, NoteRemoved, &removed);
  std::sort(removed.hashes, removed.hashes + removed.count);
  return std::unique(removed.hashes, removed.hashes + removed.count) - removed.hashes;
}

// ---- The result of one call -------------------------------------------------------------------------------------

struct Invalidation {
  DescribedCall call;
  bool cached;
  Key key;
};

void FindKey(void *context) {
  auto *invalidation = static_cast<Invalidation *>(context);
  DescribedCall *call = &invalidation->call;
  if (PrepareCall(call)) return;
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  SetArguments(*call, fcinfo);
  invalidation->key = BuildKey(call->definition, fcinfo, call->hidden);
  invalidation->cached = invalidation->key.bytes != nullptr;
}

// Returns whether there was one.
bool RemoveResult(const Definition *definition, const Key &key) {
  ExpireTag(CallTag(MyDatabaseId, definition->function, key.hash));
  GiveUpLedgersOf(RelationsOfFunction(definition->function), false);
  LWLockAcquire(shared::PartitionLock(key.hash), LW_EXCLUSIVE);
  bool removed = shared::store.Remove(key);
  LWLockRelease(shared::PartitionLock(key.hash));
  removed |= RemoveFromRedis(definition, key);
  return removed;
}

// ---- Functions by name ------------------------------------------------------------------------------------------

bool IsLike(const char *name, text *pattern) {
  return DatumGetBool(
      DirectFunctionCall2Coll(textlike, DEFAULT_COLLATION_OID, CStringGetTextDatum(name), PointerGetDatum(pattern)));
}

bool NameIsLike(Oid function, text *pattern) {
  char *name = get_func_name(function);
  if (name == nullptr) return false;
  char *schema = get_namespace_name(get_func_namespace(function));
  return IsLike(name, pattern) || (schema != nullptr && IsLike(psprintf("%s.%s", schema, name), pattern));
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_invalidate);
PGDLLEXPORT Datum aggcache_invalidate(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  Oid function = PG_GETARG_OID(0);
  RequireCached(function);
  RequireFunctionOwner(function);
  PG_RETURN_INT64(RemoveResults(list_make1_oid(function), false));
}

PG_FUNCTION_INFO_V1(aggcache_invalidate_call);
PGDLLEXPORT Datum aggcache_invalidate_call(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  Oid function = PG_GETARG_OID(0);
  FunctionRow row = RequireCached(function);
  RequireFunctionOwner(function);
  Invalidation invalidation;
  memset(static_cast<void *>(&invalidation), 0, sizeof(invalidation));
  DescribeCall(fcinfo, &invalidation.call);
  if (shared::state == nullptr || RecoveryInProgress()) PG_RETURN_INT64(0);
  const char *problem = RunGuarded(row, ActAs::kOwner, Afterwards::kUndo, FindKey, &invalidation);
  if (problem)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
             errmsg("could not find the result of function %s", format_procedure(function)), errdetail("%s", problem)));
  PG_RETURN_INT64(invalidation.cached && RemoveResult(invalidation.call.definition, invalidation.key) ? 1 : 0);
}

PG_FUNCTION_INFO_V1(aggcache_invalidate_table);
PGDLLEXPORT Datum aggcache_invalidate_table(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  Oid relation = PG_GETARG_OID(0);
  RequireTableOwner(relation);
  char kind = get_rel_relkind(relation);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", get_rel_name(relation))));
  PreventCommandDuringRecovery("aggcache.invalidate_table()");
  PreventCommandIfParallelMode("aggcache.invalidate_table()");
  if (shared::state == nullptr) PG_RETURN_VOID();
  GetTopTransactionId();
  RegisterWide(relation);
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_invalidate_like);
PGDLLEXPORT Datum aggcache_invalidate_like(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  text *pattern = PG_GETARG_TEXT_PP(0);
  List *functions = NIL;
  ListCell *cell;
  foreach (cell, CachedFunctions(GetUserId()))
    if (NameIsLike(lfirst_oid(cell), pattern)) functions = lappend_oid(functions, lfirst_oid(cell));
  PG_RETURN_INT64(RemoveResults(functions, false));
}

PG_FUNCTION_INFO_V1(aggcache_invalidate_all);
PGDLLEXPORT Datum aggcache_invalidate_all(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  PG_RETURN_INT64(RemoveResults(CachedFunctions(InvalidOid), true));
}
}
