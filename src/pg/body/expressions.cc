// One walk for each question. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/expressions.h"

#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

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

bool ReadsOnlyNamedSettings(Node *expression) { return !OtherInputWalker(expression, nullptr); }

bool RunsOnlyBuiltIns(Node *expression) { return !OtherCodeWalker(expression, nullptr); }

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
