// The planner's own functions do it, call by call. A needs_fmgr_hook, set only meanwhile, says which calls they may see
// through; what it meets it notes in variables of this session.

#include "pg/base/server.h"

#include "pg/body/inlining.h"

#include "pg/body/refusals.h"
#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

bool IsSqlFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  bool sql = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == SQLlanguageId;
  ReleaseSysCache(row);
  return sql;
}

// ---- Functions that say 'now' or 'today' -------------------------------------------------------------------------
//
// Putting such a body in place of a call reads the literal, once and for all. The planner asks a hook before it does,
// at whatever depth, so while trees are simplified here these functions stay calls.

// Whether it is one, and the planner would take its text.
bool SaysClockInSql(Oid function) {
  if (function < FirstNormalObjectId) return false;
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  bool is_clock = false, no_source, no_config, no_body;
  (void)SysCacheGetAttr(PROCOID, row, Anum_pg_proc_proconfig, &no_config);
  (void)SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosqlbody, &no_body);
  Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &no_source);
  if (form->prolang == SQLlanguageId && !form->prosecdef && no_config && no_body && !no_source)
    is_clock = SaysClock(TextDatumGetCString(source));
  ReleaseSysCache(row);
  return is_clock;
}

needs_fmgr_hook_type previous_needs_hook = nullptr;
bool met_clock_function = false;

// Which functions are inlined, at whatever depth, only the planner knows. It asks the hook before it does so.
struct Considered {
  List *functions;
  MemoryContext context;
};
Considered *considered = nullptr;

// The hook: true keeps a call from being seen through.
bool KeepsCall(Oid function) {
  if (considered && function >= FirstNormalObjectId) {
    MemoryContext outer = MemoryContextSwitchTo(considered->context);
    considered->functions = list_append_unique_oid(considered->functions, function);
    MemoryContextSwitchTo(outer);
  }
  if (SaysClockInSql(function)) {
    met_clock_function = true;
    return true;
  }
  return previous_needs_hook && previous_needs_hook(function);
}

// Calls simplify(argument); returns whether it came upon such a function. Notes in *functions which ones were inlined.
bool KeepClockCalls(void (*simplify)(void *argument), void *argument, Considered *functions = nullptr) {
  Considered *outer_considered = considered;
  needs_fmgr_hook_type outer = needs_fmgr_hook;
  const bool met_before = met_clock_function;
  const bool nested = outer == KeepsCall;
  if (!nested) previous_needs_hook = outer;
  met_clock_function = false;
  bool met = false;
  PG_TRY();
  {
    needs_fmgr_hook = KeepsCall;
    considered = functions;
    simplify(argument);
    met = met_clock_function;
  }
  PG_FINALLY();
  {
    needs_fmgr_hook = outer;
    considered = outer_considered;
    met_clock_function = met_before;
  }
  PG_END_TRY();
  return met;
}

bool IsOpaqueImmutable(Oid function, void *) {
  return func_volatile(function) == PROVOLATILE_IMMUTABLE && WhatReads(function) == Reads::kAnything;
}

// What compares values for another function is not asked what it is declared.
bool IsOpaqueUnnamed(Oid function, void *) { return WhatSupportReads(function) == Reads::kAnything; }

// Finds a call that simplifying would replace by a value although its function may read anything: declared IMMUTABLE,
// and without a column. (What reads settings only is the same as long as the definition is.)
bool FoldableWalker(Node *node, void *) {
  if (node == nullptr || IsA(node, Query)) return false;
  if (!OidIsValid(AggregateOf(node)) &&
      (check_functions_in_node(node, IsOpaqueImmutable, nullptr) ||
       VisitUnnamedFunctions(node, NIL, IsOpaqueUnnamed, nullptr)) &&
      !contain_var_clause(node))
    return true;
  return compat::WalkExpression(node, FoldableWalker, nullptr);
}

struct InlineContext {
  PlannerInfo *root;
  int depth;
};

Node *InlineMutator(Node *node, void *argument);

// Inlines functions in FROM, and in all expressions of the query.
Query *InlineInQuery(Query *query, InlineContext *context) {
  ListCell *cell;
  foreach (cell, query->rtable) {
    RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind != RTE_FUNCTION) continue;
    if (FoldableWalker(reinterpret_cast<Node *>(entry->functions), nullptr)) continue;
    Node *call = linitial_node(RangeTblFunction, entry->functions)->funcexpr;
    if (call && IsA(call, FuncExpr) && !IsSqlFunction(reinterpret_cast<FuncExpr *>(call)->funcid)) continue;
    entry->functions =
        castNode(List, eval_const_expressions(context->root, reinterpret_cast<Node *>(entry->functions)));
    Query *body = inline_set_returning_function(context->root, entry);
    if (body == nullptr) continue;
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = body;
    entry->security_barrier = false;
    entry->functions = NIL;
    entry->funcordinality = false;
  }
  return compat::MutateQuery(query, InlineMutator, context);
}

// Inlined bodies are visited again: they may call further functions.
Node *InlineMutator(Node *node, void *argument) {
  auto *context = static_cast<InlineContext *>(argument);
  if (node == nullptr) return nullptr;
  check_stack_depth();
  if (IsA(node, Query)) return reinterpret_cast<Node *>(InlineInQuery(reinterpret_cast<Query *>(node), context));
  Oid function = InvalidOid;
  if (IsA(node, FuncExpr)) {
    function = reinterpret_cast<FuncExpr *>(node)->funcid;
  } else if (IsA(node, OpExpr)) {
    set_opfuncid(reinterpret_cast<OpExpr *>(node));
    function = reinterpret_cast<OpExpr *>(node)->opfuncid;
  }
  if (OidIsValid(function) && context->depth < 32 && IsSqlFunction(function) && !FoldableWalker(node, nullptr)) {
    Node *simple = eval_const_expressions(context->root, node);
    bool same = equal(simple, node);
    if (!same) {
      context->depth++;
      Node *result = InlineMutator(simple, context);
      context->depth--;
      return result;
    }
  }
  return compat::MutateExpression(node, InlineMutator, context);
}

struct Inlining {
  InlineContext context;
  Query *query;
};

void InlineQuery(void *argument) {
  auto *inlining = static_cast<Inlining *>(argument);
  inlining->query = InlineInQuery(inlining->query, &inlining->context);
}

void PlanExpression(void *argument) {
  auto **expression = static_cast<Expr **>(argument);
  *expression = expression_planner(*expression);
}

}  // namespace

Expr *PlanUnlessAtCall(Node *expression, bool *at_call) {
  *at_call = FoldableWalker(expression, nullptr);
  auto *planned = reinterpret_cast<Expr *>(expression);
  if (!*at_call) *at_call = KeepClockCalls(PlanExpression, &planned);
  return *at_call ? reinterpret_cast<Expr *>(expression) : planned;
}

Query *InlineFunctions(Query *query, List **dependencies, NameSet *names) {
  PlannerGlobal *global = makeNode(PlannerGlobal);
  PlannerInfo *root = makeNode(PlannerInfo);
  root->glob = global;
  root->parse = query;
  root->query_level = 1;
  root->planner_cxt = CurrentMemoryContext;
  Inlining inlining = {{root, 0}, static_cast<Query *>(copyObjectImpl(query))};
  Considered functions = {NIL, CurrentMemoryContext};
  (void)KeepClockCalls(InlineQuery, &inlining, &functions);
  AddNamesOfFunctions(functions.functions, names);
  *dependencies = list_concat(*dependencies, global->invalItems);
  return inlining.query;
}

}  // namespace aggcache
