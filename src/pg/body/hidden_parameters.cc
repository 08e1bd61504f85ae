// Walkers over the tree: what can be taken out of it, what shows the clock, and what evaluating a part of it can run.
// Keeps no state.

#include "pg/base/server.h"

#include "pg/body/hidden_parameters.h"

#include "pg/base/extension.h"
#include "pg/body/opacity.h"
#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

bool IsNotFixed(Oid function, void *) { return !IsFixed(function); }

// Whether the node by itself, without its children, is not fixed.
bool HasMutableFunction(Node *node) {
  if (VisitCalledFunctions(node, NIL, IsNotFixed, nullptr)) return true;
  if (IsA(node, SubscriptingRef) && !IsFixed(SubscriptingHandler(node))) return true;
  switch (nodeTag(node)) {
    case T_SQLValueFunction:
    case T_XmlExpr: return true;
    default: return false;
  }
}

// Whether a function that may read anything is among those of which the cached function states what they read.
bool IsStated(Oid function, void *) {
  return function >= FirstNormalObjectId && WhatReads(function) == Reads::kAnything && !IsCachedFunction(function);
}

struct HiddenContext {
  bool stated;      // functions into which nobody looks are part of the body, whatever they are called with
  bool is_mutable;  // found something that is not fixed
  bool bound;       // found something that ties the expression to its place in the query
};

// Finds out whether an expression is fixed, and whether it is tied to its place; stops at what ties it.
bool HiddenWalker(Node *node, void *argument) {
  auto *context = static_cast<HiddenContext *>(argument);
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_Var:
    case T_Aggref:
    case T_GroupingFunc:
    case T_WindowFunc:
    case T_SubLink:
    case T_Query:
    case T_CaseTestExpr:
    case T_CoerceToDomainValue:
    case T_SetToDefault:
    case T_NextValueExpr:
    case T_CurrentOfExpr:
    case T_PlaceHolderVar: context->bound = true; return true;
    case T_Param:
      if (reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN) {
        context->bound = true;
        return true;
      }
      return false;
    case T_FuncExpr:
      if (reinterpret_cast<FuncExpr *>(node)->funcretset) context->bound = true;
      break;
    case T_OpExpr:
      if (reinterpret_cast<OpExpr *>(node)->opretset) context->bound = true;
      break;
    default: break;
  }
  if (context->stated && check_functions_in_node(node, IsStated, nullptr)) context->bound = true;
  if (context->bound) return true;
  if (HasMutableFunction(node)) context->is_mutable = true;
  return compat::WalkExpression(node, HiddenWalker, context);
}

// Whether a node of this kind can become a hidden parameter.
bool IsExpression(Node *node) {
  switch (nodeTag(node)) {
    case T_FuncExpr:
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
    case T_ScalarArrayOpExpr:
    case T_BoolExpr:
    case T_CaseExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_RowCompareExpr:
    case T_SQLValueFunction:
    case T_XmlExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_CollateExpr:
    case T_ArrayExpr:
    case T_SubscriptingRef: return true;
    default: return false;
  }
}

// ---- The clock --------------------------------------------------------------------------------------------------

// Whether the node itself tells the moment.
bool IsClockNode(Node *node) {
  if (IsA(node, SQLValueFunction)) return IsClockValue(reinterpret_cast<SQLValueFunction *>(node)->op);
  return IsA(node, FuncExpr) && IsClockFunction(reinterpret_cast<FuncExpr *>(node)->funcid);
}

// Whether the node makes of a moment what repeats: a day, a yes or no, or what is rounded to a second or more.
bool RoundsClock(Node *node) {
  if (exprType(node) == DATEOID || exprType(node) == BOOLOID) return true;
  if (!IsA(node, FuncExpr)) return false;
  FuncExpr *call = reinterpret_cast<FuncExpr *>(node);
  if (call->funcid >= FirstNormalObjectId) return false;
  char *name = get_func_name(call->funcid);
  if (name == nullptr || strcmp(name, "date_trunc") != 0) return false;
  Node *unit = static_cast<Node *>(linitial(call->args));
  if (!IsA(unit, Const) || reinterpret_cast<Const *>(unit)->constisnull) return false;
  char *unit_name = TextDatumGetCString(reinterpret_cast<Const *>(unit)->constvalue);
  return pg_strncasecmp(unit_name, "milli", 5) != 0 && pg_strncasecmp(unit_name, "micro", 5) != 0 &&
         pg_strncasecmp(unit_name, "ms", 2) != 0 && pg_strncasecmp(unit_name, "us", 2) != 0 &&
         pg_strncasecmp(unit_name, "msec", 4) != 0 && pg_strncasecmp(unit_name, "usec", 4) != 0;
}

