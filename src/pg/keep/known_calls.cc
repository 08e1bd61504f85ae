// Hangs on the definition, so it goes with it: a table of so many calls, in a memory context of its own, which is
// emptied when it is full.

#include "pg/base/server.h"

#include "pg/keep/known_calls.h"

#include "pg/keep/kept_state.h"

namespace aggcache {

namespace {

constexpr int kMostCalls = 2048;

struct Entry {
  uint64_t hash;  // hash key: of what the ledger is about
  KnownCall call;
  int room;  // for stamps
};

uint64_t HashOf(const unsigned char *about, uint32_t size) {
  return hash_bytes_extended(about, static_cast<int>(size), 1);
}

HTAB *MakeTable(const Definition *definition, const KeptState *state) {
  state->calls_context = AllocSetContextCreate(definition->context, "aggcache known calls", ALLOCSET_SMALL_SIZES);
  HASHCTL control;
  memset(&control, 0, sizeof(control));
  control.keysize = sizeof(uint64_t);
  control.entrysize = sizeof(Entry);
  control.hcxt = state->calls_context;
  return hash_create("aggcache known calls", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

}  // namespace

const KnownCall *FindKnownCall(const Definition *definition, const unsigned char *about, uint32_t about_size) {
  const KeptState *state = KeptStateOf(definition);
  if (state->calls == nullptr) return nullptr;
  const uint64_t hash = HashOf(about, about_size);
  auto *entry = static_cast<const Entry *>(hash_search(state->calls, &hash, HASH_FIND, nullptr));
  if (entry == nullptr || entry->call.about.size != about_size ||
      memcmp(entry->call.about.bytes, about, about_size) != 0)
    return nullptr;
  return &entry->call;
}

void RememberCall(const Definition *definition, const LedgerAbout &about, const Stamp *stamps, int stamp_count) {
  const KeptState *state = KeptStateOf(definition);
  if (state->calls && hash_get_num_entries(state->calls) >= kMostCalls) {
    MemoryContextDelete(state->calls_context);
    state->calls = nullptr;
  }
  if (state->calls == nullptr) state->calls = MakeTable(definition, state);
  const uint64_t hash = HashOf(about.bytes, about.size);
  bool found;
  auto *entry = static_cast<Entry *>(hash_search(state->calls, &hash, HASH_ENTER, &found));
  const Size size = sizeof(Stamp) * static_cast<Size>(Max(1, stamp_count));
  // Stamps of a call that is known already are as many, mostly.
  Stamp *copy = const_cast<Stamp *>(entry->call.stamps);
  if (!found || entry->room < stamp_count) {
    if (found) pfree(copy);
    found = false;
    copy = static_cast<Stamp *>(MemoryContextAlloc(state->calls_context, size));
    entry->room = Max(1, stamp_count);
  }
  if (stamp_count > 0) memcpy(static_cast<void *>(copy), stamps, sizeof(Stamp) * static_cast<Size>(stamp_count));
  entry->call = {about, stamp_count, copy};
}

}  // namespace aggcache
