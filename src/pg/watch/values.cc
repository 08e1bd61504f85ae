// Runs small queries that are put together from parts of the planned one. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/values.h"

#include "pg/facts/equality.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

// ---- What may be run by itself -----------------------------------------------------------------------------------

struct LevelCheck {
  int depth;   // of the query that is looked at
  int tables;  // 1: in a WITH clause, whose tables may be named one level up
};

// Finds what refers to something outside of the query, or functions that are not PostgreSQL's own: they would run once
// more than in the plain query.
bool UnfitQueryWalker(Node *node, void *argument) {
  auto *check = static_cast<LevelCheck *>(argument);
  if (node == nullptr) return false;
  check_stack_depth();
  switch (nodeTag(node)) {
    case T_Var: return static_cast<int>(reinterpret_cast<Var *>(node)->varlevelsup) > check->depth - check->tables;
    case T_Aggref:
      if (static_cast<int>(reinterpret_cast<Aggref *>(node)->agglevelsup) > check->depth - check->tables) return true;
      break;
    case T_Param: return reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN;
    case T_PlaceHolderVar: return true;
    case T_RangeTblEntry: {
      auto *entry = reinterpret_cast<RangeTblEntry *>(node);
      return entry->rtekind == RTE_CTE && static_cast<int>(entry->ctelevelsup) > check->depth;
    }
    case T_Query: {
      auto *query = reinterpret_cast<Query *>(node);
      bool unfit = false;
      check->depth++;
      ListCell *cell;
      foreach (cell, query->rtable) unfit |= UnfitQueryWalker(static_cast<Node *>(lfirst(cell)), argument);
      unfit |= compat::WalkQuery(query, UnfitQueryWalker, argument);
      check->depth--;
      return unfit;
    }
    default: break;
  }
  if (check_functions_in_node(
          node, [](Oid function, void *) { return function >= FirstNormalObjectId; }, nullptr))
    return true;
  return compat::WalkExpression(node, UnfitQueryWalker, argument);
}

bool IsFitQuery(Node *query) {
  LevelCheck check = {-1, 0};
  return !UnfitQueryWalker(query, &check);
}

// Finds what a clause of one relation may not have to be evaluated apart from its query.
bool UnfitClauseWalker(Node *node, void *) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_Param: return reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN;
    case T_SubPlan:
    case T_AlternativeSubPlan:
    case T_PlaceHolderVar:
    case T_SubLink: return true;
    case T_Var: return reinterpret_cast<Var *>(node)->varlevelsup != 0 || reinterpret_cast<Var *>(node)->varattno < 0;
    default: return compat::WalkExpression(node, UnfitClauseWalker, nullptr);
  }
}

bool IsFitClause(Node *clause) { return !UnfitClauseWalker(clause, nullptr) && !HasOthersFunctions(clause); }

Node *MakeFirstMutator(Node *node, void *) {
  if (node == nullptr) return nullptr;
  if (!IsA(node, Var)) return compat::MutateExpression(node, MakeFirstMutator, nullptr);
  auto *column = static_cast<Var *>(copyObjectImpl(node));
  compat::MakeFirst(column);
  return reinterpret_cast<Node *>(column);
}

// ---- Putting the query together ----------------------------------------------------------------------------------

// The level whose WITH clause the entry names, with that clause; NULL if it does not stand alone.
List *TablesOf(PlannerInfo *root, const RangeTblEntry *entry) {
  for (Index up = entry->ctelevelsup; up > 0 && root; up--) root = root->parent_root;
  if (root == nullptr) return NIL;
  ListCell *cell;
  foreach (cell, root->parse->cteList) {
    LevelCheck check = {0, 1};
    if (UnfitQueryWalker(lfirst_node(CommonTableExpr, cell)->ctequery, &check)) return NIL;
  }
  return static_cast<List *>(copyObjectImpl(root->parse->cteList));
}

