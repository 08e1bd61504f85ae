// Walkers over the tree: what can be taken out of it, and what then stands in its place. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/hidden_parameters.h"

#include "pg/base/extension.h"
#include "pg/body/clock.h"
#include "pg/body/expressions.h"
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

}  // namespace

Query *ExtractHiddenParameters(Query *query, int first, bool stated, List **hidden) {
  ExtractContext context = {first, stated, hidden};
  return reinterpret_cast<Query *>(ExtractMutator(reinterpret_cast<Node *>(query), &context));
}

Oid FindOpaqueCall(Node *expression) {
  Oid function = InvalidOid;
  OpaqueCallWalker(expression, &function);
  return function;
}

Node *ClockExpression(Node *expression, int first, List *hidden) {
  List *known = list_copy(hidden);
  ExtractContext context = {first, false, &known};
  return SplitMutator(expression, &context);
}

}  // namespace aggcache
