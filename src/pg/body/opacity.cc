// One walk, which ends at the first thing that cannot be seen through and goes on at functions that others have made:
// these are listed. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/opacity.h"

#include "pg/body/printed.h"
#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"
#include "pg/facts/text_search.h"

#include <algorithm>

namespace aggcache {

namespace {

struct OpacityContext {
  Opacity opacity;
  const List *families;     // of the relations' indexes
  const QueryLevel *level;  // of the node at hand
  Printed text;             // of the arguments of the node at hand, as a function may print them
  Printed json;
  PrintedRows rows;  // among them
};

// What the text of something that is printed, or of something that is read from a text, depends on; false if that is
// not known.
bool CanPrint(Printed printed, OpacityContext *context) {
  if (printed == Printed::kUnknown) return false;
  context->opacity.reads_settings = true;
  context->opacity.reads_names |= printed == Printed::kByNames;
  return true;
}

// Whether one of PostgreSQL's own functions prints what it gets as JSON.
bool MakesJson(Oid function) {
  if (!IsBuiltIn(function)) return false;
  const char *name = get_func_name(function);
  return strstr(name, "json") != nullptr;
}

void AddPrintedRows(const PrintedRows &rows, Opacity *opacity) {
  opacity->shows_columns |= rows.any;
  opacity->named_rows = list_concat_unique_oid(opacity->named_rows, rows.relations);
}

// Decides on one function; true stops the walk.
bool JudgeFunction(Oid function, Reads reads, OpacityContext *context) {
  if (reads == Reads::kArguments) return false;
  if (IsClockFunction(function)) {
    context->opacity.reads_clock = true;
    return false;
  }
  if (reads == Reads::kSettings) {
    const bool json = MakesJson(function);
    if (CanPrint(json ? context->json : context->text, context)) {
      if (json) AddPrintedRows(context->rows, &context->opacity);
      return false;
    }
  }
  if (IsSearchByDefault(function)) {
    context->opacity.reads_settings = context->opacity.reads_names = true;
    return false;
  }
  if (function >= FirstNormalObjectId) {
    context->opacity.calls = list_append_unique_oid(context->opacity.calls, function);
    return false;
  }
  context->opacity.obstacle =
      psprintf("the body calls %s on rows, and what that function reads cannot be seen", format_procedure(function));
  return true;
}

bool VisitFunction(Oid function, void *context) {
  return JudgeFunction(function, WhatReads(function), static_cast<OpacityContext *>(context));
}

bool VisitSupport(Oid function, void *context) {
  return JudgeFunction(function, WhatSupportReads(function), static_cast<OpacityContext *>(context));
}

// One half of a conversion through text, by a type's input or output function. `printed`: what a built-in one reads.
bool CanConvert(Oid function, Printed printed, OpacityContext *context) {
  const Reads reads = WhatReads(function);
  if (reads == Reads::kArguments) return true;
  if (IsBuiltIn(function)) return CanPrint(printed, context);
  context->opacity.calls = list_append_unique_oid(context->opacity.calls, function);
  return true;
}

bool CanConvertThroughText(CoerceViaIO *conversion, OpacityContext *context) {
  const Oid from = exprType(reinterpret_cast<Node *>(conversion->arg));
  const Oid to = conversion->resulttype;
  Oid output, input, parameter;
  bool is_varlena;
  getTypeOutputInfo(from, &output, &is_varlena);
  getTypeInputInfo(to, &input, &parameter);
  if (CanConvert(output, TextOf(from), context) && CanConvert(input, InputOf(to), context)) return true;
  context->opacity.obstacle =
      psprintf("the body converts %s to %s through text on rows", format_type_be(from), format_type_be(to));
  return false;
}

// Notes how the arguments of the node would be printed, if it has any.
void LookAtArguments(Node *node, OpacityContext *context) {
  context->text = context->json = Printed::kBySettings;
  context->rows = {false, NIL};
  List *arguments = NIL;
  switch (nodeTag(node)) {
    case T_FuncExpr: arguments = reinterpret_cast<FuncExpr *>(node)->args; break;
    case T_OpExpr: arguments = reinterpret_cast<OpExpr *>(node)->args; break;
    case T_DistinctExpr: arguments = reinterpret_cast<DistinctExpr *>(node)->args; break;
    case T_NullIfExpr: arguments = reinterpret_cast<NullIfExpr *>(node)->args; break;
    case T_ScalarArrayOpExpr: arguments = reinterpret_cast<ScalarArrayOpExpr *>(node)->args; break;
    case T_Aggref: arguments = reinterpret_cast<Aggref *>(node)->args; break;
    case T_WindowFunc: arguments = reinterpret_cast<WindowFunc *>(node)->args; break;
    default: return;
  }
  ListCell *cell;
  foreach (cell, arguments) {
    Node *argument = static_cast<Node *>(lfirst(cell));
    if (IsA(argument, TargetEntry))
      argument = reinterpret_cast<Node *>(reinterpret_cast<TargetEntry *>(argument)->expr);
    context->text = std::max(context->text, TextOf(exprType(argument)));
    context->json = std::max(context->json, JsonOf(argument, context->level, &context->rows));
  }
}

// Comparisons and the like make no text of their arguments, whatever type these are of.
bool CallsUnnamed(Node *node, OpacityContext *context) {
  context->text = context->json = Printed::kBySettings;
  ListCell *cell;
  foreach (cell, FunctionsBehind(node, context->families))
    if (VisitSupport(lfirst_oid(cell), context)) return true;
  return false;
}

bool OpacityWalker(Node *node, void *argument);

// What a column is that is computed when it is read. Planning puts the expression in its place.
bool VisitVirtualColumns(Oid relation_id, OpacityContext *context) {
  if (!compat::kHasVirtualColumns) return false;
  bool stop = false;
  Relation relation = table_open(relation_id, AccessShareLock);
  for (int i = 1; i <= RelationGetNumberOfAttributes(relation) && !stop; i++) {
    Node *expression = compat::VirtualColumn(relation, i);
    stop = expression && OpacityWalker(expression, context);
  }
  table_close(relation, NoLock);
  return stop;
}

// The walk; true stops it, at an obstacle.
bool OpacityWalker(Node *node, void *argument) {
  auto *context = static_cast<OpacityContext *>(argument);
  if (node == nullptr) return false;
  check_stack_depth();
  if (IsA(node, Query)) {
    Query *query = reinterpret_cast<Query *>(node);
    ListCell *cell;
    foreach (cell, query->rtable) {
      RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
      if (entry->tablesample != nullptr) {
        context->opacity.obstacle = "the body samples a table";
        return true;
      }
      if (entry->rtekind == RTE_RELATION && VisitVirtualColumns(entry->relid, context)) return true;
      if (entry->rtekind == RTE_TABLEFUNC) {
        context->opacity.obstacle = "the body uses XMLTABLE or JSON_TABLE, whose conversions cannot be seen";
        return true;
      }
    }
    if (CallsUnnamed(node, context)) return true;
    const QueryLevel level = {query, context->level};
    context->level = &level;
    const bool stop = compat::WalkQuery(query, OpacityWalker, context);
    context->level = level.outer;
    return stop;
  }
  LookAtArguments(node, context);
  if (compat::MakesXmlOrJson(nodeTag(node))) {
    context->opacity.obstacle = "the body makes XML or JSON by SQL syntax, whose conversions cannot be seen";
    return true;
  }
  switch (nodeTag(node)) {
    case T_Var: {
      AttrNumber column = reinterpret_cast<Var *>(node)->varattno;
      if (column > 0 && HoldsRows(reinterpret_cast<Var *>(node)->vartype)) {
        context->opacity.obstacle = psprintf("the body reads a column of type %s, which holds rows",
                                             format_type_be(reinterpret_cast<Var *>(node)->vartype));
        return true;
      }
      if (column >= 0 || column == TableOidAttributeNumber) return false;
      // where a row lies, and in which transaction it was written, may change while the row does not
      context->opacity.obstacle = "the body reads a system column";
      return true;
    }
    case T_CoerceViaIO:
      if (!CanConvertThroughText(reinterpret_cast<CoerceViaIO *>(node), context)) return true;
      return compat::WalkExpression(node, OpacityWalker, context);
    case T_CoerceToDomain:
      context->opacity.obstacle = psprintf("the body checks the constraints of domain %s",
                                           format_type_be(reinterpret_cast<CoerceToDomain *>(node)->resulttype));
      return true;
    case T_SQLValueFunction:
      if (IsClockValue(reinterpret_cast<SQLValueFunction *>(node)->op)) {
        context->opacity.reads_clock = context->opacity.reads_settings = true;  // TimeZone
        return false;
      }
      // by itself a hidden parameter, but part of an expression on the arguments of a function that is called on rows
      context->opacity.obstacle = "the body reads the clock or the role in an expression on arguments";
      return true;
    default: break;
  }
  if (IsA(node, FuncExpr) && IsSearchByConstant(reinterpret_cast<FuncExpr *>(node)))
    context->opacity.reads_names = true;
  else if (check_functions_in_node(node, VisitFunction, context))
    return true;
  if (OidIsValid(AggregateOf(node)) && VisitAggregateSupport(AggregateOf(node), VisitSupport, context)) return true;
  if (CallsUnnamed(node, context)) return true;
  return compat::WalkExpression(node, OpacityWalker, context);
}

}  // namespace

Opacity FindOpacity(Query *query, const List *families) {
  OpacityContext context = {{}, families, nullptr, Printed::kBySettings, Printed::kBySettings, {false, NIL}};
  OpacityWalker(reinterpret_cast<Node *>(query), &context);
  return context.opacity;
}

Opacity FindExpressionOpacity(Node *expression) {
  OpacityContext context = {{}, NIL, nullptr, Printed::kBySettings, Printed::kBySettings, {false, NIL}};
  OpacityWalker(expression, &context);
  return context.opacity;
}

}  // namespace aggcache
