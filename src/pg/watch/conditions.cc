// Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/conditions.h"

namespace aggcache {

namespace {

void AddCondition(List **conditions, const Condition &found) {
  auto *condition = static_cast<Condition *>(palloc(sizeof(Condition)));
  *condition = found;
  *conditions = lappend(*conditions, condition);
}

// Whether the first side reads the relation and nothing else, and the second side does not read it.
bool AreApart(PlannerInfo *root, Index relid, Node *own, Node *other) {
  int member;
  return bms_get_singleton_member(pull_varnos(root, own), &member) && member == static_cast<int>(relid) &&
         !bms_is_member(static_cast<int>(relid), pull_varnos(root, other));
}

// Adds "left operation right" in the direction in which `relid` is at the left and not at the right; or
// "left operation ANY (right)", if it is at the left. Other clauses are passed by.
void AddComparison(List **conditions, PlannerInfo *root, Index relid, Node *clause) {
  if (IsA(clause, ScalarArrayOpExpr)) {
    auto *list = reinterpret_cast<ScalarArrayOpExpr *>(clause);
    auto *own = static_cast<Node *>(linitial(list->args)), *other = static_cast<Node *>(lsecond(list->args));
    if (list->useOr && AreApart(root, relid, own, other))
      AddCondition(conditions, {own, list->opno, list->inputcollid, other, true, root});
    return;
  }
  if (!IsA(clause, OpExpr) || list_length(reinterpret_cast<OpExpr *>(clause)->args) != 2) return;
  auto *comparison = reinterpret_cast<OpExpr *>(clause);
  Node *sides[] = {static_cast<Node *>(linitial(comparison->args)), static_cast<Node *>(lsecond(comparison->args))};
  for (int i = 0; i < 2; i++) {
    if (!AreApart(root, relid, sides[i], sides[1 - i])) continue;
    const Oid operation = i == 0 ? comparison->opno : get_commutator(comparison->opno);
    if (OidIsValid(operation))
      AddCondition(conditions, {sides[i], operation, comparison->inputcollid, sides[1 - i], false, root});
    return;
  }
}

// ---- Joins ------------------------------------------------------------------------------------------------------

// Whether rows of the relation that fail the join clause do not matter. At the preserved side of an outer join they do.
// Where the relation is at the nullable side of a join below the clause, a row that fails it has kept a row of NULLs
// away.
bool DecidesOver(PlannerInfo *root, const RestrictInfo *clause, Index relid) {
  const int own = static_cast<int>(relid);
  if (!clause->is_pushed_down && bms_is_member(own, clause->outer_relids)) return false;
  ListCell *cell;
  foreach (cell, root->join_info_list) {
    auto *join = lfirst_node(SpecialJoinInfo, cell);
    if (join->jointype == JOIN_SEMI) continue;
    const bool nullable = bms_is_member(own, join->syn_righthand) ||
                          (join->jointype == JOIN_FULL && bms_is_member(own, join->syn_lefthand));
    if (!nullable) continue;
    if (join->jointype == JOIN_FULL) return false;
    if (bms_is_subset(clause->required_relids, join->syn_righthand)) continue;                     // within that side
    if (!clause->is_pushed_down && bms_equal(clause->outer_relids, join->syn_lefthand)) continue;  // its own
    return false;
  }
  return true;
}

void AddJoinClauses(List **conditions, PlannerInfo *root, const RelOptInfo *rel) {
  ListCell *cell;
  foreach (cell, rel->joininfo) {
    auto *clause = lfirst_node(RestrictInfo, cell);
    if (!clause->pseudoconstant && DecidesOver(root, clause, rel->relid))
      AddComparison(conditions, root, rel->relid, reinterpret_cast<Node *>(clause->clause));
  }
}

// The operator of the class that compares the two types.
Oid EqualityOfClass(const EquivalenceClass *all, Oid left, Oid right) {
  ListCell *cell;
  foreach (cell, all->ec_opfamilies) {
    const Oid operation = get_opfamily_member(lfirst_oid(cell), left, right, BTEqualStrategyNumber);
    if (OidIsValid(operation)) return operation;
  }
  return InvalidOid;
}

// What equals what: the planner has taken these clauses of inner joins out of the list of the relation.
void AddEquivalences(List **conditions, PlannerInfo *root, const RelOptInfo *rel) {
  ListCell *cell;
  foreach (cell, root->eq_classes) {
    auto *all = lfirst_node(EquivalenceClass, cell);
    if (all->ec_has_volatile || all->ec_broken) continue;
    ListCell *own_cell, *other_cell;
    foreach (own_cell, all->ec_members) {
      auto *own = lfirst_node(EquivalenceMember, own_cell);
      if (own->em_is_child || !bms_equal(own->em_relids, rel->relids) || compat::IsNullable(own)) continue;
      foreach (other_cell, all->ec_members) {
        auto *other = lfirst_node(EquivalenceMember, other_cell);
        if (other == own || other->em_is_child || other->em_is_const || compat::IsNullable(other) ||
            bms_membership(other->em_relids) != BMS_SINGLETON || bms_equal(other->em_relids, rel->relids))
          continue;
        const Oid operation = EqualityOfClass(all, own->em_datatype, other->em_datatype);
        if (OidIsValid(operation))
          AddCondition(conditions, {reinterpret_cast<Node *>(own->em_expr), operation, all->ec_collation,
                                    reinterpret_cast<Node *>(other->em_expr), false, root});
      }
    }
  }
}

// ---- Other levels of the query -----------------------------------------------------------------------------------

bool HasInnerParameterWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Param)) return reinterpret_cast<Param *>(node)->paramkind == PARAM_EXEC;
  return compat::WalkExpression(node, HasInnerParameterWalker, nullptr);
}

