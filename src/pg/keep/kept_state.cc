// Hangs on the definition; no state of its own.

#include "pg/base/server.h"

#include "pg/keep/kept_state.h"

namespace aggcache {

namespace {

bool ParameterWalker(Node *node, void *argument) {
  auto *parameters = static_cast<List **>(argument);
  if (node == nullptr) return false;
  if (IsA(node, Param)) {
    *parameters = list_append_unique(*parameters, node);
    return false;
  }
  return compat::WalkExpression(node, ParameterWalker, argument);
}

List *ParametersOf(const Program *program) {
  List *parameters = NIL;
  ParameterWalker(reinterpret_cast<Node *>(program->conditions), &parameters);
  ParameterWalker(reinterpret_cast<Node *>(program->groups), &parameters);
  for (int i = 0; i < program->aggregate_count; i++)
    ParameterWalker(reinterpret_cast<Node *>(const_cast<Aggref *>(program->aggregates[i].call)), &parameters);
  return parameters;
}

Bitmapset *ColumnsReadBy(const Program *program) {
  Bitmapset *offset = nullptr;
  pull_varattnos(reinterpret_cast<Node *>(program->conditions), 1, &offset);
  pull_varattnos(reinterpret_cast<Node *>(program->groups), 1, &offset);
  for (int i = 0; i < program->aggregate_count; i++)
    pull_varattnos(reinterpret_cast<Node *>(const_cast<Aggref *>(program->aggregates[i].call)), 1, &offset);
  Bitmapset *columns = nullptr;
  int member = -1;
  while ((member = bms_next_member(offset, member)) >= 0)
    columns = bms_add_member(columns, member + FirstLowInvalidHeapAttributeNumber);
  return columns;
}

TupleDesc ColumnsOf(const List *groups, const List *aggregates) {
  TupleDesc columns = CreateTemplateTupleDesc(list_length(groups) + list_length(aggregates));
  AttrNumber at = 0;
  ListCell *cell;
  for (const List *part : {groups, aggregates})
    foreach (cell, part) {
      Node *expression = static_cast<Node *>(lfirst(cell));
      at++;
      TupleDescInitEntry(columns, at, psprintf("c%d", at), exprType(expression), exprTypmod(expression), 0);
      TupleDescInitEntryCollation(columns, at, exprCollation(expression));
    }
  return columns;
}

// ---- Through views -------------------------------------------------------------------------------------------------

// What a query reads, if it is one thing: its entry and the number of that. NULL: it is something else.
RangeTblEntry *OnlySource(const Query *query, int *number) {
  if (query->setOperations || query->cteList || query->hasSubLinks || query->jointree == nullptr ||
      list_length(query->jointree->fromlist) != 1)
    return nullptr;
  Node *from = static_cast<Node *>(linitial(query->jointree->fromlist));
  if (!IsA(from, RangeTblRef)) return nullptr;
  *number = reinterpret_cast<RangeTblRef *>(from)->rtindex;
  return rt_fetch(*number, query->rtable);
}

// Whether a view, or a sub-select, is a choice of rows and expressions of their columns.
bool IsPlainSelection(const Query *query) {
  return query->commandType == CMD_SELECT && !query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs &&
         query->groupClause == NIL && query->groupingSets == NIL && query->havingQual == nullptr &&
         query->distinctClause == NIL && query->limitCount == nullptr && query->limitOffset == nullptr &&
         query->rowMarks == NIL;
}

// Adds the conditions of a query's WHERE, their columns those of relation 1.
void AddConditions(const Query *query, int number, List **conditions) {
  Node *condition = static_cast<Node *>(copyObjectImpl(query->jointree->quals));
  ChangeVarNodes(condition, number, 1, 0);
  *conditions = list_concat(*conditions, make_ands_implicit(reinterpret_cast<Expr *>(condition)));
}

List *Through(const List *expressions, RangeTblEntry *view, const List *target_list) {
  return castNode(List, compat::ReplaceColumns(reinterpret_cast<Node *>(const_cast<List *>(expressions)), 1, view,
                                               const_cast<List *>(target_list)));
}

// The parts of a query, seen through the views that it reads; groups and aggregates keep their order.
KeptParts FindParts(const Query *query, const List *groups, const List *aggregates) {
  KeptParts parts = {InvalidOid, NIL, static_cast<List *>(copyObjectImpl(groups)),
                     static_cast<List *>(copyObjectImpl(aggregates))};
  int number;
  RangeTblEntry *source = OnlySource(query, &number);
  if (source == nullptr || number != 1) return parts;
  AddConditions(query, 1, &parts.conditions);
  while (source->rtekind == RTE_SUBQUERY && source->subquery) {
    const Query *view = source->subquery;
    if (!IsPlainSelection(view)) return parts;
    RangeTblEntry *inner = OnlySource(view, &number);
    if (inner == nullptr) return parts;
    auto *columns = static_cast<List *>(copyObjectImpl(view->targetList));
    ChangeVarNodes(reinterpret_cast<Node *>(columns), number, 1, 0);
    parts.conditions = Through(parts.conditions, source, columns);
    parts.groups = Through(parts.groups, source, columns);
    parts.aggregates = Through(parts.aggregates, source, columns);
    AddConditions(view, number, &parts.conditions);
    source = inner;
  }
  const bool plain =
      source->relkind == RELKIND_RELATION || (source->relkind == RELKIND_PARTITIONED_TABLE && source->inh);
  if (source->rtekind == RTE_RELATION && plain && source->tablesample == nullptr) parts.relation = source->relid;
  return parts;
}

// DISTINCT of rows that are not grouped is the same as GROUP BY all that is shown.
void GroupDistinct(Query *query) {
  if (query->distinctClause == NIL || query->hasDistinctOn || query->hasAggs || query->groupClause ||
      query->groupingSets || query->hasWindowFuncs || query->hasTargetSRFs || query->havingQual)
    return;
  query->groupClause = query->distinctClause;
  query->distinctClause = NIL;
}

// What HAVING asks of groups alone, planning asks of rows, so that it tells which of them matter. So do programs.
void MoveHaving(Query *query) {
  if (query->groupClause == NIL || query->groupingSets || query->havingQual == nullptr) return;
  List *rows = make_ands_implicit(reinterpret_cast<Expr *>(query->jointree->quals)), *groups = NIL;
  ListCell *cell;
  foreach (cell, make_ands_implicit(reinterpret_cast<Expr *>(query->havingQual))) {
    Node *clause = static_cast<Node *>(lfirst(cell));
    if (contain_agg_clause(clause))
      groups = lappend(groups, clause);
    else
      rows = lappend(rows, clause);
  }
  query->jointree->quals = rows ? reinterpret_cast<Node *>(make_ands_explicit(rows)) : nullptr;
  query->havingQual = groups ? reinterpret_cast<Node *>(make_ands_explicit(groups)) : nullptr;
}

KeptState *Make(const Definition *definition) {
  auto *state = static_cast<KeptState *>(palloc0(sizeof(KeptState)));
  // An obstacle to caching it says nothing here: the first function of a table is looked at before its triggers are put
  // on. No call comes so far then.
  if (definition->query == nullptr) {
    state->why = "its body is not a single SELECT";
    return state;
  }
  auto *query = static_cast<Query *>(copyObjectImpl(definition->query));
  compat::FlattenGroups(query);
  GroupDistinct(query);
  MoveHaving(query);
  state->query = query;
  FindKeptParts(query, &state->groups, &state->aggregates);
  const KeptParts parts = FindParts(query, state->groups, state->aggregates);
  state->program = MakeProgram(definition, query, parts, &state->why);
  if (state->program == nullptr) return state;
  if (state->groups == NIL && state->aggregates == NIL) {
    state->program = nullptr;
    state->why = "it shows neither groups nor aggregates";
    return state;
  }
  state->relation = parts.relation;
  state->reads = ColumnsReadBy(state->program);
  state->parameters = ParametersOf(state->program);
  state->columns = ColumnsOf(state->groups, state->aggregates);
  return state;
}

}  // namespace

const KeptState *KeptStateOf(const Definition *definition) {
  if (definition->kept == nullptr) {
    MemoryContext outer = MemoryContextSwitchTo(definition->context);
    definition->kept = Make(definition);
    MemoryContextSwitchTo(outer);
  }
  return definition->kept;
}

}  // namespace aggcache
