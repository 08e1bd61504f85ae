// A hash table by function, each with the list of its definitions. The callbacks only mark what is not valid any more,
// and count privilege_epoch up; memory is given back when a definition is not found and one has to be made.

#include "pg/base/server.h"

#include "pg/body/definition_cache.h"

#include "pg/body/analysis.h"
#include "pg/body/privileges.h"

extern "C" {
#include "storage/sinval.h"
}

#include <initializer_list>

namespace aggcache {

namespace {

struct FunctionSlot {
  Oid function;  // hash key
  Definition *first;
  int count;
};

HTAB *functions = nullptr;
bool some_invalid = false;            // since it was last looked for those
constexpr int kMostDefinitions = 32;  // of one function; more environments than that take turns

RelationChanged relation_changed = nullptr;
NamesChanged names_changed = nullptr;

// ---- Invalidation -----------------------------------------------------------------------------------------------

// Marks the definitions for which matches says so as not valid.
void InvalidateIf(bool (*matches)(const Definition *, Oid, int, uint32), Oid relation, int cache, uint32 hash) {
  if (functions == nullptr) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, functions);
  while (auto *slot = static_cast<FunctionSlot *>(hash_seq_search(&scan)))
    for (Definition *definition = slot->first; definition != nullptr; definition = definition->next)
      if (definition->valid && matches(definition, relation, cache, hash)) {
        definition->valid = false;
        some_invalid = true;
      }
}

bool DependsOnRelation(const Definition *definition, Oid relation, int, uint32) {
  if (relation == InvalidOid) return true;
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].relation == relation) return true;
  return false;
}

bool DependsOnRow(const Definition *definition, Oid, int cache, uint32 hash) {
  if (hash == 0) return true;
  for (int i = 0; i < definition->catalog_count; i++)
    if (definition->catalogs[i].cache == cache && definition->catalogs[i].hash == hash) return true;
  return false;
}

// Whether a relation or type of that name could come to mean something else in the body; 0: any name.
bool HoldsName(const Definition *definition, Oid, int, uint32 hash) {
  return hash == 0 || HasName(definition->names, hash);
}

// For catalogs of which any row may matter.
bool DependsOnAll(const Definition *, Oid, int, uint32) { return true; }

void InvalidateOnRelation(Datum, Oid relation) {
  privilege_epoch++;
  InvalidateIf(DependsOnRelation, relation, 0, 0);
  if (relation_changed) relation_changed(relation);
}

void InvalidateOnRow(Datum, int cache, uint32 hash) { InvalidateIf(DependsOnRow, InvalidOid, cache, hash); }

// Relations and types come and go, if only as temporary tables.
void InvalidateOnNewName(Datum, int cache, uint32 hash) { InvalidateIf(HoldsName, InvalidOid, cache, hash); }

// A new function, operator, operator class, collation or schema can change what a name means or what is called for it;
// they change rarely.
void InvalidateOnNameCatalog(Datum, int cache, uint32) {
  privilege_epoch++;
  InvalidateIf(DependsOnAll, InvalidOid, 0, 0);
  if (names_changed) names_changed(cache == AUTHOID || cache == AUTHMEMROLEMEM);
}

// ---- Keeping ----------------------------------------------------------------------------------------------------

void FreeDefinition(FunctionSlot *slot, Definition **link) {
  Definition *gone = *link;
  *link = gone->next;
  slot->count--;
  MemoryContextDelete(gone->context);
}

// Frees what is no longer valid, of whatever function: it may be gone.
void FreeInvalidDefinitions() {
  if (!some_invalid) return;
  some_invalid = false;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, functions);
  while (auto *slot = static_cast<FunctionSlot *>(hash_seq_search(&scan))) {
    for (Definition **link = &slot->first; *link != nullptr;) {
      some_invalid |= !(*link)->valid && (*link)->pins > 0;
      if (!(*link)->valid && (*link)->pins == 0)
        FreeDefinition(slot, link);
      else
        link = &(*link)->next;
    }
    if (slot->first == nullptr) hash_search(functions, &slot->function, HASH_REMOVE, nullptr);
  }
}

