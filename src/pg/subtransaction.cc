#include "pg/server.h"

#include "pg/subtransaction.h"

namespace aggcache {

bool TryInSubtransaction(void (*work)(void *), void *context) {
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
    if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
        ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
      ReThrowError(error);
    FreeErrorData(error);
  }
  PG_END_TRY();
  MemoryContextSwitchTo(outer);
  CurrentResourceOwner = owner;
  return done;
}

}  // namespace aggcache
