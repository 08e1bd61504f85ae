#include "pg/server.h"

#include "pg/definition.h"

#include "pg/analysis.h"
#include "pg/composition.h"
#include "pg/function_facts.h"
#include "pg/redis_names.h"
#include "pg/results.h"
#include "pg/settings.h"
#include "pg/sources.h"

extern "C" {
#include "storage/sinval.h"
}

namespace aggcache {

uint64_t definition_epoch = 1;
uint64_t privilege_epoch = 1;

namespace {

struct FunctionSlot {
  Oid function;  // hash key
  Definition *first;
  int count;
};

HTAB *functions = nullptr;
constexpr int kMostDefinitions = 32;  // of one function; more environments than that take turns

RelationChanged relation_changed = nullptr;
NamesChanged names_changed = nullptr;

// ---- Invalidation -----------------------------------------------------------------------------------------------

void InvalidateIf(bool (*matches)(const Definition *, Oid, int, uint32), Oid relation, int cache, uint32 hash) {
  if (functions == nullptr) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, functions);
  while (auto *slot = static_cast<FunctionSlot *>(hash_seq_search(&scan)))
    for (Definition *definition = slot->first; definition != nullptr; definition = definition->next)
      if (definition->valid && matches(definition, relation, cache, hash)) definition->valid = false;
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

bool Always(const Definition *, Oid, int, uint32) { return true; }

void RelationCallback(Datum, Oid relation) {
  privilege_epoch++;
  InvalidateIf(DependsOnRelation, relation, 0, 0);
  if (relation_changed) relation_changed(relation);
}

void RowCallback(Datum, int cache, uint32 hash) { InvalidateIf(DependsOnRow, InvalidOid, cache, hash); }

// A new function, operator, type or schema can change what a name means; they change rarely.
void NameCallback(Datum, int cache, uint32) {
  privilege_epoch++;
  InvalidateIf(Always, InvalidOid, 0, 0);
  if (names_changed) names_changed(cache == AUTHOID || cache == AUTHMEMROLEMEM);
}

// ---- Making a definition ----------------------------------------------------------------------------------------

struct Call {
  HeapTuple row;     // of pg_proc
  Node *expression;  // the call, for polymorphism; may be NULL
  Oid collation;
  Oid result_type;
  TupleDesc result_descriptor;
  TypeFuncClass result_class;
};

bool IsClockLiteral(const char *source, const Const *constant) {
  int location = constant->location;
  if (location < 0 || location >= static_cast<int>(strlen(source))) return false;
  const char *from = strchr(source + location, '\'');
  if (from == nullptr || from - (source + location) > 3) return false;
  const char *to = strchr(from + 1, '\'');
  return to && IsClockText(pnstrdup(from + 1, to - from - 1), constant->consttype);
}

bool ClockLiteralWalker(Node *node, void *source) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), ClockLiteralWalker, source);
  if (IsA(node, Const)) return IsClockLiteral(static_cast<const char *>(source), reinterpret_cast<Const *>(node));
  return compat::WalkExpression(node, ClockLiteralWalker, source);
}

void Refuse(Refusal *refusal, int sqlstate, const char *primary, const char *detail, const char *hint) {
  if (refusal->primary == nullptr) *refusal = {sqlstate, primary, detail, hint};
}

// Whether the declaration alone tells the types of arguments and result.
bool HasFixedTypes(HeapTuple row) {
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  if (IsPolymorphicType(form->prorettype)) return false;
  Oid *types;
  char **names;
  char *modes;
  int count = get_func_arg_info(row, &types, &names, &modes);
  for (int i = 0; i < count; i++)
    if (IsPolymorphicType(types[i])) return false;
  // RETURNS TABLE and OUT parameters say what a record consists of
  return form->prorettype != RECORDOID || count > form->pronargs;
}

void ShapeResult(Definition *definition, const Call &call, const Query *query, bool returns_tuple) {
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(call.row));
  ResultShape *shape = &definition->result;
  shape->type = call.result_type;
  shape->returns_set = form->proretset;
  shape->returns_tuple = returns_tuple;
  get_typlenbyval(call.result_type, &shape->length, &shape->by_value);
  if (returns_tuple) {
    // Outside of a call, nobody has said what the columns of anonymous rows are.
    shape->descriptor =
        call.result_descriptor ? CreateTupleDescCopy(call.result_descriptor) : ExecCleanTypeFromTL(query->targetList);
    BlessTupleDesc(shape->descriptor);
  } else if (shape->returns_set) {
    shape->descriptor = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(shape->descriptor, 1, "result", call.result_type, -1, 0);
  }
  shape->row_type = FingerprintRowType(*shape);
}

