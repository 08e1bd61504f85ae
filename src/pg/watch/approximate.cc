// Looks at the nodes of the finished plan that name an index. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/approximate.h"

#include "pg/facts/audited.h"

extern "C" {
#include "access/gin.h"
}

namespace aggcache {

namespace {

Oid AccessMethodOf(Oid index) {
  HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(row)) return InvalidOid;
  Oid method = reinterpret_cast<Form_pg_class>(GETSTRUCT(row))->relam;
  ReleaseSysCache(row);
  return method;
}

// Why what the index finds is not exact, or NULL.
const char *JudgeIndex(Oid index) {
  const Oid method = AccessMethodOf(index);
  if (!OidIsValid(method) || IsExactAccessMethod(method)) return nullptr;
  return psprintf("index %s may be used, and what its access method %s finds is approximate, or not known to be exact",
                  get_rel_name(index), get_am_name(method));
}

const char *JudgePlan(Plan *plan);

const char *JudgePlans(List *plans) {
  const char *found = nullptr;
  ListCell *cell;
  foreach (cell, plans)
    if (found == nullptr) found = JudgePlan(static_cast<Plan *>(lfirst(cell)));
  return found;
}

// What a node has besides its left and right subtrees.
const char *JudgeNode(Plan *plan) {
  switch (nodeTag(plan)) {
    case T_IndexScan: return JudgeIndex(reinterpret_cast<IndexScan *>(plan)->indexid);
    case T_IndexOnlyScan: return JudgeIndex(reinterpret_cast<IndexOnlyScan *>(plan)->indexid);
    case T_BitmapIndexScan: return JudgeIndex(reinterpret_cast<BitmapIndexScan *>(plan)->indexid);
    case T_BitmapAnd: return JudgePlans(reinterpret_cast<BitmapAnd *>(plan)->bitmapplans);
    case T_BitmapOr: return JudgePlans(reinterpret_cast<BitmapOr *>(plan)->bitmapplans);
    case T_Append: return JudgePlans(reinterpret_cast<Append *>(plan)->appendplans);
    case T_MergeAppend: return JudgePlans(reinterpret_cast<MergeAppend *>(plan)->mergeplans);
    case T_SubqueryScan: return JudgePlan(reinterpret_cast<SubqueryScan *>(plan)->subplan);
    case T_CustomScan: return JudgePlans(reinterpret_cast<CustomScan *>(plan)->custom_plans);
    default: return nullptr;
  }
}

const char *JudgePlan(Plan *plan) {
  if (plan == nullptr) return nullptr;
  check_stack_depth();
  const char *found = JudgeNode(plan);
  if (found == nullptr) found = JudgePlan(plan->lefttree);
  if (found == nullptr) found = JudgePlan(plan->righttree);
  return found;
}

List *IndexesOf(const SourceRelation &source) {
  Relation relation = try_relation_open(source.relation, AccessShareLock);
  if (relation == nullptr) return NIL;
  List *indexes = relation->rd_rel->relhasindex ? RelationGetIndexList(relation) : NIL;
  relation_close(relation, NoLock);
  return indexes;
}

}  // namespace

const char *FindApproximateIndex(const Definition *definition, PlannedStmt *plan) {
  const char *found = JudgePlan(plan->planTree);
  if (found == nullptr) found = JudgePlans(plan->subplans);
  for (int i = 0; i < definition->relation_count && found == nullptr; i++) {
    if (definition->relations[i].read_by != ReadBy::kFunction || !IsRead(definition->relations[i].role)) continue;
    ListCell *cell;
    foreach (cell, IndexesOf(definition->relations[i]))
      if (found == nullptr) found = JudgeIndex(lfirst_oid(cell));
  }
  return found;
}

bool IsCutByGin(const Definition *definition) {
  if (GinFuzzySearchLimit == 0) return false;
  for (int i = 0; i < definition->relation_count; i++) {
    if (!IsRead(definition->relations[i].role)) continue;
    ListCell *cell;
    foreach (cell, IndexesOf(definition->relations[i]))
      if (AccessMethodOf(lfirst_oid(cell)) == GIN_AM_OID) return true;
  }
  return false;
}

}  // namespace aggcache
