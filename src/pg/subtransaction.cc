#include "pg/server.h"

#include "pg/subtransaction.h"

namespace aggcache {

bool IsInterruption(const ErrorData *error) {
  return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
         ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

bool TryInSubtransaction(void (*work)(void *), void *context, ErrorData **raised) {
  MemoryContext outer = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  volatile bool done = false;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(outer);
  PG_TRY();
  {
    work(context);
    ReleaseCurrentSubTransaction();
    done = true;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(outer);
    ErrorData *error = CopyErrorData();
    FlushErrorState();
    // Whoever catches an error that goes on must find the transaction as deep as it left it.
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(outer);
    CurrentResourceOwner = owner;
    if (IsInterruption(error)) ReThrowError(error);
    if (raised)
      *raised = error;
    else
      FreeErrorData(error);
  }
  PG_END_TRY();
  MemoryContextSwitchTo(outer);
  CurrentResourceOwner = owner;
  return done;
}

}  // namespace aggcache
