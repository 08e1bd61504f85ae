#include "pg/base/server.h"

#include "pg/body/definition.h"

#include "pg/base/settings.h"

namespace aggcache {

Obstacle FindObstacleInSettings(const Definition *definition) {
  if (!settings::enabled) return Because(Reason::kDisabled);
  if (definition->reads_clock && settings::ttl_ms == 0) return Because(Reason::kClockWithoutTtl);
  return Because(Reason::kNone);
}

}  // namespace aggcache
