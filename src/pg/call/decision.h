// May calls use the cache, and if not, why? Calls, aggcache.explain(), the views and aggcache.health() all ask here.
// Inline, as every hit comes by.

#ifndef AGGCACHE_PG_CALL_DECISION_H
#define AGGCACHE_PG_CALL_DECISION_H

#include "pg/base/server.h"

#include "pg/base/reasons.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/body/definition.h"
#include "pg/body/privileges.h"
#include "pg/call/opaque_input.h"
#include "pg/watch/approximate.h"
#include "pg/write/hooks.h"

namespace aggcache {

// What keeps every call of this session, now and under the active snapshot, from using the cache.
inline Obstacle FindSessionObstacle() {
  if (shared::state == nullptr) return Because(Reason::kNotPreloaded);
  if (!settings::enabled) return Because(Reason::kDisabled);
  if (RecoveryInProgress()) return Because(Reason::kRecovery);
  if (InsideUtility()) return Because(Reason::kDefinitionStatement);
  if (IsLogicalWorker()) return Because(Reason::kReplication);
  if (IsParallelWorker() && OwnXid() != kNoXid) return Because(Reason::kParallelWriter);
  if (!ActiveSnapshotSet() || !IsEligibleSnapshot(GetActiveSnapshot())) return Because(Reason::kSpecialSnapshot);
  return Because(Reason::kNone);
}

// What keeps every call of the function from it in a session that has no obstacle. With AnalyseAsCalled() that is known
// without a call.
inline Obstacle FindFunctionObstacle(const Definition *definition) {
  if (definition->obstacle) return Because(Reason::kFunction, definition->obstacle);
  const Obstacle in_settings = FindObstacleInSettings(definition);
  if (in_settings) return in_settings;
  if (definition->opaque && HasTemporaryObjects()) return Because(Reason::kTemporaryObjects);
  if (IsCutByGin(definition)) return Because(Reason::kFuzzyGin);
  return Because(Reason::kNone);
}

// Both, in that order.
inline Obstacle FindObstacle(const Definition *definition) {
  const Obstacle of_session = FindSessionObstacle();
  return of_session ? of_session : FindFunctionObstacle(definition);
}

// What keeps a call by the current role from it.
inline Obstacle FindRoleObstacle(Definition *definition) {
  return Because(IsPermitted(definition) ? Reason::kNone : Reason::kNotPermitted);
}

}  // namespace aggcache

#endif
