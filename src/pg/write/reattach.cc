// Takes triggers off and puts them on anew, by AttachTable. Keeps no state.

#include "pg/base/server.h"

#include "pg/write/reattach.h"

#include "pg/base/extension.h"
#include "pg/facts/triggers.h"
#include "pg/write/attach.h"

namespace aggcache {

namespace {

bool EnablesTriggers(AlterTableStmt *statement) {
  ListCell *cell;
  foreach (cell, statement->cmds) {
    AlterTableType kind = lfirst_node(AlterTableCmd, cell)->subtype;
    if (kind == AT_EnableTrigAll || kind == AT_EnableTrigUser) return true;
  }
  return false;
}

// The statement has locked these relations, so none of them waits.
void Reattach(Oid oid) {
  Relation relation = try_relation_open(oid, ShareRowExclusiveLock);
  if (relation == nullptr) return;
  bool altered = HasAnyTrackingTrigger(relation) && !HasTrackingTriggers(relation);
  relation_close(relation, NoLock);
  if (altered && MayAttach(oid, GetUserId())) AttachTable(oid, false);
}

}  // namespace

void ReattachEnabled(Node *node) {
  if (!IsA(node, AlterTableStmt)) return;
  auto *statement = reinterpret_cast<AlterTableStmt *>(node);
  if (!EnablesTriggers(statement) || FindExtension() == nullptr) return;
  // What the statement has just changed is visible to itself, a rename or a drop by a trigger of it too.
  CommandCounterIncrement();
  Oid relation = RangeVarGetRelid(statement->relation, NoLock, true);
  if (!OidIsValid(relation)) return;
  // As ENABLE TRIGGER does: down to partitions, not to children by inheritance.
  if (!statement->relation->inh || get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE) {
    Reattach(relation);
    return;
  }
  ListCell *cell;
  foreach (cell, find_all_inheritors(relation, ShareRowExclusiveLock, nullptr)) Reattach(lfirst_oid(cell));
}

}  // namespace aggcache
