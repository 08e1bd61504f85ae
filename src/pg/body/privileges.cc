// The executor's check decides, without the hook that others have on it. State of this session: the epoch, and the hook
// on object access as it was before and after ours were installed.

#include "pg/base/server.h"

#include "pg/body/privileges.h"

namespace aggcache {

uint64_t privilege_epoch = 1;

namespace {

object_access_hook_type object_access_before = nullptr;  // somebody else's
object_access_hook_type object_access_ours = nullptr;

// Whoever listens is asked when the body is executed, or by AskOtherExtensions.
bool MayUseRelationsUnasked(List *queries) {
  ExecutorCheckPerms_hook_type asked = ExecutorCheckPerms_hook;
  bool may = true;
  PG_TRY();
  {
    ExecutorCheckPerms_hook = nullptr;
    ListCell *cell;
    foreach (cell, queries)
      if (may) may = compat::MayUseRelations(lfirst_node(Query, cell));
  }
  PG_FINALLY();
  { ExecutorCheckPerms_hook = asked; }
  PG_END_TRY();
  return may;
}

// A plan over the relations that the body's plan is over, which reads none of them and returns no row.
PlannedStmt *MakeEmptyPlan(List *queries) {
  PlannedStmt *plan = makeNode(PlannedStmt);
  plan->commandType = CMD_SELECT;
  plan->canSetTag = true;
  plan->stmt_location = -1;
  Result *nothing = makeNode(Result);
  nothing->resconstantqual = reinterpret_cast<Node *>(list_make1(makeBoolConst(false, false)));
  plan->planTree = &nothing->plan;
  ListCell *cell;
  foreach (cell, queries) compat::AddCheckedRelations(plan, lfirst_node(Query, cell));
  return plan;
}

// As a query of its own, since that is what extensions are prepared for.
void ExecuteNothing(Definition *definition) {
  if (definition->empty_plan == nullptr) {
    MemoryContext outer = MemoryContextSwitchTo(definition->context);
    definition->empty_plan = MakeEmptyPlan(definition->executed_queries);
    MemoryContextSwitchTo(outer);
  }
  QueryDesc *query = CreateQueryDesc(definition->empty_plan, definition->source, GetActiveSnapshot(), nullptr,
                                     None_Receiver, nullptr, nullptr, 0);
  compat::ExecutorStartRun(query, 0);
  ExecutorFinish(query);
  ExecutorEnd(query);
  FreeQueryDesc(query);
}

}  // namespace

bool IsPermitted(Definition *definition) {
  if (definition->permitted_epoch == privilege_epoch) return true;
  Oid role = GetUserId();
  if (!MayUseRelationsUnasked(definition->permission_queries)) return false;
  ListCell *cell;
  foreach (cell, definition->functions)
    if (!compat::CanExecute(lfirst_oid(cell), role)) return false;
  definition->permitted_epoch = privilege_epoch;
  return true;
}

void NoteHooksBefore() { object_access_before = object_access_hook; }

void NoteHooksAfter() { object_access_ours = object_access_hook; }

void AskOtherExtensions(Definition *definition) {
  if (ExecutorCheckPerms_hook != nullptr) ExecuteNothing(definition);
  if (object_access_before == nullptr && object_access_hook == object_access_ours) return;
  ListCell *cell;
  foreach (cell, definition->functions) InvokeFunctionExecuteHook(lfirst_oid(cell));
}

}  // namespace aggcache
