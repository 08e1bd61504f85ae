#include "pg/server.h"

#include "pg/privileges.h"

namespace aggcache {

uint64_t privilege_epoch = 1;

bool IsPermitted(Definition *definition) {
  if (definition->permitted_epoch == privilege_epoch) return true;
  Oid role = GetUserId();
  ListCell *cell;
  foreach (cell, definition->permission_queries)
    if (!compat::MayUseRelations(lfirst_node(Query, cell))) return false;
  foreach (cell, definition->functions)
    if (!compat::CanExecute(lfirst_oid(cell), role)) return false;
  definition->permitted_epoch = privilege_epoch;
  return true;
}

}  // namespace aggcache
