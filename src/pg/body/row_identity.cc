// For one query, the columns are worked out in which two rows agree, from those that are known on, until nothing is
// added: a Closure in the current memory context. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/row_identity.h"

namespace aggcache {

namespace {

// A column of FROM in which two rows agree.
struct Fixed {
  Index relation;
  AttrNumber column;
  Oid equality;  // InvalidOid: the values are the same
  Oid collation;
  bool not_null;
  Oid type;
  int32 typmod;
};

// What two rows of FROM agree in, as far as it has been worked out.
struct Closure {
  const QueryLevel *level;
  Bitmapset *relations;  // of FROM
  Bitmapset *decided;    // those whose row is the same in both
  List *fixed;
  bool changed;
};

Node *WithoutRelabels(Node *node) {
  while (node && IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node;
}

// What the expression is before joins and groups give it another name.
Node *ResolveColumn(const Query *query, Node *node) {
  for (;;) {
    node = WithoutRelabels(node);
    if (node == nullptr || !IsA(node, Var)) return node;
    Var *column = reinterpret_cast<Var *>(node);
    if (column->varlevelsup > 0 || column->varattno <= 0) return node;
    List *named = compat::NamedExpressions(rt_fetch(column->varno, query->rtable));
    if (named == NIL) return node;
    node = static_cast<Node *>(list_nth(named, column->varattno - 1));
  }
}

// The column of this query's FROM that the expression is, or NULL.
Var *OwnColumn(const Query *query, Node *node) {
  node = ResolveColumn(query, node);
  if (node == nullptr || !IsA(node, Var)) return nullptr;
  Var *column = reinterpret_cast<Var *>(node);
  return column->varlevelsup == 0 && column->varattno > 0 ? column : nullptr;
}

bool IsSameCollation(Oid a, Oid b) {
  if (a == b) return true;
  auto deterministic = [](Oid collation) { return !OidIsValid(collation) || get_collation_isdeterministic(collation); };
  return deterministic(a) && deterministic(b);
}

// Whether agreeing by one operator is agreeing by the equality of an operator family.
bool ImpliesEquality(Oid equality, Oid collation, Oid family, Oid family_collation) {
  if (!OidIsValid(equality)) return true;
  return op_in_opfamily(equality, family) && IsSameCollation(collation, family_collation);
}

// The column as one in which both rows agree, by the equality of the family; NULL if they need not.
const Fixed *FindFixed(const Closure &closure, Index relation, AttrNumber column, Oid family, Oid collation) {
  ListCell *cell;
  foreach (cell, closure.fixed) {
    auto *fixed = static_cast<Fixed *>(lfirst(cell));
    if (fixed->relation == relation && fixed->column == column &&
        ImpliesEquality(fixed->equality, fixed->collation, family, collation))
      return fixed;
  }
  return nullptr;
}

// Notes that both rows agree in the column, by this equality.
void FixColumn(Closure *closure, const Var *column, Oid equality, Oid collation, bool not_null) {
  ListCell *cell;
  foreach (cell, closure->fixed) {
    auto *fixed = static_cast<Fixed *>(lfirst(cell));
    if (fixed->relation == column->varno && fixed->column == column->varattno && fixed->equality == equality &&
        fixed->collation == collation && fixed->not_null >= not_null)
      return;
  }
  auto *fixed = static_cast<Fixed *>(palloc(sizeof(Fixed)));
  *fixed = {static_cast<Index>(column->varno),
            column->varattno,
            equality,
            collation,
            not_null,
            column->vartype,
            column->vartypmod};
  closure->fixed = lappend(closure->fixed, fixed);
  closure->changed = true;
}

void AddFromRelations(Node *node, Bitmapset **relations) {
  ListCell *cell;
  if (IsA(node, RangeTblRef)) {
    *relations = bms_add_member(*relations, reinterpret_cast<RangeTblRef *>(node)->rtindex);
  } else if (IsA(node, JoinExpr)) {
    AddFromRelations(reinterpret_cast<JoinExpr *>(node)->larg, relations);
    AddFromRelations(reinterpret_cast<JoinExpr *>(node)->rarg, relations);
  } else if (IsA(node, FromExpr)) {
    foreach (cell, reinterpret_cast<FromExpr *>(node)->fromlist)
      AddFromRelations(static_cast<Node *>(lfirst(cell)), relations);
  }
}

// The relations of FROM that an expression reads.
Bitmapset *RelationsReadBy(const Closure &closure, Node *node, int level) {
  return bms_intersect(pull_varnos_of_level(nullptr, node, level), closure.relations);
}

// ---- Equalities -------------------------------------------------------------------------------------------------

// The column gets the value of the other side, if that is the same in both rows.
void ApplyEquality(Closure *closure, const OpExpr *clause, Node *to, Node *from, List *families) {
  const Query *query = closure->level->query;
  Var *column = OwnColumn(query, to);
  if (column == nullptr) return;
  Var *source = OwnColumn(query, from);
  bool agree = false;
  if (source) {
    agree = bms_is_member(source->varno, closure->decided);
    ListCell *cell;
    foreach (cell, families)
      agree |= FindFixed(*closure, source->varno, source->varattno, lfirst_oid(cell), clause->inputcollid) != nullptr;
  } else {
    agree = bms_is_subset(RelationsReadBy(*closure, from, 0), closure->decided);
  }
  if (agree) FixColumn(closure, column, clause->opno, clause->inputcollid, op_strict(clause->opno));
}

// Follows the equalities that both rows fulfil.
void ApplyClause(Closure *closure, Node *clause) {
  ListCell *cell;
  if (clause == nullptr) return;
  if (IsA(clause, List)) {
    foreach (cell, reinterpret_cast<List *>(clause)) ApplyClause(closure, static_cast<Node *>(lfirst(cell)));
  } else if (is_andclause(clause)) {
    foreach (cell, reinterpret_cast<BoolExpr *>(clause)->args) ApplyClause(closure, static_cast<Node *>(lfirst(cell)));
  } else if (IsA(clause, OpExpr)) {
    auto *operation = reinterpret_cast<OpExpr *>(clause);
    if (list_length(operation->args) != 2) return;
    List *families = get_mergejoin_opfamilies(operation->opno);
    if (families == NIL) return;
    Node *left = static_cast<Node *>(linitial(operation->args)), *right = static_cast<Node *>(lsecond(operation->args));
    ApplyEquality(closure, operation, left, right, families);
    ApplyEquality(closure, operation, right, left, families);
  }
}

// Where a join can add nulls, what its condition says holds only of rows that match. Which rows match is the same in
// both once the side that is kept is.
void ApplyJoins(Closure *closure, Node *node) {
  ListCell *cell;
  if (IsA(node, FromExpr)) {
    auto *from = reinterpret_cast<FromExpr *>(node);
    foreach (cell, from->fromlist) ApplyJoins(closure, static_cast<Node *>(lfirst(cell)));
    ApplyClause(closure, from->quals);
  } else if (IsA(node, JoinExpr)) {
    auto *join = reinterpret_cast<JoinExpr *>(node);
    if (join->jointype == JOIN_FULL) return;
    Node *kept = join->jointype == JOIN_RIGHT ? join->rarg : join->larg;
    Node *other = join->jointype == JOIN_RIGHT ? join->larg : join->rarg;
    ApplyJoins(closure, kept);
    Bitmapset *outer = nullptr;
    AddFromRelations(kept, &outer);
    if (join->jointype != JOIN_INNER && !bms_is_subset(outer, closure->decided)) return;
    ApplyJoins(closure, other);
    ApplyClause(closure, join->quals);
  }
}

// ---- Relations --------------------------------------------------------------------------------------------------

bool IsNotNull(Relation relation, AttrNumber column) {
  return TupleDescAttr(RelationGetDescr(relation), column - 1)->attnotnull;
}

// Whether a unique index finds the row by columns in which both rows agree.
bool IsFoundByIndex(const Closure &closure, Index number, Relation relation, Oid index_oid) {
  HeapTuple row = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index_oid));
  if (!HeapTupleIsValid(row)) return false;
  auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(row));
  bool usable = form->indisunique && form->indimmediate && form->indisvalid && form->indisready && form->indislive &&
                heap_attisnull(row, Anum_pg_index_indpred, nullptr) &&
                heap_attisnull(row, Anum_pg_index_indexprs, nullptr);
  if (usable) {
    bool is_null;
    Datum classes = SysCacheGetAttr(INDEXRELID, row, Anum_pg_index_indclass, &is_null);
    Datum collations = SysCacheGetAttr(INDEXRELID, row, Anum_pg_index_indcollation, &is_null);
    auto *opclass = reinterpret_cast<oidvector *>(DatumGetPointer(classes));
    auto *collation = reinterpret_cast<oidvector *>(DatumGetPointer(collations));
    for (int i = 0; usable && i < form->indnkeyatts; i++) {
      AttrNumber column = form->indkey.values[i];
      const Fixed *fixed =
          column > 0 ? FindFixed(closure, number, column, get_opclass_family(opclass->values[i]), collation->values[i])
                     : nullptr;
      usable = fixed && (fixed->not_null || IsNotNull(relation, column));
    }
  }
  ReleaseSysCache(row);
  return usable;
}

