// An internal subtransaction around the work. Its error is copied out of it before it is rolled back. Keeps no state.

#include "pg/base/server.h"

#include "pg/base/attempt.h"

namespace aggcache {

bool IsInterruption(const ErrorData *error) {
  return error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
         error->sqlerrcode == ERRCODE_CRASH_SHUTDOWN;
}

ErrorData *Attempt(Attempts kind, void (*work)(void *), void *context) {
  MemoryContext outer = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ErrorData *volatile raised = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(outer);
  PG_TRY();
  {
    work(context);
    if (kind == Attempts::kUndo)
      RollbackAndReleaseCurrentSubTransaction();
    else
      ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(outer);
    raised = CopyErrorData();
    FlushErrorState();
    // Whoever catches an error that goes on must find the transaction as deep as it left it.
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(outer);
    CurrentResourceOwner = owner;
    const bool of_others = ERRCODE_TO_CATEGORY(raised->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
    if (IsInterruption(raised) || (of_others && kind != Attempts::kCall)) ReThrowError(raised);
  }
  PG_END_TRY();
  MemoryContextSwitchTo(outer);
  CurrentResourceOwner = owner;
  return raised;
}

ErrorData *AttemptBuiltIn(void (*work)(void *), void *context) {
  MemoryContext outer = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  ResourceOwner own = ResourceOwnerCreate(owner, "aggcache attempt");
  ErrorData *volatile raised = nullptr;
  PG_TRY();
  {
    CurrentResourceOwner = own;
    work(context);
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(outer);
    raised = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();
  CurrentResourceOwner = owner;
  ResourceOwnerRelease(own, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
  ResourceOwnerRelease(own, RESOURCE_RELEASE_LOCKS, false, false);
  ResourceOwnerRelease(own, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
  ResourceOwnerDelete(own);
  if (raised && IsInterruption(raised)) ReThrowError(raised);
  return raised;
}

}  // namespace aggcache
