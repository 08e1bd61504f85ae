// AnalyseDefinition takes the steps in their order. All that is made lies in the definition's own memory context; of
// the locks that parsing for a call takes none is kept. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/analysis.h"

#include "pg/base/settings.h"
#include "pg/body/clock.h"
#include "pg/body/composition.h"
#include "pg/body/expressions.h"
#include "pg/body/fingerprint.h"
#include "pg/body/hidden_parameters.h"
#include "pg/body/inlining.h"
#include "pg/body/opacity.h"
#include "pg/body/refusals.h"
#include "pg/body/result_bytes.h"
#include "pg/body/row_order.h"
#include "pg/body/sources.h"
#include "pg/body/wellformed.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/operator_families.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

// Schema and name of a function as they stand in keys.
char *NameFunction(const char *schema, const char *name) {
  char *plain = psprintf("%s.%s", schema ? schema : "", name);
  for (char *at = plain; *at != '\0'; at++)
    if (strchr(kPlainKeyCharacters, *at) == nullptr) *at = '?';
  return plain;
}

struct AnalysedCall {
  HeapTuple row;     // of pg_proc
  Node *expression;  // the call, for polymorphism; may be NULL
  Oid collation;
  Oid result_type;
  TupleDesc result_descriptor;
  TypeFuncClass result_class;
};

// Refuses unless something has been refused before.
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

// Fills definition->result.
void ShapeResult(Definition *definition, const AnalysedCall &call, const Query *query, bool returns_tuple) {
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
  shape->checks = MakeResultChecks(*shape);
}

// Why results of this shape are not kept, or NULL.
const char *FindResultObstacle(const Definition *definition, const AnalysedCall &call) {
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

// Whoever is read is locked while a result is computed, so that its columns keep their names.
const char *FindUnreadRowType(const Definition *definition, const List *named_rows) {
  ListCell *cell;
  foreach (cell, named_rows) {
    bool read = false;
    for (int i = 0; i < definition->relation_count; i++)
      read |=
          definition->relations[i].relation == lfirst_oid(cell) && definition->relations[i].role == SourceRole::kNamed;
    if (!read)
      return psprintf("the body prints rows of the type of %s, which it does not read", get_rel_name(lfirst_oid(cell)));
  }
  return nullptr;
}

void AddAllRelations(Definition *definition, List *read, const Composition &composition, Oid result_type) {
  AddRelations(definition, read, ReadBy::kBody);
  AddRelations(definition, composition.relations, ReadBy::kCachedFunction);
  AddRelations(definition, composition.whole_relations, ReadBy::kFunction);
  AddPartsAndAncestors(definition);
  const Oid row_relation = get_typ_typrelid(getBaseType(result_type));
  if (OidIsValid(row_relation) && get_rel_relkind(row_relation) != RELKIND_COMPOSITE_TYPE)
    definition->row_relation = row_relation;
  AddRowType(definition, row_relation);
  ListCell *cell;
  foreach (cell, composition.row_types) AddRowType(definition, lfirst_oid(cell));
}

// Adds rows of catalogs, by PlanInvalItem.
void AddCatalogs(Definition *definition, List *items) {
  definition->catalogs =
      static_cast<CatalogDependency *>(palloc(sizeof(CatalogDependency) * Max(1, list_length(items))));
  ListCell *cell;
  foreach (cell, items) {
    PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);
    definition->catalogs[definition->catalog_count++] = {item->cacheId, item->hashValue};
  }
}

void MixFingerprint(Definition *definition, Node *tree, const List *families) {
  uint64_t fingerprint[2];
  FingerprintTree(tree, families, fingerprint);
  for (int i = 0; i < 2; i++) definition->fingerprint[i] = hash_combine64(definition->fingerprint[i], fingerprint[i]);
}

// What must be true of a call's arguments for the expressions to round the clock.
List *ConditionsOf(List *expressions) {
  List *conditions = NIL;
  ListCell *cell;
  foreach (cell, expressions) {
    Node *expression = static_cast<Node *>(lfirst(cell));
    if (!ShowsClock(expression)) conditions = list_union(conditions, RoundingConditions(expression));
  }
  return conditions;
}