// Finds a moment that nothing rounds.
bool ClockWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsClockNode(node)) return true;
  if (IsExpression(node) && RoundsClock(node)) return false;
  return compat::WalkExpression(node, ClockWalker, nullptr);
}

}  // namespace

bool ShowsClock(Node *expression) { return ClockWalker(expression, nullptr); }

namespace {

// ---- Taking them out --------------------------------------------------------------------------------------------

struct ExtractContext {
  int next;
  bool stated;
  List **hidden;
};

// Whether the expression has to be taken out, and can be.
bool IsHidden(Node *node, bool stated) {
  HiddenContext found = {stated, false, false};
  HiddenWalker(node, &found);
  return found.is_mutable && !found.bound;
}

// Lists the expression, if it is not yet, and returns the parameter that stands for it.
Node *TakeOut(Node *node, const ExtractContext *context) {
  int number = 0;
  ListCell *cell;
  foreach (cell, *context->hidden) {
    number++;
    if (equal(lfirst(cell), node)) break;
  }
  if (cell == nullptr) {
    *context->hidden = lappend(*context->hidden, copyObjectImpl(node));
    number = list_length(*context->hidden);
  }
  Param *parameter = makeNode(Param);
  parameter->paramkind = PARAM_EXTERN;
  parameter->paramid = context->next + number - 1;
  parameter->paramtype = exprType(node);
  parameter->paramtypmod = exprTypmod(node);
  parameter->paramcollid = exprCollation(node);
  parameter->location = -1;
  return reinterpret_cast<Node *>(parameter);
}

// Takes out of an expression that shows the clock what does not.
Node *SplitMutator(Node *node, void *argument) {
  auto *context = static_cast<ExtractContext *>(argument);
  if (node == nullptr) return nullptr;
  if (IsExpression(node) ? IsHidden(node, context->stated) : IsA(node, CoerceToDomain))
    if (!ShowsClock(node)) return TakeOut(node, context);
  return compat::MutateExpression(node, SplitMutator, argument);
}

// Puts parameters in the places of hidden parameters.
Node *ExtractMutator(Node *node, void *argument) {
  auto *context = static_cast<ExtractContext *>(argument);
  if (node == nullptr) return nullptr;
  check_stack_depth();
  if (IsA(node, Query))
    return reinterpret_cast<Node *>(compat::MutateQuery(reinterpret_cast<Query *>(node), ExtractMutator, context));
  if (!IsExpression(node) || !IsHidden(node, context->stated))
    return compat::MutateExpression(node, ExtractMutator, context);
  if (ShowsClock(node)) {
    Node *rest = SplitMutator(node, context);
    Opacity opacity = FindExpressionOpacity(rest);
    // Functions that get the clock are called as those that get rows: what they read is not in their arguments.
    if (opacity.obstacle || opacity.calls) return rest;
  }
  return TakeOut(node, context);
}

// ---- What evaluating them means -----------------------------------------------------------------------------------

bool IsNotInternal(Oid function, void *) {
  if (function >= FirstNormalObjectId) return true;
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return true;
  bool internal = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == INTERNALlanguageId;
  ReleaseSysCache(row);
  return !internal;
}

// Whether a type's values are handled by built-in code alone, at whatever depth. XML functions may run queries.
bool IsBuiltInType(Oid type) {
  Oid element = get_element_type(type);
  if (OidIsValid(element)) type = element;
  return type < FirstNormalObjectId && get_typtype(type) == TYPTYPE_BASE && type != XMLOID;
}

// Finds what may run code that is not PostgreSQL's own.
bool OtherCodeWalker(Node *node, void *) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_List:
    case T_CaseWhen: break;
    case T_FuncExpr:
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
    case T_ScalarArrayOpExpr:
    case T_BoolExpr:
    case T_CaseExpr:
    case T_CaseTestExpr:
    case T_CoalesceExpr:
    case T_SQLValueFunction:
    case T_NullTest:
    case T_BooleanTest:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_CollateExpr:
    case T_ArrayExpr:
    case T_SubscriptingRef:
    case T_Const:
    case T_Param:
      if (!IsBuiltInType(exprType(node))) return true;
      break;
    default: return true;
  }
  if (check_functions_in_node(node, IsNotInternal, nullptr)) return true;
  return compat::WalkExpression(node, OtherCodeWalker, nullptr);
}