const char *FindResultObstacle(const Definition *definition, const Call &call) {
  const ResultShape &shape = definition->result;
  if (shape.type == VOIDOID) return "the function returns nothing";
  if (shape.returns_tuple) {
    for (int i = 0; i < shape.descriptor->natts; i++) {
      Oid type = TupleDescAttr(shape.descriptor, i)->atttypid;
      if (OidIsValid(type) && HoldsRows(type)) return "the function returns a row as the value of a column";
    }
    return nullptr;
  }
  if (HoldsRows(call.result_type)) return "the function returns rows as values of one column";
  return nullptr;
}

void AddAllRelations(Definition *definition, List *read, const Composition &composition, Oid result_type) {
  AddRelations(definition, read, ReadBy::kBody);
  AddRelations(definition, composition.relations, ReadBy::kCachedFunction);
  AddRelations(definition, composition.whole_relations, ReadBy::kFunction);
  AddPartsAndAncestors(definition);
  AddRowType(definition, get_typ_typrelid(getBaseType(result_type)));
  ListCell *cell;
  foreach (cell, composition.row_types) AddRowType(definition, lfirst_oid(cell));
}

// The names of the relations in every schema of the search path: a new one may hide the one that was found.
void AddCatalogs(Definition *definition, List *items) {
  List *schemas = fetch_search_path(true);
  int most = list_length(items) + definition->relation_count * (list_length(schemas) + 1) + 1;
  definition->catalogs = static_cast<CatalogDependency *>(palloc(sizeof(CatalogDependency) * most));
  ListCell *cell;
  foreach (cell, items) {
    PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);
    definition->catalogs[definition->catalog_count++] = {item->cacheId, item->hashValue};
  }
  for (int i = 0; i < definition->relation_count; i++) {
    SourceRole role = definition->relations[i].role;
    if (role != SourceRole::kNamed && role != SourceRole::kRowType) continue;
    char *name = get_rel_name(definition->relations[i].relation);
    if (name == nullptr) continue;
    NameData padded;
    namestrcpy(&padded, name);
    foreach (cell, schemas)
      definition->catalogs[definition->catalog_count++] = {
          RELNAMENSP, GetSysCacheHashValue2(RELNAMENSP, NameGetDatum(&padded), ObjectIdGetDatum(lfirst_oid(cell)))};
  }
}

void AddHidden(Definition *definition, List *expressions) {
  definition->hidden_originals = expressions;
  definition->hidden_count = list_length(expressions);
  definition->hidden =
      static_cast<HiddenParameter *>(palloc0(sizeof(HiddenParameter) * Max(1, definition->hidden_count)));
  for (int i = 0; i < definition->hidden_count; i++) {
    Node *expression = static_cast<Node *>(list_nth(expressions, i));
    HiddenParameter *hidden = &definition->hidden[i];
    hidden->type = exprType(expression);
    get_typlenbyval(hidden->type, &hidden->length, &hidden->by_value);
    hidden->clock = ShowsClock(expression);
    hidden->can_fail = CanFail(expression);
    hidden->plan_at_call = FoldsOpaqueCall(expression);
    hidden->expression = reinterpret_cast<Expr *>(expression);
    if (!hidden->plan_at_call) hidden->expression = expression_planner(hidden->expression);
    definition->reads_clock |= hidden->clock;
    definition->hidden_can_fail |= hidden->can_fail;
    if (hidden->type == RECORDOID && definition->obstacle == nullptr)
      definition->obstacle = "the body builds an anonymous row from its arguments";
  }
}