void AddHiddenParameters(Definition *definition, List *expressions) {
  definition->hidden_originals = expressions;
  const int parts = list_length(expressions);
  expressions = list_concat_copy(expressions, ConditionsOf(expressions));
  definition->hidden_count = list_length(expressions);
  definition->hidden_built_in = true;
  definition->hidden =
      static_cast<HiddenParameter *>(palloc0(sizeof(HiddenParameter) * Max(1, definition->hidden_count)));
  for (int i = 0; i < definition->hidden_count; i++) {
    Node *expression = static_cast<Node *>(list_nth(expressions, i));
    HiddenParameter *hidden = &definition->hidden[i];
    hidden->condition = i >= parts;
    hidden->clock = !hidden->condition && ShowsClock(expression);
    if (hidden->clock) {
      expression = ClockExpression(expression, definition->argument_count + 1, definition->hidden_originals);
      // It is not part of the key by its value, so it is by what it says.
      MixFingerprint(definition, expression, NIL);
      const Opacity opacity = FindExpressionOpacity(expression);
      definition->reads_settings |= opacity.reads_settings;
      definition->reads_names |= opacity.reads_names;
    }
    hidden->type = exprType(expression);
    get_typlenbyval(hidden->type, &hidden->length, &hidden->by_value);
    hidden->can_fail = CanFail(expression);
    hidden->expression = PlanUnlessAtCall(expression, &hidden->plan_at_call);
    definition->reads_clock |= hidden->clock;
    definition->hidden_can_fail |= hidden->can_fail;
    definition->hidden_built_in &= RunsOnlyBuiltIns(expression);
    if (hidden->type == RECORDOID && definition->obstacle == nullptr)
      definition->obstacle = "the body builds an anonymous row from its arguments";
  }
}

// Parses and rewrites the body. Returns NIL if it does not have exactly one statement.
List *RewriteBody(const Definition *definition, const AnalysedCall &call, SQLFunctionParseInfoPtr info, int *count) {
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

// Names of a body that is kept as a tree are resolved for good. One that writes is refused.
void AddNamesOfBody(Definition *definition, const AnalysedCall &call, const Query *query) {
  bool is_null;
  (void)SysCacheGetAttr(PROCOID, call.row, Anum_pg_proc_prosqlbody, &is_null);
  if (is_null && !query->hasModifyingCTE) AddNamesOf(definition->source, &definition->names);
}

// What stands in pg_proc.
void ReadDeclaration(Definition *definition, const AnalysedCall &call, Refusal *refusal) {
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
}

void AddArguments(Definition *definition, SQLFunctionParseInfoPtr info) {
  definition->argument_count = info->nargs;
  definition->argument_types = info->argtypes;
  definition->argument_lengths = static_cast<int16 *>(palloc(sizeof(int16) * Max(1, info->nargs)));
  definition->argument_by_value = static_cast<bool *>(palloc(sizeof(bool) * Max(1, info->nargs)));
  for (int i = 0; i < info->nargs; i++)
    get_typlenbyval(info->argtypes[i], &definition->argument_lengths[i], &definition->argument_by_value[i]);
}

// The body's SELECT, which returns what the function is declared to. NULL, with the obstacle set, if it is anything
// else.
Query *ReadSelect(Definition *definition, const AnalysedCall &call, SQLFunctionParseInfoPtr info, Refusal *refusal) {
  int statement_count;
  List *rewritten = RewriteBody(definition, call, info, &statement_count);
  Query *query = list_length(rewritten) == 1 ? linitial_node(Query, rewritten) : nullptr;
  if (query == nullptr || query->commandType != CMD_SELECT) {
    const char *detail = nullptr;
    if (statement_count != 1)
      detail = psprintf("The body has %d statements.", statement_count);
    else if (query)
      detail = "The body is another statement.";
    Refuse(refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function must consist of a single SELECT", detail,
           nullptr);
    definition->obstacle = "the body is not a single SELECT";
    return nullptr;
  }
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(call.row));
  bool returns_tuple =
      compat::CheckFunctionResult(list_make1(rewritten), call.result_type, call.result_descriptor, form->prokind);
  query = linitial_node(Query, rewritten);  // the check may have replaced it, to convert columns
  ShapeResult(definition, call, query, returns_tuple);
  return query;
}

