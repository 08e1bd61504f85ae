// Goes from the outer query to the inner ones, which are asked about by what becomes of their rows. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/row_order.h"

#include "pg/body/row_identity.h"

namespace aggcache {

namespace {

// What becomes of the rows of a query.
enum class Use : uint8_t {
  kAsSet,    // in whatever order they come
  kInOrder,  // what is made of them depends on it
  kFirst,    // only the first one is taken
  kExists    // only whether there is one
};

struct OrderSearch {
  List *relations;  // found, Oids
  List *ctes;       // queries of CTEs that have been looked at as kInOrder
};

// ---- Aggregates and window functions ----------------------------------------------------------------------------

bool IsOneOf(const char *name, const char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

template <int count>
bool IsOneOf(const char *name, const char *const (&names)[count]) {
  return IsOneOf(name, names, count);
}

// Of any arguments.
constexpr const char *kFree[] = {"count",   "bool_and", "bool_or",    "every",      "bit_and",      "bit_or",
                                 "bit_xor", "rank",     "regr_count", "dense_rank", "percent_rank", "cume_dist"};
// Sums of floats depend on the order in which they are rounded.
constexpr const char *kFreeUnlessFloat[] = {"sum",         "avg",      "stddev",  "stddev_pop",
                                            "stddev_samp", "variance", "var_pop", "var_samp"};
// Which of equal values they show.
constexpr const char *kFreeIfEqualIsTheSame[] = {
    "min", "max", "mode", "percentile_cont", "percentile_disc", "range_agg", "range_intersect_agg"};

// Whether the function gives the same for the same rows in any order.
bool IsOrderFree(Oid function, const List *arguments) {
  if (function >= FirstNormalObjectId) return false;
  const char *name = get_func_name(function);
  if (name == nullptr) return false;
  if (IsOneOf(name, kFree)) return true;
  if (arguments == NIL) return false;
  Node *argument = static_cast<Node *>(linitial(arguments));
  if (IsOneOf(name, kFreeUnlessFloat))
    return exprType(argument) != FLOAT4OID && exprType(argument) != FLOAT8OID &&
           exprType(argument) < FirstNormalObjectId;
  return IsOneOf(name, kFreeIfEqualIsTheSame) && IsEqualTheSame(argument);
}

List *ExpressionsOf(const List *entries) {
  List *expressions = NIL;
  ListCell *cell;
  foreach (cell, entries) {
    auto *entry = lfirst_node(TargetEntry, cell);
    if (!entry->resjunk) expressions = lappend(expressions, entry->expr);
  }
  return expressions;
}

const SortGroupClause *ClauseOf(const TargetEntry *entry, const List *clauses) {
  ListCell *cell;
  foreach (cell, clauses)
    if (entry->ressortgroupref && lfirst_node(SortGroupClause, cell)->tleSortGroupRef == entry->ressortgroupref)
      return lfirst_node(SortGroupClause, cell);
  return nullptr;
}

// Whether inputs that compare equal are the same to see.
bool AreTiesAlike(const Aggref *aggregate, const List *clauses) {
  ListCell *cell;
  foreach (cell, aggregate->args) {
    auto *entry = lfirst_node(TargetEntry, cell);
    Node *expression = reinterpret_cast<Node *>(entry->expr);
    if (entry->resjunk || IsA(expression, Const)) continue;
    if (ClauseOf(entry, clauses) == nullptr || !IsEqualTheSame(expression)) return false;
  }
  return true;
}

// Whether the aggregate's value depends on the order of its inputs.
bool IsAggregateOpen(const QueryLevel &level, const Aggref *aggregate) {
  if (aggregate->aggdistinct != NIL) {
    const char *name = aggregate->aggfnoid < FirstNormalObjectId ? get_func_name(aggregate->aggfnoid) : nullptr;
    // Which of equal values is kept; they come in order.
    return !(name && strcmp(name, "count") == 0) && !AreTiesAlike(aggregate, aggregate->aggdistinct);
  }
  if (IsOrderFree(aggregate->aggfnoid, ExpressionsOf(aggregate->args))) return false;
  if (aggregate->aggorder == NIL || aggregate->aggkind != AGGKIND_NORMAL) return true;
  if (AreTiesAlike(aggregate, aggregate->aggorder)) return false;
  List *known = level.query->groupingSets == NIL ? AddKnown(level.query, level.query->groupClause, NIL) : NIL;
  ListCell *cell;
  foreach (cell, aggregate->args) {
    auto *entry = lfirst_node(TargetEntry, cell);
    const SortGroupClause *clause = ClauseOf(entry, aggregate->aggorder);
    if (clause == nullptr) continue;
    auto *value = static_cast<KnownValue *>(palloc(sizeof(KnownValue)));
    *value = {reinterpret_cast<Node *>(entry->expr), clause->eqop};
    known = lappend(known, value);
  }
  return !TellApart(level, known, RowsOf::kFrom);
}

// Whether the frame of each row is its whole partition.
bool HoldsWholePartition(const WindowClause *window) {
  constexpr int kWhole = FRAMEOPTION_START_UNBOUNDED_PRECEDING | FRAMEOPTION_END_UNBOUNDED_FOLLOWING;
  return (window->frameOptions & kWhole) == kWhole && (window->frameOptions & FRAMEOPTION_EXCLUSION) == 0;
}

// Whether the window function's value depends on the order of rows that its window leaves open.
bool IsWindowOpen(const QueryLevel &level, const WindowFunc *function) {
  const Query *query = level.query;
  const WindowClause *window = nullptr;
  ListCell *cell;
  foreach (cell, query->windowClause)
    if (lfirst_node(WindowClause, cell)->winref == function->winref) window = lfirst_node(WindowClause, cell);
  if (window == nullptr) return true;
  // Rows that are peers have the same frame, unless it is counted in rows.
  bool by_peers = (window->frameOptions & FRAMEOPTION_ROWS) == 0 || HoldsWholePartition(window) || !function->winagg;
  if (by_peers && IsOrderFree(function->winfnoid, function->args)) return false;
  List *known = AddKnown(query, window->partitionClause, NIL);
  return !TellApart(level, AddKnown(query, window->orderClause, known), RowsOf::kGroups);
}

struct FunctionSearch {
  QueryLevel level;
  Index depth;
};

// Finds an aggregate or a window function of the level whose value depends on the order of rows.
bool OpenFunctionWalker(Node *node, void *context) {
  auto *search = static_cast<FunctionSearch *>(context);
  if (node == nullptr) return false;
  if (IsA(node, Aggref)) {
    auto *aggregate = reinterpret_cast<Aggref *>(node);
    if (aggregate->agglevelsup == search->depth && IsAggregateOpen(search->level, aggregate)) return true;
  } else if (IsA(node, WindowFunc) && search->depth == 0) {
    if (IsWindowOpen(search->level, reinterpret_cast<WindowFunc *>(node))) return true;
  } else if (IsA(node, Query)) {
    search->depth++;
    bool found = compat::WalkQuery(reinterpret_cast<Query *>(node), OpenFunctionWalker, context);
    search->depth--;
    return found;
  }
  return compat::WalkExpression(node, OpenFunctionWalker, context);
}

// ---- Queries ----------------------------------------------------------------------------------------------------

// Whether which of equal rows is shown can be seen.
bool MergesDifferent(const Query *query, const List *clauses) {
  ListCell *cell;
  foreach (cell, clauses)
    if (!IsEqualTheSame(get_sortgroupclause_expr(lfirst_node(SortGroupClause, cell), query->targetList))) return true;
  return false;
}

// The same of set operations.
bool MergesDifferent(const Node *operation) {
  if (!IsA(operation, SetOperationStmt)) return false;
  auto *set = reinterpret_cast<const SetOperationStmt *>(operation);
  if (MergesDifferent(set->larg) || MergesDifferent(set->rarg)) return true;
  ListCell *type, *typmod, *collation;
  if (!set->all)
    forthree(type, set->colTypes, typmod, set->colTypmods, collation,
             set->colCollations) if (!IsEqualTheSame(lfirst_oid(type), lfirst_int(typmod),
                                                     lfirst_oid(collation))) return true;
  return false;
}

// Whether it takes some of its rows, by their order.
bool IsCut(const Query *query, Use use) {
  auto is_given = [](Node *bound) {
    return bound && !(IsA(bound, Const) && reinterpret_cast<Const *>(bound)->constisnull);
  };
  if (is_given(query->limitOffset)) return true;
  if (use == Use::kExists) return false;
  return use == Use::kFirst || (is_given(query->limitCount) && query->limitOption != LIMIT_OPTION_WITH_TIES);
}

// Whether what the query makes of the rows of its FROM depends on their order.
bool QueryShowsOrder(const QueryLevel &level, Use use) {
  const Query *query = level.query;
  if (use == Use::kInOrder || IsCut(query, use)) {
    List *sorted = AddKnown(query, query->sortClause, NIL);
    if (!TellApart(level, sorted, RowsOf::kUncut)) return true;
  }
  if (query->hasDistinctOn && use != Use::kExists) {
    List *sorted = AddKnown(query, query->sortClause, AddKnown(query, query->distinctClause, NIL));
    if (!TellApart(level, sorted, RowsOf::kShown)) return true;
  }
  if (use != Use::kExists && !query->hasDistinctOn && MergesDifferent(query, query->distinctClause)) return true;
  if (MergesDifferent(query, query->groupClause)) return true;
  if (query->setOperations && MergesDifferent(query->setOperations)) return true;
  FunctionSearch search = {level, 0};
  return compat::WalkQuery(const_cast<Query *>(query), OpenFunctionWalker, &search);
}

void VisitQuery(OrderSearch *search, const QueryLevel &level, Use use);

struct SublinkSearch {
  OrderSearch *search;
  const QueryLevel *level;
  bool in_order;
};

// A sub-select that becomes part of a join can decide in which order the rows of the query come.
bool SublinkWalker(Node *node, void *context) {
  auto *sublinks = static_cast<SublinkSearch *>(context);
  if (node == nullptr || IsA(node, Query)) return false;
  if (IsA(node, SubLink)) {
    auto *link = reinterpret_cast<SubLink *>(node);
    Use use = sublinks->in_order ? Use::kInOrder : Use::kAsSet;
    if (link->subLinkType == ARRAY_SUBLINK) use = Use::kInOrder;
    if (link->subLinkType == EXPR_SUBLINK) use = Use::kAsSet;
    if (link->subLinkType == EXISTS_SUBLINK && !sublinks->in_order) use = Use::kExists;
    QueryLevel inner = {castNode(Query, link->subselect), sublinks->level};
    VisitQuery(sublinks->search, inner, use);
  }
  return compat::WalkExpression(node, SublinkWalker, context);
}

void VisitQuery(OrderSearch *search, const QueryLevel &level, Use use) {
  check_stack_depth();
  const Query *query = level.query;
  const bool in_order = QueryShowsOrder(level, use);
  ListCell *cell;
  foreach (cell, query->rtable) {
    auto *entry = lfirst_node(RangeTblEntry, cell);
    QueryLevel inner;
    if (entry->rtekind == RTE_RELATION && in_order) {
      search->relations = list_append_unique_oid(search->relations, entry->relid);
    } else if (entry->rtekind == RTE_SUBQUERY) {
      inner = {entry->subquery, &level};
      VisitQuery(search, inner, in_order ? Use::kInOrder : Use::kAsSet);
    } else if (entry->rtekind == RTE_CTE && in_order && FindCte(level, entry, &inner) &&
               !list_member_ptr(search->ctes, inner.query)) {
      search->ctes = lappend(search->ctes, const_cast<Query *>(inner.query));
      VisitQuery(search, inner, Use::kInOrder);
    }
  }
  foreach (cell, query->cteList) {
    auto *cte = lfirst_node(CommonTableExpr, cell);
    QueryLevel inner = {castNode(Query, cte->ctequery), &level};
    VisitQuery(search, inner, Use::kAsSet);
  }
  SublinkSearch sublinks = {search, &level, in_order};
  (void)compat::WalkQuery(const_cast<Query *>(query), SublinkWalker, &sublinks);
}

}  // namespace

List *RelationsShowingOrder(const Query *query, bool returns_set) {
  OrderSearch search = {NIL, NIL};
  QueryLevel level = {query, nullptr};
  VisitQuery(&search, level, returns_set ? Use::kAsSet : Use::kFirst);
  return search.relations;
}

}  // namespace aggcache
