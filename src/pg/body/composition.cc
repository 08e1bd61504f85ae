// Functions that are called are analysed by themselves, each in a subtransaction that is rolled back, and what that
// tells is added to the caller's definition. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/composition.h"

#include "pg/base/attempt.h"
#include "pg/base/extension.h"
#include "pg/base/settings.h"
#include "pg/body/analysis.h"
#include "pg/body/clock.h"
#include "pg/body/expressions.h"
#include "pg/body/fingerprint.h"
#include "pg/body/hidden_parameters.h"
#include "pg/body/inlining.h"
#include "pg/body/opacity.h"
#include "pg/body/sources.h"
#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/operator_families.h"
#include "pg/facts/depends_on.h"

namespace aggcache {

namespace {

constexpr int kDeepest = 16;  // calls of calls; beyond that the analysis would take longer than it is worth

// Sets the obstacle unless there is one.
void Hinder(Composition *composition, const char *obstacle) {
  if (composition->obstacle == nullptr) composition->obstacle = obstacle;
}

void ComposeFingerprint(Composition *composition, const uint64_t fingerprint[2]) {
  for (int i = 0; i < 2; i++) composition->fingerprint[i] = hash_combine64(composition->fingerprint[i], fingerprint[i]);
}

void ComposeText(Composition *composition, const char *text) {
  auto *bytes = reinterpret_cast<const unsigned char *>(text);
  int size = static_cast<int>(strlen(text));
  uint64_t fingerprint[] = {hash_bytes_extended(bytes, size, 1), hash_bytes_extended(bytes, size, 2)};
  ComposeFingerprint(composition, fingerprint);
}

// Adds another composition to this one, but for the relations that cached functions read.
void MergeComposition(Composition *composition, Composition *other) {
  composition->whole_relations = list_concat(composition->whole_relations, other->whole_relations);
  composition->row_types = list_concat(composition->row_types, other->row_types);
  composition->items = list_concat(composition->items, other->items);
  MergeNames(other->names, &composition->names);
  ListCell *cell;
  foreach (cell, other->hidden)
    if (!list_member(composition->hidden, lfirst(cell)))
      composition->hidden = lappend(composition->hidden, lfirst(cell));
  ComposeFingerprint(composition, other->fingerprint);
  if (other->obstacle) Hinder(composition, other->obstacle);
}

// What a function reads is part of what its results rest on, so another statement of it makes other keys.
void ComposeOid(Composition *composition, Oid oid) {
  uint64_t fingerprint[] = {oid, oid};
  ComposeFingerprint(composition, fingerprint);
}

// ---- Functions that are called ----------------------------------------------------------------------------------

enum class CalledKind : uint8_t { kCached, kSql, kOpaque };

struct CalledFunction {
  Oid function;
  CalledKind kind;
  bool polymorphic;
  bool security_definer;
  Oid owner;
  ArrayType *config;
  bool changes_settings;  // other than ours
};

// Whether the SET clauses set anything but settings of this extension.
bool ChangesSettings(ArrayType *config) {
  if (config == nullptr) return false;
  Datum *elements;
  int count;
  deconstruct_array(config, TEXTOID, -1, false, TYPALIGN_INT, &elements, nullptr, &count);
  for (int i = 0; i < count; i++)
    if (pg_strncasecmp(TextDatumGetCString(elements[i]), "aggcache.", 9) != 0) return true;
  return false;
}

CalledFunction ReadCalledFunction(Oid function) {
  CalledFunction called;
  memset(&called, 0, sizeof(called));
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  called.function = function;
  called.kind = CalledKind::kOpaque;
  if (form->prokind == PROKIND_FUNCTION && form->prolang == SQLlanguageId) called.kind = CalledKind::kSql;
  if (form->prokind == PROKIND_FUNCTION && IsOurLanguage(form->prolang)) called.kind = CalledKind::kCached;
  called.polymorphic = IsPolymorphicType(form->prorettype);
  for (int i = 0; i < form->pronargs; i++) called.polymorphic |= IsPolymorphicType(form->proargtypes.values[i]);
  called.security_definer = form->prosecdef;
  called.owner = form->proowner;
  bool is_null;
  Datum config = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &is_null);
  called.config = is_null ? nullptr : DatumGetArrayTypePCopy(config);
  called.changes_settings = ChangesSettings(called.config);
  ReleaseSysCache(row);
  return called;
}

struct CalledAnalysis {
  CalledFunction called;
  const Definition *caller;
  Definition *definition;
  const char *obstacle;  // besides those of single relations, which the caller's own list brings
};

// Whether the obstacle is what stands in the way of one of the definition's relations.
bool IsOfRelation(const Definition *definition, const char *obstacle) {
  for (int i = 0; i < definition->relation_count; i++)
    if (definition->relations[i].obstacle == obstacle) return true;
  return false;
}

// In the environment that the function would run in, as fmgr_security_definer makes it.
void AnalyseCalled(void *context) {
  auto *analysis = static_cast<CalledAnalysis *>(context);
  const CalledFunction &called = analysis->called;
  Oid role;
  int security;
  GetUserIdAndSecContext(&role, &security);
  const int nest = NewGUCNestLevel();
  if (called.security_definer) SetUserIdAndSecContext(called.owner, security | SECURITY_LOCAL_USERID_CHANGE);
  if (called.config)
    ProcessGUCArray(called.config, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
  Refusal refusal;
  Definition *definition = AnalyseFunction(called.function, &refusal, analysis->caller);
  analysis->definition = definition;
  analysis->obstacle = definition->obstacle;
  if (analysis->obstacle && IsOfRelation(definition, analysis->obstacle)) analysis->obstacle = nullptr;
  if (analysis->obstacle == nullptr && refusal.primary && !definition->reads_clock)
    analysis->obstacle = refusal.primary;
  if (analysis->obstacle == nullptr && called.kind == CalledKind::kCached)
    analysis->obstacle = FindObstacleInSettings(definition).Sentence();
  AtEOXact_GUC(false, nest);
  SetUserIdAndSecContext(role, security);
}

// In a subtransaction that is rolled back: a broken function is an error only if it comes to be called, its locks need
// not last, and role and settings come back by themselves. What was analysed is in the caller's memory and stays.
void TryAnalyseCalled(CalledAnalysis *analysis) {
  if (IsInParallelMode()) {
    analysis->obstacle = "it cannot be analysed in a parallel operation";
    return;
  }
  const ErrorData *error = Attempt(Attempts::kUndo, AnalyseCalled, analysis);
  if (error == nullptr) return;
  analysis->definition = nullptr;
  analysis->obstacle = error->message ? error->message : "an error without a message";
}

// What makes a call of the same arguments another one joins the caller's hidden parameters, as long as the caller would
// find the same values as the function does.
void AddHiddenOfCalled(Definition *definition, const CalledAnalysis &analysis, Composition *composition) {
  const CalledFunction &called = analysis.called;
  bool elsewhere = called.security_definer || called.changes_settings;
  ListCell *cell;
  foreach (cell, analysis.definition->hidden_originals) {
    Node *expression = static_cast<Node *>(lfirst(cell));
    // The values are listed once, whoever uses them: who uses which is told by the expressions.
    ComposeText(composition, nodeToString(expression));
    // What else it depends on is listed by itself.
    if (ShowsClock(expression)) continue;
    if (HasParameter(expression)) continue;  // looked at by ComposeBody of the function called
    if (elsewhere && !ReadsOnlyNamedSettings(expression)) {
      Hinder(composition, psprintf("the body calls %s, which depends on the role or on settings of its own in a way "
                                   "that cannot be seen from outside",
                                   analysis.definition->name));
      return;
    }
    if (!list_member(composition->hidden, expression)) composition->hidden = lappend(composition->hidden, expression);
  }
}

void AddCatalogItems(const Definition *called, Composition *composition) {
  for (int i = 0; i < called->catalog_count; i++) {
    PlanInvalItem *item = makeNode(PlanInvalItem);
    item->cacheId = called->catalogs[i].cache;
    item->hashValue = called->catalogs[i].hash;
    composition->items = lappend(composition->items, item);
  }
}

// Adds what the analysis of a function that is called has told.
void AddCalledDefinition(Definition *definition, const CalledAnalysis &analysis, Composition *composition) {
  const Definition *called = analysis.definition;
  for (int i = 0; i < called->relation_count; i++) {
    const SourceRelation &source = called->relations[i];
    if (source.role == SourceRole::kRowType)
      composition->row_types = lappend_oid(composition->row_types, source.relation);
    else if (source.role != SourceRole::kNamed)
      continue;  // found anew
    else if (analysis.called.kind == CalledKind::kCached)
      composition->relations = lappend_oid(composition->relations, source.relation);
    else
      composition->whole_relations = lappend_oid(composition->whole_relations, source.relation);
  }
  composition->whole_relations = list_concat(composition->whole_relations, called->argument_relations);
  AddCatalogItems(called, composition);
  MergeNames(called->names, &composition->names);
  if (analysis.called.security_definer) {
    definition->hides_privileges = true;
  } else {
    definition->permission_queries = list_concat(definition->permission_queries, called->permission_queries);
    definition->functions = list_concat_unique_oid(definition->functions, called->functions);
    definition->executed_queries = list_concat(definition->executed_queries, called->executed_queries);
  }
  definition->hides_privileges |= called->hides_privileges;
  definition->opaque |= called->opaque;
  definition->reads_settings |= called->reads_settings;
  definition->reads_names |= called->reads_names;
  definition->shows_columns |= called->shows_columns;
  // The result of a cached function brings the end of its time along.
  definition->reads_clock |= called->reads_clock && analysis.called.kind != CalledKind::kCached;
  definition->shows_clock |= called->shows_clock;
  definition->has_row_security |= called->has_row_security;
  definition->opaque_functions = list_concat_unique_oid(definition->opaque_functions, called->opaque_functions);
  ComposeFingerprint(composition, called->fingerprint);
  AddHiddenOfCalled(definition, analysis, composition);
}

// Whether the analysis of the function is what needs this one; *depth is how many analyses need each other.
bool IsBeingAnalysed(Oid function, const Definition *definition, int *depth) {
  *depth = 0;
  for (; definition != nullptr; definition = definition->caller) {
    ++*depth;
    if (definition->function == function) return true;
  }
  return false;
}

// Adds what a function that is called on rows reads, by its analysis, or lists it as opaque.
void AddCall(Definition *definition, Oid function, Composition *composition) {
  CalledAnalysis analysis;
  memset(&analysis, 0, sizeof(analysis));
  analysis.called = ReadCalledFunction(function);
  analysis.caller = definition;
  definition->calls_functions = true;
  if (analysis.called.kind == CalledKind::kOpaque ||
      (analysis.called.kind == CalledKind::kSql && analysis.called.polymorphic)) {
    definition->opaque_functions = list_append_unique_oid(definition->opaque_functions, function);
    return;
  }
  const char *name = format_procedure(function);
  int depth;
  if (IsBeingAnalysed(function, definition, &depth)) {
    // One that only an operator leads to, as its commutator's does, is known to read what is just being collected.
    if (!list_member_oid(definition->functions, function)) return;
    Hinder(composition, psprintf("the body calls %s, which calls itself", name));
    return;
  }
  if (analysis.called.polymorphic || depth > kDeepest) {
    Hinder(composition, psprintf("the body calls %s, %s", name,
                                 depth > kDeepest ? "and the calls are nested too deeply"
                                                  : "which is polymorphic, so that what it reads is not known before"));
    return;
  }
  TryAnalyseCalled(&analysis);
  // The statements of a function with several can be anything.
  if (analysis.called.kind == CalledKind::kSql && analysis.definition && analysis.definition->query == nullptr) {
    definition->opaque_functions = list_append_unique_oid(definition->opaque_functions, function);
    return;
  }
  if (analysis.obstacle)
    Hinder(composition, psprintf("the body calls %s, which cannot be cached: %s", name, analysis.obstacle));
  if (analysis.definition) AddCalledDefinition(definition, analysis, composition);
}

void AddCalls(Definition *definition, List *calls, Composition *composition) {
  ListCell *cell;
  foreach (cell, calls) AddCall(definition, lfirst_oid(cell), composition);
}

// ---- What is stated of opaque functions -------------------------------------------------------------------------

// SELECT FROM view, rewritten: what the view reads.
void AddView(Definition *definition, Relation view, Composition *composition) {
  ParseState *state = make_parsestate(nullptr);
  ParseNamespaceItem *item = addRangeTableEntryForRelation(state, view, AccessShareLock, nullptr, false, true);
  RangeTblRef *reference = makeNode(RangeTblRef);
  reference->rtindex = item->p_rtindex;
  Query *query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->querySource = QSRC_ORIGINAL;
  query->canSetTag = true;
  query->rtable = state->p_rtable;
  compat::TakePermissions(query, state);
  query->jointree = makeFromExpr(list_make1(reference), nullptr);
  Query *rewritten = linitial_node(Query, pg_rewrite_query(query));
  List *relations = NIL, *items = NIL;
  bool row_security = false;
  Query *inlined = InlineFunctions(rewritten, &items, &composition->names);
  ExtractDependencies(rewritten, &relations, &items, &row_security);
  composition->whole_relations = list_concat(composition->whole_relations, relations);
  composition->items = list_concat(composition->items, items);
  relations = items = NIL;
  ExtractDependencies(inlined, &relations, &items, &row_security);
  composition->whole_relations = list_concat(composition->whole_relations, relations);
  composition->items = list_concat(composition->items, items);
  List *families = FamiliesOfRelations(relations);
  uint64_t fingerprint[2];
  FingerprintTree(reinterpret_cast<Node *>(inlined), families, fingerprint);
  ComposeFingerprint(composition, fingerprint);
  inlined = ExtractHiddenParameters(inlined, definition->argument_count + 1, false, &composition->hidden);
  Opacity opacity = FindOpacity(inlined, families);
  definition->reads_settings |= opacity.reads_settings;
  definition->reads_names |= opacity.reads_names;
  definition->reads_clock |= opacity.reads_clock;
  if (opacity.obstacle) Hinder(composition, psprintf("%s (in a view of aggcache.depends_on)", opacity.obstacle));
  // Not run under the eyes of the collection, so what they read counts as a whole.
  Composition inner;
  memset(&inner, 0, sizeof(inner));
  AddCalls(definition, opacity.calls, &inner);
  MergeComposition(composition, &inner);
  composition->whole_relations = list_concat(composition->whole_relations, inner.relations);
}

// A relation of that name may come to be.
void AddStatedName(const List *name, Composition *composition) {
  const List *schemas = list_length(name) == 1
                            ? fetch_search_path(true)
                            : list_make1_oid(get_namespace_oid(static_cast<char *>(linitial(name)), true));
  AddName(static_cast<char *>(llast(name)), schemas, &composition->names);
}

// Adds the relations that aggcache.depends_on names.
void AddStated(Definition *definition, const char *stated, Composition *composition, Refusal *refusal) {
  List *names;
  if (!SplitRelationNames(stated, &names)) {
    Hinder(composition, "aggcache.depends_on is not a list of relation names");
    return;
  }
  ListCell *cell;
  foreach (cell, names) {
    const List *name = static_cast<List *>(lfirst(cell));
    Oid oid = FindRelation(name);
    Relation relation = OidIsValid(oid) ? try_relation_open(oid, AccessShareLock) : nullptr;
    AddStatedName(name, composition);
    if (relation == nullptr) {
      if (refusal->primary == nullptr)
        *refusal = {ERRCODE_UNDEFINED_TABLE, psprintf("relation \"%s\" does not exist", RelationNameText(name)),
                    "It is named in aggcache.depends_on.", nullptr};
      Hinder(composition,
             psprintf("relation %s, named in aggcache.depends_on, does not exist", RelationNameText(name)));
      continue;
    }
    composition->whole_relations = lappend_oid(composition->whole_relations, oid);
    ComposeOid(composition, oid);
    if (relation->rd_rel->relkind == RELKIND_VIEW) AddView(definition, relation, composition);
    relation_close(relation, NoLock);
  }
}

void RefuseOpaque(const Definition *definition, Composition *composition, Refusal *refusal) {
  const Oid opaque = linitial_oid(definition->opaque_functions);
  char *function = format_procedure(opaque);
  Hinder(composition, psprintf("the body calls %s%s on rows, and what that function reads cannot be seen", function,
                               OriginText(opaque)));
  if (refusal->primary == nullptr)
    *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION,
                psprintf("a cached function cannot call opaque function %s on rows", function), OpaqueReason(opaque),
                "State which relations it reads by adding SET aggcache.depends_on = 'schema.table, ...', or '' if it "
                "reads none."};
}

// Who calls this function with values of rows cannot evaluate at its own call what depends on them. Cached functions in
// such a parameter are collected when it is evaluated. What other functions read in it is not part of this function's
// results, since the value is part of their key: it is the caller's to watch.
void ComposeArguments(Definition *definition, Composition *composition) {
  Composition found;
  memset(&found, 0, sizeof(found));
  List *opaque = definition->opaque_functions;
  definition->opaque_functions = NIL;
  ListCell *cell;
  foreach (cell, composition->hidden) {
    Node *expression = static_cast<Node *>(lfirst(cell));
    if (!HasParameter(expression) || ShowsClock(expression)) continue;
    Opacity opacity = FindExpressionOpacity(expression);
    definition->reads_settings |= opacity.reads_settings;
    definition->reads_names |= opacity.reads_names;
    if (opacity.obstacle) Hinder(composition, opacity.obstacle);
    if (opacity.reads_clock) Hinder(composition, "the body reads the clock or the role in an expression on arguments");
    AddCalls(definition, opacity.calls, &found);
  }
  // What is stated of opaque functions is stated of those in the body.
  if (definition->opaque_functions)
    Hinder(composition, psprintf("what %s reads, which the body calls with arguments, cannot be seen",
                                 format_procedure(linitial_oid(definition->opaque_functions))));
  definition->opaque_functions = opaque;
  definition->argument_relations = found.whole_relations;
  MergeComposition(composition, &found);
  composition->relations = list_concat(composition->relations, found.relations);
}

}  // namespace

const char *StatedOf(HeapTuple row) {
  bool is_null;
  Datum config = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &is_null);
  return is_null ? nullptr : FunctionSetting(DatumGetArrayTypeP(config), "aggcache.depends_on");
}

void ComposeBody(Definition *definition, HeapTuple row, List *calls, Composition *composition, Refusal *refusal) {
  AddCalls(definition, calls, composition);
  if (definition->caller) ComposeArguments(definition, composition);
  const char *stated = StatedOf(row);
  if (stated) AddStated(definition, stated, composition, refusal);
  if (definition->opaque_functions == NIL) return;
  if (stated) {
    // All that these can notice joins the key; from here on it is told what they read.
    definition->opaque = definition->hides_privileges = true;
    definition->reads_settings = true;
    definition->opaque_functions = NIL;
  } else if (definition->caller == nullptr ||
             reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang != SQLlanguageId) {
    RefuseOpaque(definition, composition, refusal);
  }
}

}  // namespace aggcache
