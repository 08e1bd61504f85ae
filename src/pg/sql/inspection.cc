// Runs what looks at a function as its owner or as its caller, and tells what is found out. Keeps no state.

#include "pg/base/server.h"

#include "pg/sql/inspection.h"

#include "pg/base/attempt.h"
#include "pg/base/extension.h"
#include "pg/base/reasons.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/facts/depends_on.h"
#include "pg/facts/own_code.h"
#include "pg/watch/changed_columns.h"
#include "pg/watch/sharing.h"

extern "C" {
#include "catalog/pg_db_role_setting.h"
}

namespace aggcache {

namespace {

// A view should not stand still behind an ALTER TABLE.
constexpr int kLockTimeoutMs = 100;

void Set(const char *name, const char *value) {
  set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

// The search path that sessions of the role start with in this database.
char *SearchPathOfRole(Oid role) {
  Oid keys[][2] = {{MyDatabaseId, role}, {InvalidOid, role}, {MyDatabaseId, InvalidOid}, {InvalidOid, InvalidOid}};
  char *path = nullptr;
  Relation catalog = table_open(DbRoleSettingRelationId, AccessShareLock);
  for (int i = 0; i < 4 && path == nullptr; i++) {
    ScanKeyData key[2];
    ScanKeyInit(&key[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(keys[i][0]));
    ScanKeyInit(&key[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(keys[i][1]));
    SysScanDesc scan = systable_beginscan(catalog, DbRoleSettingDatidRolidIndexId, true, nullptr, 2, key);
    HeapTuple row = systable_getnext(scan);
    if (HeapTupleIsValid(row)) {
      bool is_null;
      Datum config = heap_getattr(row, Anum_pg_db_role_setting_setconfig, RelationGetDescr(catalog), &is_null);
      if (!is_null) path = FunctionSetting(DatumGetArrayTypeP(config), "search_path");
    }
    systable_endscan(scan);
  }
  table_close(catalog, AccessShareLock);
  return path ? path : pstrdup("\"$user\", public");
}

void Prepare(const FunctionRow &function, ActAs act_as, Afterwards afterwards) {
  Oid viewer;
  int security;
  GetUserIdAndSecContext(&viewer, &security);
  char *path = nullptr;
  if (act_as == ActAs::kOwner && !has_privs_of_role(viewer, function.owner)) {
    path = FunctionSetting(function.config, "search_path");
    if (path == nullptr) path = SearchPathOfRole(function.owner);
    // Unless it is named, the viewer's temporary schema comes first.
    path = *path ? psprintf("%s, pg_temp", path) : pstrdup("pg_temp");
  }
  if (act_as == ActAs::kOwner || (act_as == ActAs::kCaller && function.definer))
    SetUserIdAndSecContext(function.owner, security | SECURITY_RESTRICTED_OPERATION);
  if (function.config)
    ProcessGUCArray(function.config, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
  if (path) Set("search_path", path);
  if (afterwards == Afterwards::kForget && (LockTimeout == 0 || LockTimeout > kLockTimeoutMs))
    Set("lock_timeout", psprintf("%d", kLockTimeoutMs));
}

// What is said of an error to who must not see what the owner's code computes. What is wrong with the text of a body
// holds no values, unless a function that runs in it says so.
const char *WithoutValues(const ErrorData *error) {
  const bool of_text = ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
  if (of_text && error->context == nullptr) return error->message;
  return psprintf("an error (SQLSTATE %s) whose message is shown to the owner only",
                  unpack_sql_state(error->sqlerrcode));
}

struct Guarded {
  const FunctionRow *function;
  ActAs act_as;
  Afterwards afterwards;
  void (*work)(void *);
  void *context;
  bool begun;
};

void WorkGuarded(void *context) {
  auto *guarded = static_cast<Guarded *>(context);
  Oid role;
  int security;
  GetUserIdAndSecContext(&role, &security);
  const int nest = NewGUCNestLevel();
  Prepare(*guarded->function, guarded->act_as, guarded->afterwards);
  guarded->begun = true;
  RunOwnCodeOnly(guarded->work, guarded->context, nullptr);
  AtEOXact_GUC(false, nest);
  SetUserIdAndSecContext(role, security);
}

// What the current role is told of an error that the work raised.
const char *DescribeError(const Guarded &guarded, const ErrorData *error) {
  if (guarded.begun && StoppedFunction()) return StoppedFunction();
  const Oid owner = guarded.function->owner;
  const bool as_other = !has_privs_of_role(GetUserId(), owner);
  const char *problem = error->message ? error->message : "an error without a message";
  if (as_other && (guarded.act_as == ActAs::kOwner || (guarded.act_as == ActAs::kCaller && guarded.function->definer)))
    problem = WithoutValues(error);
  if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE) problem = "a relation that is read is locked by another session";
  if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION && as_other &&
      guarded.act_as == ActAs::kOwner)
    problem = psprintf("%s (with the search path of the function or its owner)", problem);
  return problem;
}

// The watch in force that serves for one that is asked for, itself if it is there; NULL if there is none.
const Watch *FindServing(Relation relation, const List *watches, const Watch &wanted) {
  const Watch *found = nullptr;
  ListCell *cell;
  foreach (cell, watches) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    if (watch->id == wanted.id) return watch;
    if ((found == nullptr || found->predicate == NIL) && Serves(relation, *watch, wanted)) found = watch;
  }
  return found;
}

// Fills in by what the relation's changes are told apart.
void DescribeKeys(const List *proposals, RelationUse *use) {
  Relation relation = try_relation_open(use->relation, AccessShareLock);
  if (relation == nullptr) return;
  List *watches = ReadWatches(relation);
  const Watch *finest = nullptr;
  bool missing = false, full = false, lacks = false, joined = false;
  ListCell *cell;
  foreach (cell, proposals) {
    auto *proposal = static_cast<WatchProposal *>(lfirst(cell));
    if (proposal->relation != use->relation) continue;
    const Watch *in_force = FindServing(relation, watches, proposal->watch);
    if (in_force == nullptr) {
      missing = true;
      full |= !HasRoomFor(relation, ReadWantedWatches(relation), proposal->watch);
      continue;
    }
    const Watch &watch = *in_force;
    lacks |= LacksConditions(relation, watch, proposal->watch);
    joined |= proposal->joined;
    if (watch.range_column) use->range = watch.range_column;
    for (int i = 0; i < watch.key_count; i++) use->columns = list_append_unique_int(use->columns, watch.keys[i]);
    int narrows = watch.key_count + (watch.range_column != 0);
    if (finest && narrows <= finest->key_count + (finest->range_column != 0)) continue;
    auto *seen = static_cast<Watch *>(palloc(sizeof(Watch)));
    *seen = AsServes(watch, proposal->watch);
    finest = seen;
  }
  list_sort(use->columns, list_int_cmp);
  use->granularity = use->range ? "range" : use->columns != NIL ? "key" : finest ? "columns" : "table";
  if (finest) use->watch = DescribeWatch(relation, *finest);
  if (lacks)
    use->reason = "conditions are not told apart, as the table has as many watches as it can have";
  else if (joined)
    use->reason = "rows are selected by these columns, as far as what they are joined with has few values for a call";
  else if (use->columns != NIL || use->range)
    use->reason = "rows are selected by these columns";
  else if (missing && full)
    use->reason = "changes could be told apart by a watch, and the table has as many as it can have";
  else if (missing)
    use->reason = "changes could be told apart by watches that are not there; aggcache.refresh() makes them";
  else
    use->reason = "no column is compared with an argument or a hidden parameter";
  relation_close(relation, NoLock);
}

}  // namespace

FunctionRow ReadFunctionRow(Oid function) {
  FunctionRow result;
  memset(&result, 0, sizeof(result));
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return result;
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  result.found = true;
  result.cached = IsOurLanguage(form->prolang);
  result.polymorphic = IsPolymorphicType(form->prorettype);
  for (int i = 0; i < form->pronargs; i++) result.polymorphic |= IsPolymorphicType(form->proargtypes.values[i]);
  result.strict = form->proisstrict;
  result.definer = form->prosecdef;
  result.owner = form->proowner;
  bool is_null;
  Datum config = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &is_null);
  result.config = is_null ? nullptr : DatumGetArrayTypePCopy(config);
  ReleaseSysCache(row);
  return result;
}

const char *RunGuarded(const FunctionRow &function, ActAs act_as, Afterwards afterwards, void (*work)(void *),
                       void *context) {
  Guarded guarded = {&function, act_as, afterwards, work, context, false};
  const ErrorData *error =
      Attempt(afterwards == Afterwards::kKeep ? Attempts::kKeep : Attempts::kUndo, WorkGuarded, &guarded);
  return error ? DescribeError(guarded, error) : nullptr;
}

ActAs ActAsFor(const FunctionRow &function) {
  return has_privs_of_role(GetUserId(), function.owner) ? ActAs::kOwner : ActAs::kCaller;
}

bool MayInspect(const FunctionRow &function) {
  return has_privs_of_role(GetUserId(), function.owner) || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

List *DescribeRelations(const Definition *definition) {
  List *uses = NIL;
  List *proposals = ProposeWatches(definition);
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    // what is wrong with a part is said of the part
    if (!IsRead(source.role) || (source.role == SourceRole::kPart && source.tracked)) continue;
    auto *use = static_cast<RelationUse *>(palloc0(sizeof(RelationUse)));
    use->relation = source.relation;
    use->name = QualifiedRelationName(source.relation);
    use->tracked = source.tracked && shared::state != nullptr;
    use->view = !source.tracked && source.obstacle == nullptr;
    use->reason = source.obstacle;
    use->granularity = use->tracked ? "table" : "none";
    use->called = use->tracked && source.read_by == ReadBy::kCachedFunction;
    if (use->called)
      use->reason = "cached functions in the body read it, whose results decide";
    else if (use->tracked && source.read_by == ReadBy::kFunction)
      use->reason = "functions in the body read it, of which it is not seen which rows";
    else if (use->tracked)
      DescribeKeys(proposals, use);
    else if (source.tracked)
      use->reason = SentenceOf(Reason::kNotPreloaded);
    uses = lappend(uses, use);
  }
  return uses;
}

ArrayType *ColumnNames(const RelationUse &use) {
  int count = 0;
  auto *names = static_cast<Datum *>(palloc(sizeof(Datum) * Max(1, list_length(use.columns))));
  ListCell *cell;
  foreach (cell, use.columns) {
    char *name = get_attname(use.relation, static_cast<AttrNumber>(lfirst_int(cell)), true);
    if (name == nullptr) continue;
    auto *padded = static_cast<NameData *>(palloc(sizeof(NameData)));
    namestrcpy(padded, name);
    names[count++] = NameGetDatum(padded);
  }
  return construct_array(names, count, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR);
}

const char *QualifiedRelationName(Oid relation) {
  char *name = get_rel_name(relation);
  char *schema = name ? get_namespace_name(get_rel_namespace(relation)) : nullptr;
  return schema ? quote_qualified_identifier(schema, name) : nullptr;
}

bool ReadDuration(ArrayType *config, const char *setting, Interval **value) {
  char *text = FunctionSetting(config, setting);
  int milliseconds;
  if (text == nullptr || !parse_int(text, &milliseconds, GUC_UNIT_MS, nullptr)) return false;
  *value = MakeInterval(static_cast<int64_t>(milliseconds) * 1000);
  return true;
}

Interval *MakeInterval(int64_t microseconds) {
  auto *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));
  interval->time = microseconds;
  return interval;
}