// Parses and rewrites the body. Returns NIL if it does not have exactly one statement.
List *RewriteBody(const Definition *definition, const Call &call, SQLFunctionParseInfoPtr info, int *count) {
  bool is_null;
  Datum parsed = SysCacheGetAttr(PROCOID, call.row, Anum_pg_proc_prosqlbody, &is_null);
  if (is_null) {
    List *statements = pg_parse_query(definition->source);
    *count = list_length(statements);
    if (*count != 1) return NIL;
    return pg_analyze_and_rewrite_withcb(linitial_node(RawStmt, statements), definition->source,
                                         reinterpret_cast<ParserSetupHook>(sql_fn_parser_setup), info, nullptr);
  }
  Node *body = static_cast<Node *>(stringToNode(TextDatumGetCString(parsed)));
  List *statements = IsA(body, List) ? linitial_node(List, castNode(List, body)) : list_make1(body);
  *count = list_length(statements);
  if (*count != 1) return NIL;
  Query *query = linitial_node(Query, statements);
  AcquireRewriteLocks(query, true, false);
  return pg_rewrite_query(query);
}

// Does the work in the definition's context; what the parser leaves behind stays there with it.
void Analyse(Definition *definition, const Call &call, Refusal *refusal) {
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(call.row));
  definition->name = psprintf("%s", format_procedure(definition->function));
  char *schema = get_namespace_name(form->pronamespace);
  definition->key_name = NameFunction(schema, NameStr(form->proname));
  definition->collation = call.collation;
  definition->fixed_types = HasFixedTypes(call.row);

  bool is_null;
  Datum source = SysCacheGetAttr(PROCOID, call.row, Anum_pg_proc_prosrc, &is_null);
  if (is_null) elog(ERROR, "null prosrc for function %u", definition->function);
  definition->source = TextDatumGetCString(source);

  if (form->provolatile == PROVOLATILE_VOLATILE) {
    Refuse(refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot be VOLATILE",
           "A volatile function sees changes that are made while its calling statement runs.",
           "Declare the function STABLE.");
    definition->obstacle = "the function is declared VOLATILE";
  }

  SQLFunctionParseInfoPtr info = prepare_sql_fn_parse_info(call.row, call.expression, call.collation);
  definition->argument_count = info->nargs;
  definition->argument_types = info->argtypes;
  definition->argument_lengths = static_cast<int16 *>(palloc(sizeof(int16) * Max(1, info->nargs)));
  definition->argument_by_value = static_cast<bool *>(palloc(sizeof(bool) * Max(1, info->nargs)));
  for (int i = 0; i < info->nargs; i++)
    get_typlenbyval(info->argtypes[i], &definition->argument_lengths[i], &definition->argument_by_value[i]);

  int statement_count;
  List *rewritten = RewriteBody(definition, call, info, &statement_count);
  if (statement_count != 1) {
    Refuse(refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function must consist of a single SELECT",
           psprintf("The body has %d statements.", statement_count), nullptr);
    definition->obstacle = "the body is not a single SELECT";
    return;
  }
  Query *query = list_length(rewritten) == 1 ? linitial_node(Query, rewritten) : nullptr;
  if (query == nullptr || query->commandType != CMD_SELECT) {
    Refuse(refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function must consist of a single SELECT",
           query ? "The body is another statement." : nullptr, nullptr);
    definition->obstacle = "the body is not a single SELECT";
    return;
  }
  bool returns_tuple =
      compat::CheckFunctionResult(list_make1(rewritten), call.result_type, call.result_descriptor, form->prokind);
  query = linitial_node(Query, rewritten);
  ShapeResult(definition, call, query, returns_tuple);

  Refusal found = FindRefusal(query);
  if (found.primary == nullptr &&
      ClockLiteralWalker(reinterpret_cast<Node *>(query), const_cast<char *>(definition->source)))
    found = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot read the clock through a literal",
             "A literal like 'now' or 'today' is replaced when the body is parsed.", "Use current_date or now()."};
  if (found.primary) {
    Refuse(refusal, found.sqlstate, found.primary, found.detail, found.hint);
    definition->obstacle = found.primary;
  }

  List *items = NIL;
  List *relations = NIL;
  List *query_relations = NIL, *query_items = NIL;
  bool row_security_used = false;
  extract_query_dependencies(reinterpret_cast<Node *>(query), &query_relations, &query_items, &row_security_used);
  relations = list_concat(relations, query_relations);
  items = list_concat(items, query_items);
  definition->permission_queries = CollectQueries(query, NIL);
  definition->functions = CollectFunctions(query, NIL);

  Query *inlined = InlineFunctions(query, &items);
  bool inlined_row_security = false;
  query_relations = query_items = NIL;
  extract_query_dependencies(reinterpret_cast<Node *>(inlined), &query_relations, &query_items, &inlined_row_security);
  relations = list_concat(relations, query_relations);
  items = list_concat(items, query_items);
  definition->permission_queries = CollectQueries(inlined, definition->permission_queries);
  definition->functions = CollectFunctions(inlined, definition->functions);
  definition->has_row_security = row_security_used || inlined_row_security;

  if (definition->obstacle == nullptr) definition->obstacle = FindRefusal(inlined).primary;
  if (definition->obstacle == nullptr) definition->obstacle = FindResultObstacle(definition, call);

  List *hidden = NIL;
  definition->query = ExtractHiddenParameters(inlined, definition->argument_count + 1, &hidden);
  Opacity opacity = FindOpacity(definition->query);
  definition->reads_settings = opacity.reads_settings;
  if (definition->obstacle == nullptr) definition->obstacle = opacity.obstacle;
  Composition composition;
  memset(&composition, 0, sizeof(composition));
  composition.hidden = hidden;
  ComposeBody(definition, call.row, opacity.calls, &composition, refusal);
  AddHidden(definition, composition.hidden);
  AddAllRelations(definition, relations, composition, call.result_type);
  AddCatalogs(definition, list_concat(items, composition.items));
  if (definition->obstacle == nullptr) definition->obstacle = composition.obstacle;
  FingerprintQuery(definition->query, definition->fingerprint);
  for (int i = 0; i < 2; i++)
    definition->fingerprint[i] = hash_combine64(definition->fingerprint[i], composition.fingerprint[i]);
  // The form of the result is part of what is executed. Hidden parameters are not: equal values make equal queries.
  const ResultShape &shape = definition->result;
  uint64_t result =
      hash_combine64(definition->fingerprint[0], (static_cast<uint64_t>(shape.type) << 2) |
                                                     (shape.returns_set ? 2 : 0) | (shape.returns_tuple ? 1 : 0));
  if (shape.descriptor)
    for (int i = 0; i < shape.descriptor->natts; i++)
      result = hash_combine64(result, TupleDescAttr(shape.descriptor, i)->atttypid);
  definition->fingerprint[0] = result;

  if (definition->reads_clock && settings::ttl_ms == 0)
    Refuse(
        refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function that reads the clock needs a ttl",
        "The body uses now() or the like in a way that never repeats, so no call would find an earlier result.",
        "Round it, as in current_date or date_trunc('hour', now()), or add SET aggcache.ttl = '1min' to the function.");
}

