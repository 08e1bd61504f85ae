// A miss: runs the body for one call, keeps the result for others.

#ifndef AGGCACHE_PG_CALL_COMPUTE_H
#define AGGCACHE_PG_CALL_COMPUTE_H

#include "pg/base/server.h"

#include "core/entry_store.h"
#include "pg/base/reasons.h"
#include "pg/base/shared.h"
#include "pg/body/definition.h"
#include "pg/call/hidden_values.h"

namespace aggcache {

struct Computed {
  Obstacle obstacle;  // why nothing was computed
  Datum value;        // of a scalar or single row, in the caller's memory context
  bool is_null;
  Tuplestorestate *rows;  // of a set, in the statement's memory
  bool current;           // writes have kept it so: no table was read
  uint32_t changes;       // then: of how many transactions
};

// Runs the body under the active snapshot with the call's arguments and hidden parameters, and stores the result under
// the key if that is sound. Errors of the body are raised. The definition must be pinned. `missed` is why it is needed.
Computed Compute(Definition *definition, FunctionCallInfo fcinfo, NullableDatum *hidden, const Key &key,
                 FunctionStatistics *statistics, CallResult missed);

// Plans the body as the plain function does, for any arguments, as it was analysed. The plan is in the current memory
// context. If the definition is not valid any more: NULL, or, if `former`, nevertheless, with an error if the relations
// that it reads are not what they were.
PlannedStmt *PlanBody(const Definition *definition, bool former);

// Runs such a plan, with the hidden parameters as far as they are evaluated; nothing is stored. REQUIRES: the locks
// that planning has taken.
Computed RunBody(const Definition *definition, PlannedStmt *plan, FunctionCallInfo fcinfo, HiddenValues *hidden);

}  // namespace aggcache

#endif
