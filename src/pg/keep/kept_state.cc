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
  state->query = query;
  state->program = MakeProgram(definition, query, &state->why);
  if (state->program == nullptr) return state;
  FindKeptParts(query, &state->groups, &state->aggregates);
  if (state->groups == NIL && state->aggregates == NIL) {
    state->program = nullptr;
    state->why = "it shows neither groups nor aggregates";
    return state;
  }
  state->relation = linitial_node(RangeTblEntry, query->rtable)->relid;
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