void RequireFunctionOwner(Oid function) {
  if (!compat::OwnsFunction(function, GetUserId()))
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
}

List *CachedFunctions(Oid owner) {
  List *functions = NIL;
  const Extension *extension = FindExtension();
  if (extension == nullptr) return NIL;
  Oid language = extension->language;
  Relation catalog = table_open(ProcedureRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(catalog, ProcedureOidIndexId, true, nullptr, 0, nullptr);
  for (HeapTuple row = systable_getnext(scan); HeapTupleIsValid(row); row = systable_getnext(scan)) {
    Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
    if (form->prolang == language && (!OidIsValid(owner) || compat::OwnsFunction(form->oid, owner)))
      functions = lappend_oid(functions, form->oid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return functions;
}

void RequireTableOwner(Oid relation) {
  char *name = get_rel_name(relation);
  if (name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  if (!compat::OwnsRelation(relation, GetUserId()))
    aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)), name);
}

FunctionRow RequireCached(Oid function) {
  FunctionRow row = ReadFunctionRow(function);
  if (!row.found)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", function)));
  if (!row.cached)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("%s is not a function of language cached_sql", format_procedure(function))));
  return row;
}

void RequirePreloaded() {
  if (shared::state == nullptr)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("pg_aggcache must be loaded via \"shared_preload_libraries\"")));
}

}  // namespace aggcache