// Clauses that compare with what a level above, or a sub-select that is computed once, gives.
void AddParameterClauses(List **conditions, PlannerInfo *root, const RelOptInfo *rel) {
  ListCell *cell;
  foreach (cell, rel->baserestrictinfo) {
    Node *clause = reinterpret_cast<Node *>(lfirst_node(RestrictInfo, cell)->clause);
    if (HasInnerParameterWalker(clause, nullptr)) AddComparison(conditions, root, rel->relid, clause);
  }
}

// The relation of the level above that this level is the sub-select of, or NULL.
RelOptInfo *RelationOfLevel(const PlannerInfo *root) {
  PlannerInfo *above = root->parent_root;
  for (int i = 1; above && i < above->simple_rel_array_size; i++) {
    RelOptInfo *rel = above->simple_rel_array[i];
    if (rel && rel->subroot == root) return rel;
  }
  return nullptr;
}

// Whether a condition on this column of a sub-select's result is one on the rows that it reads: rows of other values
// are in other groups.
bool IsOfSingleRows(const Query *query, const TargetEntry *column) {
  if (query->setOperations || query->limitCount || query->limitOffset || query->groupingSets || query->hasWindowFuncs ||
      query->hasTargetSRFs || query->hasDistinctOn || query->cteList)
    return false;
  if (query->groupClause == NIL && !query->hasAggs && !query->havingQual) return true;
  return get_sortgroupref_clause_noerr(column->ressortgroupref, query->groupClause) != nullptr;
}

// What the level above asks of the columns of this sub-select.
void AddPushedConditions(List **conditions, const Planned &planned, PlannerInfo *root, const RelOptInfo *rel) {
  RelOptInfo *whole = RelationOfLevel(root);
  if (whole == nullptr) return;
  ListCell *cell;
  foreach (cell, FindConditions(planned, root->parent_root, whole)) {
    auto *condition = static_cast<Condition *>(lfirst(cell));
    if (!IsA(condition->own, Var)) continue;
    auto *column = reinterpret_cast<Var *>(condition->own);
    if (column->varattno <= 0) continue;
    TargetEntry *entry = get_tle_by_resno(root->parse->targetList, column->varattno);
    if (entry == nullptr || entry->resjunk || !IsOfSingleRows(root->parse, entry)) continue;
    int member;
    if (!bms_get_singleton_member(pull_varnos(root, reinterpret_cast<Node *>(entry->expr)), &member) ||
        member != static_cast<int>(rel->relid) || contain_agg_clause(reinterpret_cast<Node *>(entry->expr)))
      continue;
    // only where no outer join lies between: its rows of NULLs are rows of the sub-select too
    bool plain = true;
    ListCell *join;
    foreach (join, root->join_info_list) plain &= lfirst_node(SpecialJoinInfo, join)->jointype == JOIN_SEMI;
    Condition pushed = *condition;
    pushed.own = reinterpret_cast<Node *>(entry->expr);
    if (plain) AddCondition(conditions, pushed);
  }
}

// What the relation is a part of, or NULL.
AppendRelInfo *FindPart(const Planned &planned, const PlannerInfo *root, const RelOptInfo *rel) {
  ListCell *cell;
  foreach (cell, planned.parts) {
    auto *noted = static_cast<PartOfLevel *>(lfirst(cell));
    if (noted->root == root && noted->part->child_relid == rel->relid) return noted->part;
  }
  return nullptr;
}

// Whether the first relation is the second, a part of it, or read by it as a sub-select.
bool LiesIn(const Planned &planned, PlannerInfo *root, RelOptInfo *rel, const RelOptInfo *whole) {
  while (rel) {
    if (rel == whole) return true;
    AppendRelInfo *part = FindPart(planned, root, rel);
    if (part) {
      rel = root->simple_rel_array[part->parent_relid];
    } else {
      rel = RelationOfLevel(root);
      root = root->parent_root;
    }
  }
  return false;
}