// Whether the row of a table is the same in both: a unique index finds it.
bool IsTableDecided(const Closure &closure, Index number, const RangeTblEntry *entry) {
  Relation relation = table_open(entry->relid, AccessShareLock);
  bool decided = false;
  // the rows of children are in no index of the parent
  bool alone = !entry->inh || relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE || !has_subclass(entry->relid);
  if (alone && relation->rd_rel->relhasindex) {
    ListCell *cell;
    foreach (cell, RelationGetIndexList(relation))
      decided = decided || IsFoundByIndex(closure, number, relation, lfirst_oid(cell));
  }
  table_close(relation, NoLock);
  return decided;
}

// Whether both rows agree in all columns, by equalities that leave nothing to see.
bool AreAllColumnsFixed(const Closure &closure, Index number, const RangeTblEntry *entry) {
  int count = list_length(entry->eref->colnames);
  for (AttrNumber column = 1; column <= count; column++) {
    bool found = false;
    ListCell *cell;
    foreach (cell, closure.fixed) {
      auto *fixed = static_cast<Fixed *>(lfirst(cell));
      if (fixed->relation != number || fixed->column != column) continue;
      Oid family = lookup_type_cache(fixed->type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
      found |= !OidIsValid(fixed->equality) || (OidIsValid(family) && op_in_opfamily(fixed->equality, family) &&
                                                IsEqualTheSame(fixed->type, fixed->typmod, fixed->collation));
    }
    if (!found) return false;
  }
  return count > 0;
}

// The same of a subquery, for which the columns that are fixed are known values.
bool IsQueryDecided(const Closure &closure, Index number, const QueryLevel &inner) {
  List *known = NIL;
  ListCell *cell, *output;
  foreach (cell, closure.fixed) {
    auto *fixed = static_cast<Fixed *>(lfirst(cell));
    if (fixed->relation != number) continue;
    foreach (output, inner.query->targetList) {
      auto *entry = lfirst_node(TargetEntry, output);
      // under another collation it is not the equality by which the query itself compares
      if (entry->resjunk || entry->resno != fixed->column ||
          (OidIsValid(fixed->equality) &&
           !IsSameCollation(fixed->collation, exprCollation(reinterpret_cast<Node *>(entry->expr)))))
        continue;
      auto *value = static_cast<KnownValue *>(palloc(sizeof(KnownValue)));
      *value = {reinterpret_cast<Node *>(entry->expr), fixed->equality};
      known = lappend(known, value);
    }
  }
  return TellApart(inner, known, RowsOf::kOutput);
}

// Whether one of the functions of the entry returns a set.
bool ReturnsRows(const RangeTblEntry *entry) {
  ListCell *cell;
  foreach (cell, entry->functions)
    if (expression_returns_set(lfirst_node(RangeTblFunction, cell)->funcexpr)) return true;
  return false;
}

// Whether the row of a relation of FROM is the same in both rows.
bool IsDecided(const Closure &closure, Index number) {
  RangeTblEntry *entry = rt_fetch(number, closure.level->query->rtable);
  if (AreAllColumnsFixed(closure, number, entry)) return true;
  QueryLevel inner;
  switch (entry->rtekind) {
    case RTE_RELATION: return IsTableDecided(closure, number, entry);
    case RTE_SUBQUERY:
      inner = {entry->subquery, closure.level};
      return bms_is_subset(RelationsReadBy(closure, reinterpret_cast<Node *>(entry->subquery), 1), closure.decided) &&
             IsQueryDecided(closure, number, inner);
    case RTE_CTE: return FindCte(*closure.level, entry, &inner) && IsQueryDecided(closure, number, inner);
    case RTE_FUNCTION: {
      Node *calls = reinterpret_cast<Node *>(entry->functions);
      if (!bms_is_subset(RelationsReadBy(closure, calls, 0), closure.decided)) return false;
      AttrNumber last = static_cast<AttrNumber>(list_length(entry->eref->colnames));
      return !ReturnsRows(entry) ||
             (entry->funcordinality && FindFixed(closure, number, last, INTEGER_BTREE_FAM_OID, InvalidOid));
    }
    case RTE_VALUES: return list_length(entry->values_lists) == 1;
    case RTE_RESULT: return true;
    default: return false;
  }
}

// Works out what follows from the known values.
Closure CloseOver(const QueryLevel &level, const List *known) {
  Closure closure = {&level, nullptr, nullptr, NIL, true};
  Node *from = reinterpret_cast<Node *>(level.query->jointree);
  AddFromRelations(from, &closure.relations);
  ListCell *cell;
  foreach (cell, known) {
    auto *value = static_cast<KnownValue *>(lfirst(cell));
    Var *column = OwnColumn(level.query, value->expression);
    if (column) FixColumn(&closure, column, value->equality, exprCollation(value->expression), false);
  }
  while (closure.changed) {
    closure.changed = false;
    ApplyJoins(&closure, from);
    int number = -1;
    while ((number = bms_next_member(closure.relations, number)) >= 0) {
      if (bms_is_member(number, closure.decided) || !IsDecided(closure, static_cast<Index>(number))) continue;
      closure.decided = bms_add_member(closure.decided, number);
      closure.changed = true;
    }
  }
  return closure;
}

// ---- Groups and output ------------------------------------------------------------------------------------------

// Whether rows that agree in the known values agree in an expression that is sorted or grouped by.
bool IsKnown(const List *known, Node *expression, Oid equality) {
  ListCell *cell;
  foreach (cell, known) {
    auto *value = static_cast<KnownValue *>(lfirst(cell));
    if (!equal(value->expression, expression)) continue;
    if (!OidIsValid(value->equality) || value->equality == equality) return true;
    ListCell *family;
    foreach (family, get_mergejoin_opfamilies(equality))
      if (op_in_opfamily(value->equality, lfirst_oid(family))) return true;
  }
  return false;
}

// The same of all that the clauses sort or group by.
bool AreKnown(const Query *query, const List *clauses, const List *known) {
  ListCell *cell;
  foreach (cell, clauses) {
    auto *clause = lfirst_node(SortGroupClause, cell);
    if (!IsKnown(known, get_sortgroupclause_expr(clause, query->targetList), clause->eqop)) return false;
  }
  return true;
}

// The groups, if each of what is grouped by is known or follows from the rest.
bool AreGroupsTold(const QueryLevel &level, const List *known) {
  const Query *query = level.query;
  if (AreKnown(query, query->groupClause, known)) return true;
  Closure closure = CloseOver(level, known);
  ListCell *cell;
  foreach (cell, query->groupClause) {
    auto *clause = lfirst_node(SortGroupClause, cell);
    Node *expression = get_sortgroupclause_expr(clause, query->targetList);
    if (IsKnown(known, expression, clause->eqop)) continue;
    expression = ResolveColumn(query, expression);
    if (!bms_is_subset(RelationsReadBy(closure, expression, 0), closure.decided)) return false;
  }
  return true;
}

bool IsAllOutputKnown(const Query *query, const List *known) {
  ListCell *cell;
  foreach (cell, query->targetList) {
    auto *entry = lfirst_node(TargetEntry, cell);
    Node *expression = reinterpret_cast<Node *>(entry->expr);
    if (entry->resjunk) continue;
    Oid equality = lookup_type_cache(exprType(expression), TYPECACHE_EQ_OPR)->eq_opr;
    if (!OidIsValid(equality) || !IsKnown(known, expression, equality) || !IsEqualTheSame(expression)) return false;
  }
  return true;
}

// LIMIT 1, or less
bool IsCutToOne(const Query *query) {
  if (query->limitOption == LIMIT_OPTION_WITH_TIES || query->limitCount == nullptr || !IsA(query->limitCount, Const))
    return false;
  auto *limit = reinterpret_cast<Const *>(query->limitCount);
  return !limit->constisnull && DatumGetInt64(limit->constvalue) <= 1;
}

// Of floats, 0 and -0 are equal; what is converted is never -0.
bool IsConverted(Node *expression) {
  expression = WithoutRelabels(expression);
  if (expression == nullptr || !IsA(expression, FuncExpr)) return false;
  switch (reinterpret_cast<FuncExpr *>(expression)->funcid) {
    case F_FLOAT8_INT2:
    case F_FLOAT8_INT4:
    case F_FLOAT8_INT8:
    case F_FLOAT8_NUMERIC: return true;
    default: return false;
  }
}

// bpchar, whose trailing blanks do not count, is filled up to its length, and numeric to its scale.
bool IsPlainlySame(Oid type, int32 typmod, Oid collation) {
  switch (type) {
    case BPCHAROID:
      return typmod >= static_cast<int32>(VARHDRSZ) && OidIsValid(collation) &&
             get_collation_isdeterministic(collation);
    case INETOID:
    case CIDROID:
    case BITOID:
    case VARBITOID:
    case TIMETZOID: return true;
    case NUMERICOID: return typmod >= static_cast<int32>(VARHDRSZ);
    default: return get_typtype(type) == TYPTYPE_ENUM;
  }
}

}  // namespace

