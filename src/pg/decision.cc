#include "pg/server.h"

#include "pg/decision.h"

#include "pg/approximate.h"
#include "pg/opaque_input.h"
#include "pg/privileges.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/hooks.h"
#include "pg/transactions.h"

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
