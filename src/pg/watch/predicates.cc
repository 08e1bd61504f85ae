// A predicate of a form that is not known here is none. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/predicates.h"

#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

bool IsOwnColumn(const Var *column, Index relation) {
  return column->varno == static_cast<int>(relation) && column->varlevelsup == 0 && column->varattno > 0;
}

// Leak-proof functions should raise no error that depends on their arguments; nor do some that are not marked so.
bool MayFail(Oid function, void *) {
  switch (function) {
    // marked, but refuses non-deterministic collations
    case F_STARTS_WITH:
    // marked, but what they compute of their arguments can overflow
    case F_CIRCLE_EQ:
    case F_CIRCLE_NE:
    case F_CIRCLE_LT:
    case F_CIRCLE_LE:
    case F_CIRCLE_GT:
    case F_CIRCLE_GE:
    case F_LSEG_LT:
    case F_LSEG_LE:
    case F_LSEG_GT:
    case F_LSEG_GE: return true;
    case F_ENUM_EQ:
    case F_ENUM_NE:
    case F_NUMERIC_EQ:
    case F_NUMERIC_NE:
    case F_NUMERIC_LT:
    case F_NUMERIC_LE:
    case F_NUMERIC_GT:
    case F_NUMERIC_GE:
    case F_NUMERIC_INT2:
    case F_NUMERIC_INT4:
    case F_NUMERIC_INT8: return false;
    default:
      return function >= FirstNormalObjectId || !get_func_leakproof(function) ||
             func_volatile(function) != PROVOLATILE_IMMUTABLE || !IsFixed(function);
  }
}

// Whether comparing under the operator's collation may fail: because its arguments disagree about it, which is noticed
// only when it is needed, or because it may be dropped. What keeps it from that is a column that has it.
bool MayLackCollation(Oid collation, const List *arguments) {
  bool is_collatable = false, is_of_column = false;
  ListCell *cell;
  foreach (cell, arguments) {
    Node *side = static_cast<Node *>(lfirst(cell));
    is_collatable |= type_is_collatable(exprType(side));
    Node *bare = side;
    while (IsA(bare, RelabelType)) bare = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(bare)->arg);
    is_of_column |= IsA(bare, Var) && exprCollation(bare) == collation;
  }
  if (!OidIsValid(collation)) return is_collatable;
  return collation >= FirstUnpinnedObjectId && !is_of_column;
}

struct Asked {
  Index relation;
  bool parameters;  // for one call: parameters have values, and CASE and function calls are no clauses to be told apart
  bool may_fail;    // then: something in it may
};

// Whether a function's value may depend on more than its arguments.
bool IsNoFunctionOfValues(Oid function, void *) {
  return !IsBuiltIn(function) || func_volatile(function) != PROVOLATILE_IMMUTABLE || !IsFixed(function);
}

// Finds what keeps writers from evaluating an expression.
bool UnfitWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  check_stack_depth();
  auto *asked = static_cast<Asked *>(argument);
  switch (nodeTag(node)) {
    case T_Var: return !IsOwnColumn(reinterpret_cast<Var *>(node), asked->relation);
    case T_NullTest:
      if (reinterpret_cast<NullTest *>(node)->argisrow) return true;
      break;
    case T_OpExpr: {
      OpExpr *expression = reinterpret_cast<OpExpr *>(node);
      if (MayLackCollation(expression->inputcollid, expression->args)) return true;
      break;
    }
    case T_ScalarArrayOpExpr: {
      ScalarArrayOpExpr *expression = reinterpret_cast<ScalarArrayOpExpr *>(node);
      if (MayLackCollation(expression->inputcollid, expression->args)) return true;
      break;
    }
    case T_List:
    case T_Const:
    case T_BoolExpr:
    case T_BooleanTest:
    case T_RelabelType: break;
    case T_Param:
      if (!asked->parameters || reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN) return true;
      break;
    case T_FuncExpr: {
      FuncExpr *call = reinterpret_cast<FuncExpr *>(node);
      if (!asked->parameters || call->funcretset || MayLackCollation(call->inputcollid, call->args)) return true;
      break;
    }
    case T_DistinctExpr:
    case T_NullIfExpr: {
      // these are laid out as OpExpr
      OpExpr *expression = reinterpret_cast<OpExpr *>(node);
      if (!asked->parameters || MayLackCollation(expression->inputcollid, expression->args)) return true;
      break;
    }
    case T_ArrayExpr:
      if (!asked->parameters || reinterpret_cast<ArrayExpr *>(node)->multidims) return true;
      break;
    case T_CollateExpr:
    case T_CaseExpr:
    case T_CaseWhen:
    case T_CaseTestExpr:
    case T_CoalesceExpr:
      if (!asked->parameters) return true;
      break;
    default: return true;
  }
  if (check_functions_in_node(node, MayFail, nullptr)) {
    if (!asked->parameters || check_functions_in_node(node, IsNoFunctionOfValues, nullptr)) return true;
    asked->may_fail = true;
  }
  return compat::WalkExpression(node, UnfitWalker, argument);
}

}  // namespace

bool IsConstantPredicate(Node *clause, Index relation) {
  Asked asked = {relation, false, false};
  return !UnfitWalker(clause, &asked) && contain_var_clause(clause);
}

bool IsRowLocal(Node *expression, Index relation, bool *may_fail) {
  Asked asked = {relation, true, false};
  if (UnfitWalker(expression, &asked)) return false;
  *may_fail |= asked.may_fail;
  return true;
}

}  // namespace aggcache