bool IsEqualTheSame(Oid type, int32 typmod, Oid collation) {
  type = getBaseTypeAndTypmod(type, &typmod);
  Oid element = get_element_type(type);
  if (OidIsValid(element)) return IsEqualTheSame(element, typmod, collation);
  if (type_is_multirange(type)) type = get_multirange_range(type);
  if (type_is_range(type)) return IsEqualTheSame(get_range_subtype(type), -1, get_range_collation(type));
  if (IsPlainlySame(type, typmod, collation)) return true;
  if (type == BPCHAROID) return false;
  if (type_is_collatable(type) && !OidIsValid(collation)) return false;
  Oid opclass = GetDefaultOpClass(type, BTREE_AM_OID);
  if (!OidIsValid(opclass)) return false;
  Oid input = get_opclass_input_type(opclass);
  Oid tells = get_opfamily_proc(get_opclass_family(opclass), input, input, BTEQUALIMAGE_PROC);
  if (!OidIsValid(tells) || tells >= FirstNormalObjectId) return false;
  return DatumGetBool(OidFunctionCall1Coll(tells, collation, ObjectIdGetDatum(input)));
}

bool IsEqualTheSame(Node *expression) {
  return IsConverted(expression) ||
         IsEqualTheSame(exprType(expression), exprTypmod(expression), exprCollation(expression));
}