// Parse analysis locks what it finds until the transaction ends. A definition is kept valid by invalidation, not by
// locks, and a session that holds locks may not wait for others (single_flight.h): so these go at once.
void AnalyseWithoutLocks(Definition *definition, const Call &call, Refusal *refusal) {
  ResourceOwner outer = CurrentResourceOwner;
  ResourceOwner owner = ResourceOwnerCreate(outer, "aggcache analysis");
  PG_TRY();
  {
    CurrentResourceOwner = owner;
    Analyse(definition, call, refusal);
    CurrentResourceOwner = outer;
  }
  PG_CATCH();
  {
    // The transaction's abort releases what the child holds.
    CurrentResourceOwner = outer;
    PG_RE_THROW();
  }
  PG_END_TRY();
  ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
  ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
  ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
  ResourceOwnerDelete(owner);
}

Definition *NewDefinition(Oid function, MemoryContext parent) {
  MemoryContext context = AllocSetContextCreate(parent, "aggcache definition", ALLOCSET_DEFAULT_SIZES);
  auto *definition = static_cast<Definition *>(MemoryContextAllocZero(context, sizeof(Definition)));
  definition->context = context;
  definition->function = function;
  definition->valid = true;
  return definition;
}

Definition *MakeDefinition(FunctionCallInfo fcinfo) {
  Oid function = fcinfo->flinfo->fn_oid;
  Definition *definition = NewDefinition(function, CurrentMemoryContext);
  MemoryContext outer = MemoryContextSwitchTo(definition->context);
  HeapTuple row = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Call call;
  memset(&call, 0, sizeof(call));
  call.row = row;
  call.expression = fcinfo->flinfo->fn_expr;
  call.collation = fcinfo->fncollation;
  call.result_class = get_call_result_type(fcinfo, &call.result_type, &call.result_descriptor);
  definition->environment = CaptureEnvironment(definition->context);
  Refusal refusal;
  AnalyseWithoutLocks(definition, call, &refusal);
  if (refusal.primary && definition->obstacle == nullptr && !definition->reads_clock)
    definition->obstacle = refusal.primary;
  MemoryContextSwitchTo(outer);
  return definition;
}

