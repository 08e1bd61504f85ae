// Keeps the innermost collection of the session in a variable; collections themselves lie on the stack of who computes,
// their stamps in the computation's memory.

#include "pg/base/server.h"

#include "pg/call/collection.h"

#include <algorithm>

#include "core/tag.h"
#include "pg/base/shared.h"
#include "pg/write/catalog_commits.h"

namespace aggcache {

namespace {

Collection *collection = nullptr;

constexpr int kMostStamps = 16384;

// The stamps of one tag.
struct Group {
  Stamp stamps[2];
  int count;
};

bool BySlots(const Group &a, const Group &b) {
  for (int i = 0; i < 2; i++)
    if (a.stamps[i].slot != b.stamps[i].slot) return a.stamps[i].slot < b.stamps[i].slot;
  return a.count < b.count;
}

bool SameSlots(const Group &a, const Group &b) { return !BySlots(a, b) && !BySlots(b, a); }

// Leaves the stamps of each tag once.
int Unite(Stamp *stamps, int count) {
  auto *groups = static_cast<Group *>(palloc(sizeof(Group) * Max(1, count)));
  int group_count = 0;
  for (int i = 0; i < count; i++) {
    if (stamps[i].alternative) {
      groups[group_count - 1].stamps[1] = stamps[i];
      groups[group_count - 1].count = 2;
    } else {
      groups[group_count].stamps[0] = stamps[i];
      groups[group_count].stamps[1] = Stamp();
      groups[group_count++].count = 1;
    }
  }
  std::sort(groups, groups + group_count, BySlots);
  int kept = 0;
  for (int i = 0; i < group_count; i++) {
    if (kept > 0 && SameSlots(groups[kept - 1], groups[i])) {
      for (Stamp &stamp : groups[kept - 1].stamps) stamp.immediate |= groups[i].stamps[0].immediate;
      continue;
    }
    groups[kept++] = groups[i];
  }
  count = 0;
  for (int i = 0; i < kept; i++)
    for (int j = 0; j < groups[i].count; j++) stamps[count++] = groups[i].stamps[j];
  pfree(groups);
  return count;
}

// The sets of ids are what visibility is decided by; their order is that of the process array, alike in both.
bool IsSameSnapshot(::Snapshot a, ::Snapshot b) {
  if (a == b) return true;
  return a->snapshot_type == b->snapshot_type && a->xmin == b->xmin && a->xmax == b->xmax && a->xcnt == b->xcnt &&
         a->takenDuringRecovery == b->takenDuringRecovery &&
         memcmp(a->xip, b->xip, sizeof(TransactionId) * a->xcnt) == 0;
}

void Bound(Collection *own, int64_t expires_at) {
  if (expires_at != 0 && (own->expires_at == 0 || expires_at < own->expires_at)) own->expires_at = expires_at;
}

}  // namespace

Collection *InnermostCollection() { return collection; }

void ForgetCollections() { collection = nullptr; }

void DropCollection(Collection *own) { collection = own->outer; }

void DropCollections(Collection *outer) {
  collection = outer;
  if (collection && collection->spoiled == nullptr) collection->spoiled = "a call within it raised an error";
}

void BeginCollection(Collection *own, ::Snapshot snapshot, MemoryContext context) {
  own->outer = collection;
  own->snapshot = snapshot;
  own->context = context;
  own->stamps = nullptr;
  own->count = own->limit = 0;
  own->expires_at = 0;
  own->spoiled = nullptr;
  collection = own;
}

void EndCollection(Collection *own, const Stamp *stamps, int count, int64_t expires_at) {
  collection = own->outer;
  if (collection == nullptr) return;
  if (own->spoiled && collection->spoiled == nullptr) {
    strlcpy(collection->text, own->spoiled, sizeof(collection->text));
    collection->spoiled = collection->text;
  }
  ReserveStamps(count);
  std::copy(stamps, stamps + count, PlaceForStamps(count));
  CollectFound(own->snapshot, expires_at);
}

void SpoilCollection(Oid function, const char *why) {
  if (collection == nullptr || collection->spoiled) return;
  char *name = get_func_name(function);
  snprintf(collection->text, sizeof(collection->text), "it rests on a call of %s for which %s",
           name ? name : "a function", why);
  collection->spoiled = collection->text;
}

void ReserveStamps(int count) {
  Collection *own = collection;
  if (own == nullptr || HasRoomForStamps(count)) return;
  own->count = Unite(own->stamps, own->count);
  if (own->count > kMostStamps) {
    own->count = 0;
    if (own->spoiled == nullptr) own->spoiled = "it rests on more than can be remembered";
  }
  if (HasRoomForStamps(count)) return;
  int limit = Max(64, (own->count + count) * 2);
  MemoryContext outer = MemoryContextSwitchTo(own->context);
  auto *larger = static_cast<Stamp *>(palloc(sizeof(Stamp) * limit));
  MemoryContextSwitchTo(outer);
  if (own->count > 0) memcpy(static_cast<void *>(larger), own->stamps, sizeof(Stamp) * own->count);
  if (own->stamps) pfree(own->stamps);
  own->stamps = larger;
  own->limit = limit;
}

bool HasRoomForStamps(int count) { return collection == nullptr || collection->limit - collection->count >= count; }

Stamp *PlaceForStamps(int count) {
  Stamp *place = collection->stamps + collection->count;
  collection->count += count;
  return place;
}

void CollectFound(::Snapshot snapshot, int64_t expires_at) {
  if (collection == nullptr) return;
  if (collection->spoiled == nullptr && !IsSameSnapshot(collection->snapshot, snapshot))
    collection->spoiled = "a call within it saw another snapshot";
  Bound(collection, expires_at);
}

int AllStamps(const Definition *definition, const Dependencies &dependencies, Collection *own, Stamp **stamps) {
  Stamp *shown;
  int count = StampsOfDependencies(definition, dependencies, &shown);
  int most = count + 2 * (definition->relation_count + 2) + own->count;
  auto *all = static_cast<Stamp *>(palloc(sizeof(Stamp) * Max(1, most)));
  if (count > 0) memcpy(static_cast<void *>(all), shown, sizeof(Stamp) * count);
  // of views that opaque functions read, nothing else shows a change
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.read_by != ReadBy::kFunction || source.tracked) continue;
    shared::stamps.MakeStamps(WideTag(MyDatabaseId, source.relation), true, all + count);
    count += 2;
  }
  if (definition->hides_privileges) {
    shared::stamps.MakeStamps(NamesTag(), true, all + count);
    shared::stamps.MakeStamps(RolesTag(), true, all + count + 2);
    count += 4;
  } else if (definition->reads_names) {
    shared::stamps.MakeStamps(NamesTag(), true, all + count);
    count += 2;
  }
  if (own->count > 0) memcpy(static_cast<void *>(all + count), own->stamps, sizeof(Stamp) * own->count);
  *stamps = all;
  return Unite(all, count + own->count);
}

}  // namespace aggcache