List *AddKnown(const Query *query, const List *sort_clauses, List *known) {
  ListCell *cell;
  foreach (cell, sort_clauses) {
    auto *clause = lfirst_node(SortGroupClause, cell);
    auto *value = static_cast<KnownValue *>(palloc(sizeof(KnownValue)));
    *value = {get_sortgroupclause_expr(const_cast<SortGroupClause *>(clause), query->targetList), clause->eqop};
    known = lappend(known, value);
  }
  return known;
}

bool TellApart(const QueryLevel &level, const List *known, RowsOf rows) {
  const Query *query = level.query;
  if (rows >= RowsOf::kShown && IsAllOutputKnown(query, known)) return true;
  if (rows >= RowsOf::kUncut && query->distinctClause != NIL && AreKnown(query, query->distinctClause, known))
    return true;
  if (rows >= RowsOf::kOutput && IsCutToOne(query)) return true;
  if (query->setOperations || (rows >= RowsOf::kShown && query->hasTargetSRFs)) return false;
  if (rows != RowsOf::kFrom) {
    if (query->groupingSets != NIL) return false;
    if (query->groupClause != NIL) return AreGroupsTold(level, known);
    if (query->hasAggs || query->havingQual) return true;
  }
  Closure closure = CloseOver(level, known);
  return bms_is_subset(closure.relations, closure.decided);
}

const Query *FindCte(const QueryLevel &level, const RangeTblEntry *entry, QueryLevel *found) {
  if (entry->self_reference) return nullptr;
  const QueryLevel *owner = &level;
  for (Index i = 0; i < entry->ctelevelsup && owner; i++) owner = owner->outer;
  if (owner == nullptr) return nullptr;
  ListCell *cell;
  foreach (cell, owner->query->cteList) {
    auto *cte = lfirst_node(CommonTableExpr, cell);
    if (strcmp(cte->ctename, entry->ctename) != 0) continue;
    *found = {castNode(Query, cte->ctequery), owner};
    return found->query;
  }
  return nullptr;
}

}  // namespace aggcache