// ---- Keeping them -----------------------------------------------------------------------------------------------

void Free(FunctionSlot *slot, Definition **link) {
  Definition *gone = *link;
  *link = gone->next;
  slot->count--;
  definition_epoch++;
  MemoryContextDelete(gone->context);
}

// Frees what is no longer valid or, when there are too many, the oldest.
void Sweep(FunctionSlot *slot) {
  for (Definition **link = &slot->first; *link != nullptr;) {
    if (!(*link)->valid && (*link)->pins == 0)
      Free(slot, link);
    else
      link = &(*link)->next;
  }
  if (slot->count < kMostDefinitions) return;
  Definition **oldest = nullptr;
  for (Definition **link = &slot->first; *link != nullptr; link = &(*link)->next)
    if ((*link)->pins == 0) oldest = link;
  if (oldest) Free(slot, oldest);
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
  bool found;
  auto *slot = static_cast<FunctionSlot *>(hash_search(functions, &function, HASH_ENTER, &found));
  if (!found) {
    slot->first = nullptr;
    slot->count = 0;
  }
  for (Definition *definition = slot->first; definition != nullptr; definition = definition->next)
    if (IsCurrentDefinition(definition) && FitsCall(definition, fcinfo)) return definition;
  Sweep(slot);
  // The callbacks do not know the definition before it is linked, so messages that came meanwhile make it suspect.
  Definition *made;
  for (int attempt = 0;; attempt++) {
    uint64_t before = SharedInvalidMessageCounter;
    made = MakeDefinition(fcinfo);
    if (before == SharedInvalidMessageCounter) break;
    if (attempt == 3) {
      made->valid = false;
      break;
    }
    MemoryContextDelete(made->context);
  }
  MemoryContextSetParent(made->context, TopMemoryContext);
  made->next = slot->first;
  slot->first = made;
  slot->count++;
  return made;
}

Definition *AnalyseFunction(Oid function, Refusal *refusal, const Definition *caller) {
  Definition *definition = NewDefinition(function, CurrentMemoryContext);
  definition->caller = caller;
  MemoryContext outer = MemoryContextSwitchTo(definition->context);
  HeapTuple row = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Call call;
  memset(&call, 0, sizeof(call));
  call.row = row;
  call.result_class = get_func_result_type(function, &call.result_type, &call.result_descriptor);
  definition->environment = CaptureEnvironment(definition->context);
  Analyse(definition, call, refusal);
  MemoryContextSwitchTo(outer);
  return definition;
}

bool IsPermitted(Definition *definition) {
  if (definition->permitted_epoch == privilege_epoch) return true;
  Oid role = GetUserId();
  ListCell *cell;
  foreach (cell, definition->permission_queries) {
    Query *query = lfirst_node(Query, cell);
#if PG_VERSION_NUM >= 160000
    if (!ExecCheckPermissions(query->rtable, query->rteperminfos, false)) return false;
#else
    if (!ExecCheckRTPerms(query->rtable, false)) return false;
#endif
  }
  foreach (cell, definition->functions)
    if (!compat::CanExecute(lfirst_oid(cell), role)) return false;
  definition->permitted_epoch = privilege_epoch;
  return true;
}

void InstallDefinitionCallbacks() {
  CacheRegisterRelcacheCallback(RelationCallback, Datum{0});
  CacheRegisterSyscacheCallback(TYPEOID, RowCallback, Datum{0});
  CacheRegisterSyscacheCallback(RELNAMENSP, RowCallback, Datum{0});
  CacheRegisterSyscacheCallback(PROCOID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(NAMESPACEOID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(OPEROID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(AMOPOPID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(CASTSOURCETARGET, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(ENUMOID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(AUTHOID, NameCallback, Datum{0});
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, NameCallback, Datum{0});
}

void OnRelationChanged(RelationChanged changed) { relation_changed = changed; }

void OnNamesChanged(NamesChanged changed) { names_changed = changed; }

}  // namespace aggcache