// Frees the oldest when there are too many.
void MakeRoomForDefinition(FunctionSlot *slot) {
  if (slot->count < kMostDefinitions) return;
  Definition **oldest = nullptr;
  for (Definition **link = &slot->first; *link != nullptr; link = &(*link)->next)
    if ((*link)->pins == 0) oldest = link;
  if (oldest) FreeDefinition(slot, oldest);
}

// Whether the definition is for the types of this call; most functions have only one set of them.
bool FitsCall(const Definition *definition, FunctionCallInfo fcinfo) {
  if (definition->collation != fcinfo->fncollation) return false;
  if (definition->fixed_types) return true;
  Oid result_type;
  TupleDesc descriptor;
  get_call_result_type(fcinfo, &result_type, &descriptor);
  if (definition->result.type != result_type) return false;
  if (definition->result.returns_tuple &&
      (descriptor == nullptr || !equalTupleDescs(definition->result.descriptor, descriptor)))
    return false;
  Oid *declared;
  int count;
  get_func_signature(definition->function, &declared, &count);
  bool same = count == definition->argument_count;
  for (int i = 0; same && i < count; i++)
    if (IsPolymorphicType(declared[i])) same = get_fn_expr_argtype(fcinfo->flinfo, i) == definition->argument_types[i];
  pfree(declared);
  return same;
}

}  // namespace

Definition *FindDefinition(FunctionCallInfo fcinfo) {
  Oid function = fcinfo->flinfo->fn_oid;
  if (functions == nullptr) {
    HASHCTL control;
    memset(&control, 0, sizeof(control));
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(FunctionSlot);
    control.hcxt = TopMemoryContext;
    functions = hash_create("aggcache definitions", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  }
  auto *slot = static_cast<FunctionSlot *>(hash_search(functions, &function, HASH_FIND, nullptr));
  for (Definition *definition = slot ? slot->first : nullptr; definition != nullptr; definition = definition->next)
    if (IsCurrentDefinition(definition) && FitsCall(definition, fcinfo)) return definition;
  FreeInvalidDefinitions();
  // The callbacks do not know the definition before it is linked, so messages that came meanwhile make it suspect.
  Definition *made;
  for (int attempt = 0;; attempt++) {
    uint64_t before = SharedInvalidMessageCounter;
    made = MakeDefinition(fcinfo);
    if (before == SharedInvalidMessageCounter) break;
    if (attempt == 3) {
      made->valid = false;
      some_invalid = true;
      break;
    }
    MemoryContextDelete(made->context);
  }
  // Analysing may have looked for definitions too.
  bool found;
  slot = static_cast<FunctionSlot *>(hash_search(functions, &function, HASH_ENTER, &found));
  if (!found) {
    slot->first = nullptr;
    slot->count = 0;
  }
  MakeRoomForDefinition(slot);
  MemoryContextSetParent(made->context, TopMemoryContext);
  made->next = slot->first;
  slot->first = made;
  slot->count++;
  return made;
}

void InstallDefinitionCallbacks() {
  CacheRegisterRelcacheCallback(InvalidateOnRelation, Datum{0});
  CacheRegisterSyscacheCallback(TYPEOID, InvalidateOnRow, Datum{0});
  CacheRegisterSyscacheCallback(RELNAMENSP, InvalidateOnNewName, Datum{0});
  CacheRegisterSyscacheCallback(TYPENAMENSP, InvalidateOnNewName, Datum{0});
  // docs/internals.md says of each catalog why it is here, or why not.
  for (int cache : {PROCOID, NAMESPACEOID, OPEROID, AMOPOPID, AMPROCNUM, CLAOID, OPFAMILYOID, CASTSOURCETARGET, ENUMOID,
                    COLLOID, CONVOID, TSCONFIGOID, TSCONFIGMAP, TSDICTOID, AUTHOID, AUTHMEMROLEMEM})
    CacheRegisterSyscacheCallback(cache, InvalidateOnNameCatalog, Datum{0});
}

void OnRelationChanged(RelationChanged changed) { relation_changed = changed; }

void OnNamesChanged(NamesChanged changed) { names_changed = changed; }

}  // namespace aggcache
