#include "pg/base/server.h"

#include "pg/call/decision.h"

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/body/privileges.h"
#include "pg/call/opaque_input.h"
#include "pg/watch/approximate.h"
#include "pg/write/hooks.h"

namespace aggcache {

Obstacle FindSessionObstacle() {
  if (shared::state == nullptr) return Because(Reason::kNotPreloaded);
  if (!settings::enabled) return Because(Reason::kDisabled);
  if (RecoveryInProgress()) return Because(Reason::kRecovery);
  if (InsideUtility()) return Because(Reason::kDefinitionStatement);
  if (IsLogicalWorker()) return Because(Reason::kReplication);
  if (IsParallelWorker() && OwnXid() != kNoXid) return Because(Reason::kParallelWriter);
  if (!ActiveSnapshotSet() || !IsEligibleSnapshot(GetActiveSnapshot())) return Because(Reason::kSpecialSnapshot);
  return Because(Reason::kNone);
}

Obstacle FindFunctionObstacle(const Definition *definition) {
  if (definition->obstacle) return Because(Reason::kFunction, definition->obstacle);
  const Obstacle in_settings = FindObstacleInSettings(definition);
  if (in_settings) return in_settings;
  if (definition->opaque && HasTemporaryObjects()) return Because(Reason::kTemporaryObjects);
  if (IsCutByGin(definition)) return Because(Reason::kFuzzyGin);
  return Because(Reason::kNone);
}

Obstacle FindObstacle(const Definition *definition) {
  const Obstacle of_session = FindSessionObstacle();
  return of_session ? of_session : FindFunctionObstacle(definition);
}

Obstacle FindRoleObstacle(Definition *definition) {
  return Because(IsPermitted(definition) ? Reason::kNone : Reason::kNotPermitted);
}

}  // namespace aggcache