// What is asked of the parts of UNION ALL, or of a table with children, is asked of each.
void AddConditionsOfParent(List **conditions, const Planned &planned, PlannerInfo *root, const RelOptInfo *rel) {
  AppendRelInfo *part = FindPart(planned, root, rel);
  if (part == nullptr) return;
  ListCell *cell;
  foreach (cell, FindConditions(planned, root, root->simple_rel_array[part->parent_relid])) {
    Condition condition = *static_cast<Condition *>(lfirst(cell));
    condition.own = adjust_appendrel_attrs(root, condition.own, 1, &part);
    int member;
    if (bms_get_singleton_member(pull_varnos(root, condition.own), &member) && member == static_cast<int>(rel->relid))
      AddCondition(conditions, condition);
  }
}

// ---- Where the other side comes from -----------------------------------------------------------------------------

struct SourceSearch {
  const Planned *planned;
  PlannerInfo *root;  // of the level whose columns are being looked at
  FindConstant constant;
  void *context;
  Source *source;
  bool failed;
};

Node *SourceMutator(Node *node, void *argument);

// A column of a level above, in the place of the parameter that stands for it.
Node *ReplaceOuter(const Param *parameter, SourceSearch *search) {
  ListCell *cell;
  foreach (cell, search->planned->outer) {
    auto *reference = static_cast<OuterReference *>(lfirst(cell));
    if (reference->parameter != parameter->paramid) continue;
    PlannerInfo *inner = search->root;
    search->root = reference->root;
    Node *result = SourceMutator(reference->item, search);
    search->root = inner;
    return result;
  }
  return nullptr;
}

Node *SourceMutator(Node *node, void *argument) {
  auto *search = static_cast<SourceSearch *>(argument);
  if (node == nullptr || search->failed) return node;
  switch (nodeTag(node)) {
    case T_Var: {
      auto *column = reinterpret_cast<Var *>(node);
      Source *source = search->source;
      search->failed |=
          column->varlevelsup != 0 || IS_SPECIAL_VARNO(column->varno) || column->varattno < 0 ||
          (source->relid != 0 && (source->relid != static_cast<Index>(column->varno) || source->root != search->root));
      source->relid = static_cast<Index>(column->varno);
      source->root = search->root;
      return node;
    }
    case T_Param: {
      auto *parameter = reinterpret_cast<Param *>(node);
      if (parameter->paramkind != PARAM_EXEC) return node;
      Node *found = ReplaceOuter(parameter, search);
      if (found == nullptr && search->constant == nullptr) return node;
      if (found == nullptr) found = search->constant(parameter, search->context);
      search->failed |= found == nullptr;
      return found;
    }
    case T_PlaceHolderVar:
      return SourceMutator(reinterpret_cast<Node *>(reinterpret_cast<PlaceHolderVar *>(node)->phexpr), argument);
    case T_SubPlan:
    case T_AlternativeSubPlan:
    case T_Aggref:
    case T_WindowFunc:
    case T_GroupingFunc: search->failed = true; return node;
    default: return compat::MutateExpression(node, SourceMutator, argument);
  }
}

// Whether rows of NULLs may stand for rows of the relation where its columns are used.
bool MayBeNulls(PlannerInfo *root, Index relid) {
  ListCell *cell;
  foreach (cell, root->join_info_list) {
    auto *join = lfirst_node(SpecialJoinInfo, cell);
    if (join->jointype != JOIN_SEMI &&
        (bms_is_member(static_cast<int>(relid), join->syn_righthand) ||
         (join->jointype == JOIN_FULL && bms_is_member(static_cast<int>(relid), join->syn_lefthand))))
      return true;
  }
  return false;
}

}  // namespace

List *FindConditions(const Planned &planned, PlannerInfo *root, RelOptInfo *rel) {
  check_stack_depth();
  List *conditions = NIL;
  AddParameterClauses(&conditions, root, rel);
  if (rel->reloptkind == RELOPT_OTHER_MEMBER_REL) {
    AddConditionsOfParent(&conditions, planned, root, rel);
    return conditions;
  }
  AddJoinClauses(&conditions, root, rel);
  AddEquivalences(&conditions, root, rel);
  AddPushedConditions(&conditions, planned, root, rel);
  return conditions;
}

bool IsSettled(const Planned &planned, PlannerInfo *root, RelOptInfo *rel) {
  ListCell *cell;
  foreach (cell, planned.appearances) {
    auto *seen = static_cast<Appearance *>(lfirst(cell));
    if (!list_member_ptr(planned.settled, seen) && LiesIn(planned, seen->root, seen->rel, rel)) return false;
  }
  return true;
}

bool FindOtherSide(const Planned &planned, const Condition &condition, FindConstant constant, void *context,
                   Source *source) {
  *source = {condition.root, 0, nullptr};
  SourceSearch search = {&planned, condition.root, constant, context, source, false};
  source->expression = SourceMutator(condition.other, &search);
  if (search.failed) return false;
  // of a row of NULLs the expression must be NULL too, which meets no condition
  return source->relid == 0 || !MayBeNulls(source->root, source->relid) ||
         !contain_nonstrict_functions(source->expression);
}

}  // namespace aggcache