void RefuseWhatIsWritten(Definition *definition, Query *query, Refusal *refusal) {
  Refusal found = FindRefusal(query);
  if (found.primary == nullptr && HasClockLiteral(query, definition->source))
    found = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot read the clock through a literal",
             "A literal like 'now' or 'today' is replaced when the body is parsed.", "Use current_date or now()."};
  if (found.primary == nullptr) return;
  Refuse(refusal, found.sqlstate, found.primary, found.detail, found.hint);
  definition->obstacle = found.primary;
}

// What the tree depends on as it stands, and the privileges that running it needs. Appends Oids and PlanInvalItem.
void AddDependencies(Definition *definition, Query *query, List **relations, List **items) {
  bool row_security_used = false;
  ExtractDependencies(query, relations, items, &row_security_used);
  definition->permission_queries = CollectQueries(query, definition->permission_queries);
  definition->functions = CollectFunctions(query, definition->functions);
  definition->has_row_security |= row_security_used;
}

// Mixes in what is executed: the body, what it calls, and the form of the result.
void AddFingerprint(Definition *definition, const List *families, const Composition &composition) {
  MixFingerprint(definition, reinterpret_cast<Node *>(definition->query), families);
  for (int i = 0; i < 2; i++)
    definition->fingerprint[i] = hash_combine64(definition->fingerprint[i], composition.fingerprint[i]);
  // The form of the result is part of what is executed. Hidden parameters whose values are part of the key are not:
  // equal values make equal queries.
  const ResultShape &shape = definition->result;
  uint64_t result =
      hash_combine64(definition->fingerprint[0], (static_cast<uint64_t>(shape.type) << 2) |
                                                     (shape.returns_set ? 2 : 0) | (shape.returns_tuple ? 1 : 0));
  if (shape.descriptor)
    for (int i = 0; i < shape.descriptor->natts; i++)
      result = hash_combine64(result, TupleDescAttr(shape.descriptor, i)->atttypid);
  definition->fingerprint[0] = result;
}

// Does the work in the definition's context; what the parser leaves behind stays there with it.
void AnalyseDefinition(Definition *definition, const AnalysedCall &call, Refusal *refusal) {
  ReadDeclaration(definition, call, refusal);
  SQLFunctionParseInfoPtr info = prepare_sql_fn_parse_info(call.row, call.expression, call.collation);
  AddArguments(definition, info);
  Query *query = ReadSelect(definition, call, info, refusal);
  if (query == nullptr) return;
  RefuseWhatIsWritten(definition, query, refusal);
  AddNamesOfBody(definition, call, query);

  // functions that vanish when they are inlined count too
  List *relations = NIL, *items = NIL;
  AddDependencies(definition, query, &relations, &items);
  Query *inlined = InlineFunctions(query, &items, &definition->names);
  AddDependencies(definition, inlined, &relations, &items);
  if (definition->obstacle == nullptr) definition->obstacle = FindRefusal(inlined).primary;
  if (definition->obstacle == nullptr) definition->obstacle = FindResultObstacle(definition, call);

  List *hidden = NIL;
  // What policies call is stated by nobody: they are not the function's.
  const bool stated = StatedOf(call.row) != nullptr && !definition->has_row_security;
  definition->query = ExtractHiddenParameters(inlined, definition->argument_count + 1, stated, &hidden);
  definition->order_shows = RelationsShowingOrder(definition->query, definition->result.returns_set);
  definition->executed_queries = CollectQueries(definition->query, NIL);
  List *families = FamiliesOfRelations(relations);
  Opacity opacity = FindOpacity(definition->query, families);
  definition->reads_settings = opacity.reads_settings;
  definition->reads_names = opacity.reads_names;
  definition->shows_columns = opacity.shows_columns;
  definition->reads_clock = opacity.reads_clock;
  if (definition->obstacle == nullptr) definition->obstacle = opacity.obstacle;

  Composition composition;
  memset(&composition, 0, sizeof(composition));
  composition.hidden = hidden;
  ComposeBody(definition, call.row, opacity.calls, &composition, refusal);
  AddHiddenParameters(definition, composition.hidden);
  AddAllRelations(definition, relations, composition, call.result_type);
  if (definition->obstacle == nullptr) definition->obstacle = FindUnreadRowType(definition, opacity.named_rows);
  AddCatalogs(definition, list_concat(items, composition.items));
  MergeNames(composition.names, &definition->names);
  SealNames(&definition->names);
  if (definition->obstacle == nullptr) definition->obstacle = composition.obstacle;
  AddFingerprint(definition, families, composition);
  definition->shows_clock |= definition->reads_clock || definition->opaque;

  if (definition->reads_clock && settings::ttl_ms == 0)
    Refuse(
        refusal, ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function that reads the clock needs a ttl",
        "The body uses now() or the like in a way that never repeats, so no call would find an earlier result.",
        "Round it, as in current_date or date_trunc('hour', now()), or add SET aggcache.ttl = '1min' to the function.");
}

