// The kind of the relation decides, and of tables their triggers in the relcache. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/tracked.h"

#include "pg/facts/triggers.h"

namespace aggcache {

const char *FindTrackingObstacle(Oid oid, bool *tracked) {
  *tracked = false;
  Relation relation = try_relation_open(oid, AccessShareLock);
  if (relation == nullptr) return "a relation that the body reads was dropped";
  const char *name = psprintf("%s.%s", quote_identifier(get_namespace_name(RelationGetNamespace(relation))),
                              quote_identifier(RelationGetRelationName(relation)));
  char kind = relation->rd_rel->relkind;
  const char *obstacle = nullptr;
  if (kind == RELKIND_VIEW && oid >= FirstNormalObjectId) {
    // seen through
  } else if (oid < FirstNormalObjectId || IsCatalogRelation(relation)) {
    obstacle = psprintf("%s is a system catalog, which changes without triggers", name);
  } else if (kind == RELKIND_FOREIGN_TABLE) {
    obstacle = psprintf("%s is a foreign table, which changes without triggers", name);
  } else if (kind == RELKIND_MATVIEW) {
    *tracked = true;  // only REFRESH writes it, which is seen without triggers
  } else if (kind == RELKIND_SEQUENCE) {
    obstacle = psprintf("%s is a sequence, which changes outside of transactions", name);
  } else if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_VIEW) {
    obstacle = psprintf("%s is not a table", name);
  } else if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP) {
    obstacle = psprintf("%s is a temporary table", name);
  } else if (!HasTrackingTriggers(relation)) {
    obstacle =
        HasAnyTrackingTrigger(relation)
            ? psprintf("the tracking triggers of %s are disabled or altered", name)
            : psprintf("%s has no tracking triggers; its owner can put them on with aggcache.attach('%s')", name, name);
  } else {
    *tracked = true;
  }
  relation_close(relation, NoLock);
  return obstacle;
}

}  // namespace aggcache