// IsStated, which notes the function.
bool NoteStated(Oid function, void *found) {
  if (!IsStated(function, nullptr)) return false;
  *static_cast<Oid *>(found) = function;
  return true;
}

bool OpaqueCallWalker(Node *node, void *found) {
  if (node == nullptr) return false;
  if (check_functions_in_node(node, NoteStated, found)) return true;
  return compat::WalkExpression(node, OpaqueCallWalker, found);
}

bool ParameterWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Param)) return true;
  return compat::WalkExpression(node, ParameterWalker, nullptr);
}

bool IsNeitherFixedNorSetting(Oid function, void *) {
  return function != F_CURRENT_SETTING_TEXT && function != F_CURRENT_SETTING_TEXT_BOOL && !IsFixed(function);
}

// Finds what may read something else than arguments, settings by name, and the role.
bool OtherInputWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (VisitCalledFunctions(node, NIL, IsNeitherFixedNorSetting, nullptr)) return true;
  switch (nodeTag(node)) {
    case T_SQLValueFunction: {
      SQLValueFunctionOp op = reinterpret_cast<SQLValueFunction *>(node)->op;
      return op != SVFOP_CURRENT_USER && op != SVFOP_CURRENT_ROLE && op != SVFOP_USER && op != SVFOP_SESSION_USER;
    }
    case T_XmlExpr:
    case T_CoerceToDomain: return true;
    default: return compat::WalkExpression(node, OtherInputWalker, nullptr);
  }
}

}  // namespace

bool ReadsOnlyNamedSettings(Node *expression) { return !OtherInputWalker(expression, nullptr); }

Query *ExtractHiddenParameters(Query *query, int first, bool stated, List **hidden) {
  ExtractContext context = {first, stated, hidden};
  return reinterpret_cast<Query *>(ExtractMutator(reinterpret_cast<Node *>(query), &context));
}

Oid FindOpaqueCall(Node *expression) {
  Oid function = InvalidOid;
  OpaqueCallWalker(expression, &function);
  return function;
}

bool RunsOnlyBuiltIns(Node *expression) { return !OtherCodeWalker(expression, nullptr); }

Node *ClockExpression(Node *expression, int first, List *hidden) {
  List *known = list_copy(hidden);
  ExtractContext context = {first, false, &known};
  return SplitMutator(expression, &context);
}

bool HasParameter(Node *expression) { return ParameterWalker(expression, nullptr); }

bool CanFail(Node *expression) {
  // These read a variable; anything else may raise an error on some input.
  if (IsA(expression, SQLValueFunction)) return false;
  if (IsA(expression, RelabelType))
    return CanFail(reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg));
  if (IsA(expression, FuncExpr)) {
    FuncExpr *call = reinterpret_cast<FuncExpr *>(expression);
    if (IsClockFunction(call->funcid)) return false;
    if (call->funcid == F_CURRENT_SETTING_TEXT_BOOL) {
      Node *name = static_cast<Node *>(linitial(call->args));
      Node *missing_ok = static_cast<Node *>(lsecond(call->args));
      return !(IsA(name, Const) && IsA(missing_ok, Const) && !reinterpret_cast<Const *>(missing_ok)->constisnull &&
               DatumGetBool(reinterpret_cast<Const *>(missing_ok)->constvalue));
    }
  }
  return true;
}

}  // namespace aggcache