// Parse analysis locks what it finds until the transaction ends. A definition is kept valid by invalidation, not by
// locks, and whoever waits for a lock of this session keeps it from waiting for others (single_flight.h): so these go
// at once.
void AnalyseWithoutLocks(Definition *definition, const AnalysedCall &call, Refusal *refusal) {
  ResourceOwner outer = CurrentResourceOwner;
  ResourceOwner owner = ResourceOwnerCreate(outer, "aggcache analysis");
  PG_TRY();
  {
    CurrentResourceOwner = owner;
    AnalyseDefinition(definition, call, refusal);
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

// Errors of the body show the body, not the statement that calls the function, as for functions of language sql.
void AddStartupContext(void *argument) {
  const auto *definition = static_cast<const Definition *>(argument);
  const int position = geterrposition();
  if (position > 0 && definition->source) {
    errposition(0);
    internalerrposition(position);
    internalerrquery(definition->source);
  }
  errcontext("cached function %s during startup", definition->name ? definition->name : "");
}

Definition *NewDefinition(Oid function, MemoryContext parent) {
  MemoryContext context = AllocSetContextCreate(parent, "aggcache definition", ALLOCSET_DEFAULT_SIZES);
  auto *definition = static_cast<Definition *>(MemoryContextAllocZero(context, sizeof(Definition)));
  definition->context = context;
  definition->function = function;
  definition->valid = true;
  return definition;
}

// A function that could not be created like that may be there all the same: what it reads was altered since.
void TakeRefusal(Definition *definition, const Refusal &refusal) {
  if (refusal.primary && definition->obstacle == nullptr && !definition->reads_clock)
    definition->obstacle = refusal.primary;
}

}  // namespace

Definition *MakeDefinition(FunctionCallInfo fcinfo) {
  Oid function = fcinfo->flinfo->fn_oid;
  Definition *definition = NewDefinition(function, CurrentMemoryContext);
  MemoryContext outer = MemoryContextSwitchTo(definition->context);
  HeapTuple row = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  AnalysedCall call;
  memset(&call, 0, sizeof(call));
  call.row = row;
  call.expression = fcinfo->flinfo->fn_expr;
  call.collation = fcinfo->fncollation;
  call.result_class = get_call_result_type(fcinfo, &call.result_type, &call.result_descriptor);
  definition->environment = CaptureEnvironment(definition->context);
  ErrorContextCallback callback;
  callback.callback = AddStartupContext;
  callback.arg = definition;
  callback.previous = error_context_stack;
  error_context_stack = &callback;
  Refusal refusal;
  AnalyseWithoutLocks(definition, call, &refusal);
  error_context_stack = callback.previous;
  TakeRefusal(definition, refusal);
  MemoryContextSwitchTo(outer);
  return definition;
}

Definition *AnalyseFunction(Oid function, Refusal *refusal, const Definition *caller) {
  Definition *definition = NewDefinition(function, CurrentMemoryContext);
  definition->caller = caller;
  MemoryContext outer = MemoryContextSwitchTo(definition->context);
  HeapTuple row = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  AnalysedCall call;
  memset(&call, 0, sizeof(call));
  call.row = row;
  call.result_class = get_func_result_type(function, &call.result_type, &call.result_descriptor);
  definition->environment = CaptureEnvironment(definition->context);
  AnalyseDefinition(definition, call, refusal);
  MemoryContextSwitchTo(outer);
  return definition;
}

Definition *AnalyseAsCalled(Oid function) {
  Refusal refusal;
  Definition *definition = AnalyseFunction(function, &refusal);
  TakeRefusal(definition, refusal);
  return definition;
}

}  // namespace aggcache
