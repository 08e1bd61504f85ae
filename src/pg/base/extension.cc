// The members are read from pg_depend and told apart by kind and name. What was found is kept in variables of this
// session, which need no lock, until an invalidation message makes it doubtful. Here is also the check that the script
// of the extension makes of its schema.

#include "pg/base/server.h"

#include "pg/base/extension.h"

#include "pg/base/shared.h"

namespace aggcache {

namespace {

constexpr char kName[] = "pg_aggcache";

struct Named {
  const char *name;
  Oid Extension::*oid;
};

constexpr Named kFunctions[] = {{"track_row", &Extension::track_row}, {"track_truncate", &Extension::track_truncate}};

constexpr Named kTables[] = {{"dependency", &Extension::dependency},
                             {"watch", &Extension::watch},
                             {"watch_use", &Extension::watch_use},
                             {"program", &Extension::program},
                             {"cell_width", &Extension::cell_width}};

constexpr Named kIndexes[] = {{"dependency_pkey", &Extension::dependency_pkey},
                              {"dependency_relation_idx", &Extension::dependency_relation_idx},
                              {"watch_pkey", &Extension::watch_pkey},
                              {"watch_use_pkey", &Extension::watch_use_pkey},
                              {"watch_use_relation_idx", &Extension::watch_use_relation_idx},
                              {"program_pkey", &Extension::program_pkey},
                              {"program_relation_idx", &Extension::program_relation_idx},
                              {"cell_width_pkey", &Extension::cell_width_pkey}};

enum class Presence { kUnknown, kAbsent, kPresent };

Presence presence = Presence::kUnknown;
Extension extension;
uint64_t changes = 0;  // counts invalidations, so that one that arrives while catalogs are read is not lost

Oid FindExtensionOid() {
  Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(kName));
  SysScanDesc scan = systable_beginscan(catalog, ExtensionNameIndexId, true, nullptr, 1, &key);
  HeapTuple row = systable_getnext(scan);
  Oid oid = HeapTupleIsValid(row) ? reinterpret_cast<Form_pg_extension>(GETSTRUCT(row))->oid : InvalidOid;
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return oid;
}

// Notes the oid if the name is one of those that are wanted.
template <int count>
void NoteByName(const Named (&wanted)[count], const char *name, Oid oid, Extension *found) {
  for (const Named &named : wanted)
    if (name && strcmp(name, named.name) == 0) found->*named.oid = oid;
}

// Without a lock on the table, which somebody may be rebuilding.
void NoteIndexes(Oid table, Extension *found) {
  Relation catalog = table_open(IndexRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, nullptr, 1, &key);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    Oid index = reinterpret_cast<Form_pg_index>(GETSTRUCT(row))->indexrelid;
    NoteByName(kIndexes, get_rel_name(index), index, found);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
}

void NoteFunction(Oid function, Extension *found) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return;
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  if (form->prorettype == TRIGGEROID) NoteByName(kFunctions, NameStr(form->proname), function, found);
  ReleaseSysCache(row);
}

// Notes a member of the extension if it is of a kind that is looked for.
void NoteMember(Oid catalog, Oid member, Extension *found) {
  if (catalog == LanguageRelationId) found->language = member;
  if (catalog == ProcedureRelationId) NoteFunction(member, found);
  if (catalog == RelationRelationId && get_rel_relkind(member) == RELKIND_RELATION)
    NoteByName(kTables, get_rel_name(member), member, found);
}