// SELECT expression FROM the source WHERE clauses; or NULL.
Query *MakeQuery(const Source &source, List *clauses) {
  RelOptInfo *rel = source.root->simple_rel_array[source.relid];
  RangeTblEntry *entry = source.root->simple_rte_array[source.relid];
  if (rel == nullptr || rel->reloptkind != RELOPT_BASEREL || entry->lateral || !IsFitClause(source.expression))
    return nullptr;
  auto *query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->querySource = QSRC_ORIGINAL;
  query->canSetTag = true;
  switch (entry->rtekind) {
    case RTE_RELATION: break;
    case RTE_SUBQUERY:
      if (entry->subquery == nullptr || !IsFitQuery(reinterpret_cast<Node *>(entry->subquery))) return nullptr;
      break;
    case RTE_FUNCTION: {
      LevelCheck check = {-1, 0};
      ListCell *cell;
      foreach (cell, entry->functions)
        if (contain_var_clause(lfirst_node(RangeTblFunction, cell)->funcexpr) ||
            UnfitQueryWalker(lfirst_node(RangeTblFunction, cell)->funcexpr, &check))
          return nullptr;
      break;
    }
    case RTE_VALUES: {
      LevelCheck check = {-1, 0};
      if (contain_var_clause(reinterpret_cast<Node *>(entry->values_lists)) ||
          UnfitQueryWalker(reinterpret_cast<Node *>(entry->values_lists), &check))
        return nullptr;
      break;
    }
    case RTE_CTE:
      query->cteList = TablesOf(source.root, entry);
      if (query->cteList == NIL) return nullptr;
      query->hasRecursive = true;
      break;
    default: return nullptr;
  }
  RangeTblEntry *copy = compat::CopyEntry(query, source.root->parse, entry);
  copy->securityQuals = NIL;  // they are among the clauses
  copy->inFromCl = true;
  if (copy->rtekind == RTE_CTE) {
    copy->ctelevelsup = 0;
    copy->self_reference = false;
  }
  List *conditions = NIL;
  ListCell *cell;
  foreach (cell, clauses)
    if (IsFitClause(static_cast<Node *>(lfirst(cell))))
      conditions = lappend(conditions, MakeFirstMutator(static_cast<Node *>(lfirst(cell)), nullptr));
  auto *reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  Node *condition = conditions == NIL ? nullptr : reinterpret_cast<Node *>(make_ands_explicit(conditions));
  query->jointree = makeFromExpr(list_make1(reference), condition);
  Node *expression = MakeFirstMutator(source.expression, nullptr);
  char *name = pstrdup("value");
  query->targetList = list_make1(makeTargetEntry(reinterpret_cast<Expr *>(expression), 1, name, false));
  return query;
}

// More rows than this are not read to learn less.
constexpr int kMostRows = 10000;

// ---- Running it --------------------------------------------------------------------------------------------------

// Takes rows of one column and collects what they hold.
struct Receiver {
  DestReceiver base;
  Values *values;
  bool bounds;
  int rows;
  TypeCacheEntry *type;
  MemoryContext context;
};

bool IsKnown(const Values &values, Datum value) {
  for (int i = 0; i < values.count; i++)
    if (datumIsEqual(values.items[i], value, values.by_value, values.length)) return true;
  return false;
}

void KeepBounds(Receiver *receiver, Datum value) {
  Values *values = receiver->values;
  if (!OidIsValid(receiver->type->cmp_proc_finfo.fn_oid)) return;
  auto compare = [&](Datum other) {
    return DatumGetInt32(
        FunctionCall2Coll(&receiver->type->cmp_proc_finfo, receiver->type->typcollation, value, other));
  };
  const bool less = !values->has_bounds || compare(values->least) < 0;
  const bool greater = !values->has_bounds || compare(values->greatest) > 0;
  if (less) values->least = datumCopy(value, values->by_value, values->length);
  if (greater) values->greatest = datumCopy(value, values->by_value, values->length);
  values->has_bounds = true;
}

bool ReceiveValue(TupleTableSlot *slot, DestReceiver *self) {
  auto *receiver = reinterpret_cast<Receiver *>(self);
  Values *values = receiver->values;
  bool is_null;
  Datum value = slot_getattr(slot, 1, &is_null);
  if (++receiver->rows > kMostRows) {
    values->too_many = true;
    values->has_bounds = false;
    return false;
  }
  if (is_null) return true;
  MemoryContext outer = MemoryContextSwitchTo(receiver->context);
  if (values->length == -1) value = PointerGetDatum(PG_DETOAST_DATUM(value));
  if (receiver->bounds) KeepBounds(receiver, value);
  if (!values->too_many && !IsKnown(*values, value)) {
    values->too_many = values->count == kMostJoinValues;
    if (!values->too_many) values->items[values->count++] = datumCopy(value, values->by_value, values->length);
  }
  MemoryContextSwitchTo(outer);
  return !values->too_many || receiver->bounds;
}

void BeginReceiving(DestReceiver *, int, TupleDesc) {}
void EndReceiving(DestReceiver *) {}

