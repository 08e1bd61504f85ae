#include "pg/server.h"

#include "pg/analysis.h"
#include "pg/function_facts.h"

namespace aggcache {

namespace {

// Whether the function is of language sql, and its body may be put in place of its calls. One that says 'now' or
// 'today' may not: the literal would be read once and for all.
bool IsSqlFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  bool sql = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == SQLlanguageId;
  if (sql && function >= FirstNormalObjectId) {
    bool is_null;
    Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
    if (!is_null && IsClockText(TextDatumGetCString(source), DATEOID)) sql = false;
  }
  ReleaseSysCache(row);
  return sql;
}

// Finds a call that simplifying would replace by a value although its function may hide anything: declared IMMUTABLE,
// of a language that can be, and without a column.
bool FoldableWalker(Node *node, void *) {
  if (node == nullptr || IsA(node, Query)) return false;
  if (IsA(node, FuncExpr)) {
    Oid function = reinterpret_cast<FuncExpr *>(node)->funcid;
    if (function >= FirstNormalObjectId && func_volatile(function) == PROVOLATILE_IMMUTABLE && !IsFixed(function) &&
        !contain_var_clause(node))
      return true;
  }
  return compat::WalkExpression(node, FoldableWalker, nullptr);
}

struct InlineContext {
  PlannerInfo *root;
  int depth;
};

Node *InlineMutator(Node *node, void *argument);

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

}  // namespace

bool FoldsOpaqueCall(Node *expression) { return FoldableWalker(expression, nullptr); }

Query *InlineFunctions(Query *query, List **dependencies) {
  PlannerGlobal *global = makeNode(PlannerGlobal);
  PlannerInfo *root = makeNode(PlannerInfo);
  root->glob = global;
  root->parse = query;
  root->query_level = 1;
  root->planner_cxt = CurrentMemoryContext;
  InlineContext context = {root, 0};
  Query *result = InlineInQuery(static_cast<Query *>(copyObjectImpl(query)), &context);
  *dependencies = list_concat(*dependencies, global->invalItems);
  return result;
}

}  // namespace aggcache