void NoteMembers(Oid oid, Extension *found) {
  Relation catalog = table_open(DependRelationId, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(ExtensionRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
  SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, keys);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
    if (form->deptype == DEPENDENCY_EXTENSION) NoteMember(form->classid, form->objid, found);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  for (const Named &table : kTables)
    if (OidIsValid(found->*table.oid)) NoteIndexes(found->*table.oid, found);
}

template <int count>
bool HasAll(const Extension &found, const Named (&wanted)[count]) {
  for (const Named &named : wanted)
    if (!OidIsValid(found.*named.oid)) return false;
  return true;
}

bool IsComplete(const Extension &found) {
  return OidIsValid(found.language) && HasAll(found, kFunctions) && HasAll(found, kTables) && HasAll(found, kIndexes);
}

void ForgetExtension() {
  presence = Presence::kUnknown;
  changes++;
}

void ForgetOnLanguage(Datum, int, uint32) { ForgetExtension(); }

void ForgetOnRelation(Datum, Oid relation) {
  if (presence != Presence::kPresent) return;
  bool ours = !OidIsValid(relation);
  for (const Named &table : kTables) ours |= extension.*table.oid == relation;
  if (ours) ForgetExtension();
}

// Whether something lives in the schema other than two objects.
bool HoldsOthers(Oid schema, Oid function, Oid own_extension) {
  bool holds = false;
  Relation catalog = table_open(DependRelationId, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(NamespaceRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
  SysScanDesc scan = systable_beginscan(catalog, DependReferenceIndexId, true, nullptr, 2, keys);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(row));
    holds |= !(form->classid == ProcedureRelationId && form->objid == function) &&
             !(form->classid == ExtensionRelationId && form->objid == own_extension);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return holds;
}

}  // namespace

const Extension *FindExtension() {
  if (presence == Presence::kPresent) return &extension;
  if (presence == Presence::kAbsent) return nullptr;
  uint64_t before = changes;
  Extension found;
  memset(&found, 0, sizeof(found));
  Oid oid = FindExtensionOid();
  if (OidIsValid(oid)) NoteMembers(oid, &found);
  extension = found;
  // One that is incomplete is being created: found anew at each use until it is done.
  bool complete = IsComplete(found);
  if (before == changes && (complete || !OidIsValid(oid))) presence = complete ? Presence::kPresent : Presence::kAbsent;
  return complete ? &extension : nullptr;
}

const Extension *RequireExtension() {
  const Extension *found = FindExtension();
  if (found == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"%s\" does not exist", kName)));
  return found;
}

bool IsOurLanguage(Oid language) {
  const Extension *ours = FindExtension();
  return ours && ours->language == language;
}

bool IsCachedFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang;
  ReleaseSysCache(row);
  return IsOurLanguage(language);
}

void InstallExtensionCallbacks() {
  CacheRegisterSyscacheCallback(LANGOID, ForgetOnLanguage, Datum{0});
  CacheRegisterRelcacheCallback(ForgetOnRelation, Datum{0});
}

}  // namespace aggcache

extern "C" {

// Called by the script that makes the extension, in whose schema it is for that moment. PostgreSQL puts an extension
// into a schema of the right name whoever owns it and whatever is in it, where names of the script could mean something
// else.
PG_FUNCTION_INFO_V1(aggcache_check_schema);
PGDLLEXPORT Datum aggcache_check_schema(PG_FUNCTION_ARGS) {
  Oid function = fcinfo->flinfo->fn_oid;
  Oid schema = get_func_namespace(function);
  HeapTuple row = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for schema %u", schema);
  Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(row))->nspowner;
  ReleaseSysCache(row);
  const char *detail = nullptr;
  if (!superuser_arg(owner))
    detail = "It belongs to a role that is not superuser.";
  else if (aggcache::HoldsOthers(schema, function, CurrentExtensionObject))
    detail = "It is not empty.";
  if (detail)
    ereport(ERROR,
            (errcode(ERRCODE_DUPLICATE_SCHEMA), errmsg("schema \"%s\" already exists", get_namespace_name(schema)),
             errdetail("%s", detail), errhint("Rename or drop it, then create the extension.")));
  if (aggcache::shared::state == nullptr)
    ereport(WARNING, (errmsg("nothing will be cached, as pg_aggcache is not preloaded"),
                      errhint("%s", aggcache::shared::kPreloadHint)));
  PG_RETURN_VOID();
}
}