// Runs the plan, whose only column goes to the receiver. Who watches what statements read is not told: this is no
// statement of the user's, and the body reads the same.
void RunFor(const Planned &planned, PlannedStmt *plan, DestReceiver *receiver) {
  ExecutorCheckPerms_hook_type watcher = ExecutorCheckPerms_hook;
  QueryDesc *query = CreateQueryDesc(plan, planned.definition->source, GetActiveSnapshot(), nullptr, receiver,
                                     planned.parameters, nullptr, 0);
  PG_TRY();
  {
    ExecutorCheckPerms_hook = nullptr;
    standard_ExecutorStart(query, 0);
  }
  PG_FINALLY();
  { ExecutorCheckPerms_hook = watcher; }
  PG_END_TRY();
  compat::StandardExecutorRun(query);
  standard_ExecutorFinish(query);
  standard_ExecutorEnd(query);
  FreeQueryDesc(query);
}

Receiver MakeReceiver(Values *values, Oid type, bool bounds) {
  values->type = type;
  get_typlenbyval(type, &values->length, &values->by_value);
  values->count = 0;
  values->too_many = values->has_bounds = false;
  Receiver receiver;
  memset(&receiver, 0, sizeof(receiver));
  receiver.base.receiveSlot = ReceiveValue;
  receiver.base.rStartup = BeginReceiving;
  receiver.base.rShutdown = receiver.base.rDestroy = EndReceiving;
  receiver.base.mydest = DestNone;
  receiver.values = values;
  receiver.bounds = bounds;
  receiver.type = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
  receiver.context = CurrentMemoryContext;
  return receiver;
}

// They would run once more than in the plain query.
bool CallsOthersFunctions(const Definition *definition) {
  bool others = definition->calls_functions;
  ListCell *cell;
  foreach (cell, definition->functions) others |= !IsBuiltIn(lfirst_oid(cell));
  return others;
}

// The sub-select that sets the parameter, on whatever level it is, if it depends on nothing that changes.
SubPlan *FindInitPlan(const Planned &planned, PlannerInfo *root, const Param *parameter) {
  for (; root; root = root->parent_root) {
    ListCell *cell;
    foreach (cell, root->init_plans) {
      auto *found = lfirst_node(SubPlan, cell);
      if ((found->subLinkType != EXPR_SUBLINK && found->subLinkType != ARRAY_SUBLINK) || found->setParam == NIL ||
          linitial_int(found->setParam) != parameter->paramid || list_length(found->setParam) != 1 ||
          found->parParam != NIL)
        continue;
      auto *plan = static_cast<Plan *>(list_nth(planned.plan->subplans, found->plan_id - 1));
      return bms_is_empty(plan->extParam) ? found : nullptr;
    }
  }
  return nullptr;
}

}  // namespace

bool ReadValues(const Planned &planned, const Source &source, List *clauses, bool bounds, Values *values) {
  Query *query = MakeQuery(source, clauses);
  if (query == nullptr) return false;
  PlannedStmt *plan = pg_plan_query(query, planned.definition->source, 0, planned.parameters);
  plan->jitFlags = 0;
  Receiver receiver = MakeReceiver(values, exprType(source.expression), bounds);
  RunFor(planned, plan, &receiver.base);
  return true;
}

Const *ReadInitPlan(const Planned &planned, PlannerInfo *root, Param *parameter) {
  SubPlan *found = FindInitPlan(planned, root, parameter);
  if (found == nullptr || CallsOthersFunctions(planned.definition)) return nullptr;
  auto *result = makeNode(Result);
  result->plan.initPlan = list_make1(found);
  char *name = pstrdup("value");
  auto *column = static_cast<Param *>(copyObjectImpl(parameter));
  result->plan.targetlist = list_make1(makeTargetEntry(reinterpret_cast<Expr *>(column), 1, name, false));
  auto *plan = makeNode(PlannedStmt);
  *plan = *planned.plan;
  plan->planTree = &result->plan;
  plan->parallelModeNeeded = false;
  plan->jitFlags = 0;
  plan = static_cast<PlannedStmt *>(copyObjectImpl(plan));
  auto *values = static_cast<Values *>(palloc(sizeof(Values)));
  Receiver receiver = MakeReceiver(values, parameter->paramtype, false);
  RunFor(planned, plan, &receiver.base);
  const bool is_null = values->count == 0;
  return makeConst(parameter->paramtype, parameter->paramtypmod, parameter->paramcollid, values->length,
                   is_null ? Datum{0} : values->items[0], is_null, values->by_value);
}

}  // namespace aggcache
