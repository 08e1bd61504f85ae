// A hook stops functions that the executor is about to use; operators that the planner uses without it are looked for
// in the query beforehand. State of this session: whether the guard is set, and what was stopped last.

#include "pg/base/server.h"

#include "pg/facts/own_code.h"

#include "pg/base/attempt.h"
#include "pg/facts/called_functions.h"

namespace aggcache {

namespace {

object_access_hook_type previous_object_access = nullptr;

bool guarded = false;
const char *guard_hint = nullptr;
Oid stopped = InvalidOid;  // function
Oid stopped_role = InvalidOid;

// Whether the guard lets the current role run the function.
bool MayRun(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return true;  // the executor knows what to say
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  bool may = form->proowner == GetUserId();
  if (!may && form->provolatile != PROVOLATILE_VOLATILE)
    may = form->prolang == INTERNALlanguageId || form->prolang == ClanguageId || superuser_arg(form->proowner);
  ReleaseSysCache(row);
  return may;
}

void StopFunctionOfOthers(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument) {
  if (previous_object_access) previous_object_access(access, class_id, object, sub_id, argument);
  if (!guarded || access != OAT_FUNCTION_EXECUTE || MayRun(object)) return;
  stopped = object;
  stopped_role = GetUserId();
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("%s", StoppedFunction()),
                  guard_hint ? errhint("%s", guard_hint) : 0));
}

// How far the bounds of ranges are apart is told by a function that comes with the type.
bool HasOthersDifference(Node *node) {
  Oid type = getBaseType(exprType(node));
  if (get_typtype(type) == TYPTYPE_MULTIRANGE) type = get_multirange_range(type);
  if (get_typtype(type) != TYPTYPE_RANGE) return false;
  const Oid function = lookup_type_cache(type, TYPECACHE_RANGE_INFO)->rng_subdiff_finfo.fn_oid;
  return OidIsValid(function) && !MayRun(function);
}

// Statistics are asked with the operator of the clause, or with another one of its families.
bool OperatorWalker(Node *node, void *) {
  if (node == nullptr) return false;
  ListCell *cell;
  foreach (cell, FunctionsBehind(node, NIL))
    if (!MayRun(lfirst_oid(cell))) return true;
  if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
    foreach (cell, reinterpret_cast<OpExpr *>(node)->args)  // they are laid out alike
      if (HasOthersDifference(static_cast<Node *>(lfirst(cell)))) return true;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), OperatorWalker, nullptr);
  return compat::WalkExpression(node, OperatorWalker, nullptr);
}

}  // namespace

void RunOwnCodeOnly(void (*work)(void *), void *context, const char *hint) {
  const bool outer = guarded;
  const char *outer_hint = guard_hint;
  guarded = true;
  guard_hint = hint;
  stopped = InvalidOid;
  PG_TRY();
  { work(context); }
  PG_FINALLY();
  {
    guarded = outer;
    guard_hint = outer_hint;
  }
  PG_END_TRY();
}

namespace {

struct Work {
  void (*work)(void *);
  void *context;
};

void RunGuardedWork(void *context) {
  const auto *work = static_cast<const Work *>(context);
  RunOwnCodeOnly(work->work, work->context, nullptr);
}

}  // namespace

bool TryOwnCodeOnly(void (*work)(void *), void *context) {
  Work guarded_work = {work, context};
  ErrorData *error = Attempt(Attempts::kCall, RunGuardedWork, &guarded_work);
  if (error == nullptr) return true;
  if (!OidIsValid(stopped)) ReThrowError(error);
  return false;
}

const char *StoppedFunction() {
  if (!OidIsValid(stopped)) return nullptr;
  return psprintf("telling it would run function %s as role \"%s\", which does not own it", format_procedure(stopped),
                  GetUserNameFromId(stopped_role, true));
}

bool MayApplyOthersOperators(Query *query) {
  return query != nullptr && OperatorWalker(reinterpret_cast<Node *>(query), nullptr);
}

void InstallOwnCodeHook() {
  previous_object_access = object_access_hook;
  object_access_hook = StopFunctionOfOthers;
}

}  // namespace aggcache
