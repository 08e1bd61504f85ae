// aggcache.explain(function, args...): what the result of one call depends on, appearance by appearance, as rows.

#include "pg/base/server.h"

#include "pg/call/decision.h"
#include "pg/call/key.h"
#include "pg/facts/own_code.h"
#include "pg/sql/described_call.h"
#include "pg/sql/row.h"
#include "pg/watch/clauses.h"
#include "pg/watch/dependencies.h"
#include "pg/watch/fits.h"
#include "pg/watch/ranges.h"
#include "pg/watch/sharing.h"
#include "pg/watch/values.h"

namespace aggcache {

namespace {

struct CallExplanation {
  DescribedCall call;
  bool shows_values;  // computed by the body, to the current role
  Dependencies dependencies;
  List *proposals;  // WatchProposal
  List *lines;      // Line
};

// One row of the answer. A NULL text is null.
struct Line {
  Oid relation;
  const char *granularity;
  const char *watch;
  const char *clause;
  int tags;
  const char *finer;
  const char *words;
};

void KeepLine(CallExplanation *explanation, const Line &line) {
  auto *kept = static_cast<Line *>(palloc(sizeof(Line)));
  *kept = line;
  explanation->lines = lappend(explanation->lines, kept);
}

void PutLine(Row *row, const Line &line) {
  row->Object(line.relation);
  row->Text(line.granularity);
  row->Text(line.watch);
  row->Text(line.clause);
  row->Int(line.tags);
  row->Text(line.finer);
  row->Text(line.words);
  row->End();
}

void PlanCall(CallExplanation *explanation) {
  const DescribedCall &call = explanation->call;
  LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
  SetArguments(call, fcinfo);
  Definition *definition = call.definition;
  AcquireRewriteLocks(static_cast<Query *>(copyObjectImpl(definition->query)), true, false);
  PlanWithDependencies(definition, CallParameters(definition, fcinfo, call.hidden), &explanation->dependencies);
  explanation->proposals = ProposeWatches(definition);
}

const char *GranularityOf(const RelationDependency &item) {
  if (item.tag_count == 0) return "nothing";
  if (item.by_range) return "range";
  if (item.by_leaves) return "partitions";
  if (item.watch == nullptr) return "table";
  return item.watch->key_count > 0 ? "key" : "columns";
}

// The watch that would tell conditions apart which the one that is used was made to do without, in words, or NULL.
const char *FindLackingCondition(const CallExplanation &explanation, Relation relation,
                                 const RelationDependency &item) {
  if (item.watch == nullptr) return nullptr;
  ListCell *cell, *proposed;
  foreach (cell, ReadWatches(relation)) {
    auto *watch = static_cast<Watch *>(lfirst(cell));
    if (watch->id != item.watch->id) continue;
    foreach (proposed, explanation.proposals) {
      auto *proposal = static_cast<WatchProposal *>(lfirst(proposed));
      if (proposal->relation == item.relation && LacksConditions(relation, *watch, proposal->watch))
        return psprintf("a watch %s, for which the table has too many", DescribeWatch(relation, proposal->watch));
    }
  }
  return nullptr;
}

bool HasLongListWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, ScalarArrayOpExpr)) {
    auto *list = static_cast<Node *>(lsecond(reinterpret_cast<ScalarArrayOpExpr *>(node)->args));
    if (!IsA(list, Const) || reinterpret_cast<Const *>(list)->constisnull) return false;
    ArrayType *array = DatumGetArrayTypeP(reinterpret_cast<Const *>(list)->constvalue);
    return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) > kMostValues;
  }
  return compat::WalkExpression(node, HasLongListWalker, nullptr);
}

// The limit that kept changes from being told apart further, in words, or NULL.
const char *FindLimit(Relation relation, const RelationDependency &item) {
  if (item.limit.kind != JoinLimit::Kind::kNone) {
    const char *other = OidIsValid(item.limit.relation) ? QualifiedRelationName(item.limit.relation) : "the query";
    if (item.limit.kind == JoinLimit::Kind::kManyValues)
      return psprintf("fewer rows of %s that it is joined with: more than %d values are not told apart", other,
                      kMostJoinValues);
    return psprintf(
        "fewer rows of %s that it is joined with: their values are read if at most %.0f are expected, or "
        "%.0f of a table without conditions",
        other, kMostJoinRows, kMostRowsOfTable);
  }
  if (!item.by_range && HasLongListWalker(reinterpret_cast<Node *>(item.other_clauses), nullptr))
    return psprintf("a shorter list: more than %d values are not told apart", kMostValues);
  if (item.many_tags)
    return psprintf("fewer values, or a shorter range: together they have more than %d tags", kMostTags);
  if (item.outside)
    return psprintf(
        "wider cells, which reach further, by aggcache.set_cell_width(): values of %s so far out are not "
        "told apart",
        quote_identifier(get_attname(item.relation, item.watch->range_column, false)));
  if (item.watch && item.watch->range_column && !item.by_range && item.clauses == NIL) {
    RangeColumn column;
    if (DescribeRangeColumn(relation, item.watch->range_column, item.watch->range_width, &column) &&
        column.kind == RangeKind::kText)
      return "a pattern that begins with plain characters";
  }
  return nullptr;
}

// What would tell more changes apart, in words, or NULL.
const char *FinerThan(const CallExplanation &explanation, Relation relation, const RelationDependency &item) {
  if (item.tag_count == 0) return nullptr;
  if (item.any_column)
    return "fewer columns or values, or a shorter range: with these, the columns of the watch are not told apart";
  if (const char *condition = FindLackingCondition(explanation, relation, item)) return condition;
  if (const char *limit = FindLimit(relation, item)) return limit;
  if (item.by_range && item.watch->key_count > 0) return nullptr;
  if (item.by_range) return "an equality of a column with an argument, beside the range";
  if (item.watch && item.watch->range_column) return "a bound of the range";
  if (item.watch && item.watch->key_count > 0)
    return "a range of a date or number, or an equality of a further column with an argument";
  ListCell *cell;
  List *watches = ReadWatches(relation);
  foreach (cell, explanation.proposals) {
    auto *proposal = static_cast<WatchProposal *>(lfirst(cell));
    bool in_force = proposal->relation != item.relation;
    ListCell *watch;
    foreach (watch, watches) in_force |= Serves(relation, *static_cast<Watch *>(lfirst(watch)), proposal->watch);
    if (!in_force && !HasRoomFor(relation, ReadWantedWatches(relation), proposal->watch))
      return psprintf("a watch %s, for which the table has too many", DescribeWatch(relation, proposal->watch));
    if (!in_force)
      return psprintf("a watch %s, which aggcache.refresh() makes", DescribeWatch(relation, proposal->watch));
  }
  int constant = item.watch ? list_length(item.watch->predicate) : 0;
  if (list_length(item.other_clauses) <= constant)
    return "an equality of a column with an argument, or a range of a date or number";
  return "an equality of a column itself with an argument, or a range of a date or number: what its clauses compare "
         "is neither";
}

const char *FinerInOrder(const CallExplanation &explanation, Relation relation, const RelationDependency &item) {
  const char *finer = FinerThan(explanation, relation, item);
  if (!item.by_order || item.tag_count == 0) return finer;
  return psprintf("%s%san ORDER BY that leaves no ties: as it is, the order of rows shows, and every column counts",
                  finer ? finer : "", finer ? "; and " : "");
}

char *Deparse(Relation relation, List *clauses) {
  if (clauses == NIL) return nullptr;
  List *context = deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));
  Node *all = reinterpret_cast<Node *>(make_ands_explicit(clauses));
  return deparse_expression(all, context, false, false);
}

// The line for who must not see what the body computes: what the values choose is left out too.
Line DescribeWithoutValues(const RelationDependency &item) {
  Line line = {item.relation, GranularityOf(item), nullptr, nullptr, item.tag_count, nullptr, nullptr};
  const char *name = QualifiedRelationName(item.relation);
  if (item.tag_count == 0)
    line.words = psprintf("no row of %s can pass its conditions, so no change of rows invalidates", name);
  else if (item.by_leaves)
    line.words = psprintf("reads some partitions of %s as a whole", name);
  else if (item.watch == nullptr)
    line.words = psprintf("reads %s as a whole, so any change of its rows invalidates", name);
  else
    line.words = psprintf("reads some rows of %s: the owner of the function is told which", name);
  return line;
}

Line DescribeItem(const CallExplanation &explanation, const RelationDependency &item) {
  if (!explanation.shows_values) return DescribeWithoutValues(item);
  Relation relation = table_open(item.relation, AccessShareLock);
  Line line;
  line.relation = item.relation;
  line.granularity = GranularityOf(item);
  line.watch = item.watch ? DescribeWatch(relation, *item.watch) : nullptr;
  line.clause = Deparse(relation, item.clauses);
  line.tags = item.tag_count;
  line.finer = FinerInOrder(explanation, relation, item);
  const char *name = QualifiedRelationName(item.relation);
  if (item.tag_count == 0)
    line.words = psprintf("no row of %s can pass its conditions, so no change of rows invalidates", name);
  else if (item.by_leaves)
    line.words = psprintf("reads %d partitions of %s as a whole", list_length(item.leaves), name);
  else if (line.watch == nullptr)
    line.words = psprintf("reads %s as a whole, so any change of its rows invalidates", name);
  else
    line.words = psprintf("reads %s %s%s%s", name, line.watch, line.clause ? ", because of " : "",
                          line.clause ? line.clause : "");
  table_close(relation, NoLock);
  return line;
}

void SayObstacle(CallExplanation *explanation, const char *obstacle) {
  explanation->lines = NIL;
  KeepLine(explanation, {InvalidOid, "none", nullptr, nullptr, 0, nullptr, psprintf("not cached: %s", obstacle)});
}

void ExplainCall(void *context) {
  auto *explanation = static_cast<CallExplanation *>(context);
  Obstacle obstacle = FindSessionObstacle();
  if (!obstacle) obstacle = PrepareCall(&explanation->call);
  Definition *definition = explanation->call.definition;
  if (!obstacle) obstacle = FindFunctionObstacle(definition);
  if (!obstacle) obstacle = FindRoleObstacle(definition);
  if (!obstacle && MayApplyOthersOperators(definition->query)) obstacle = Because(Reason::kOthersOperators);
  if (obstacle) {
    // The error of a hidden parameter whose function was stopped has been dropped.
    SayObstacle(explanation, StoppedFunction() ? StoppedFunction() : obstacle.Sentence());
    return;
  }
  definition->pins++;
  PG_TRY();
  { PlanCall(explanation); }
  PG_FINALLY();
  { definition->pins--; }
  PG_END_TRY();
  for (int i = 0; i < explanation->dependencies.count; i++)
    KeepLine(explanation, DescribeItem(*explanation, explanation->dependencies.items[i]));
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_explain_call);
PGDLLEXPORT Datum aggcache_explain_call(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  if (PG_ARGISNULL(0)) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("function must not be null")));
  RequirePreloaded();
  Oid function = PG_GETARG_OID(0);
  FunctionRow row = RequireCached(function);
  if (!compat::CanExecute(function, GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("permission denied for function %s", format_procedure(function))));
  CallExplanation explanation;
  memset(static_cast<void *>(&explanation), 0, sizeof(explanation));
  DescribeCall(fcinfo, &explanation.call);
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  const ActAs act_as = ActAsFor(row);
  // What runs as the caller computes what the caller can compute.
  explanation.shows_values = act_as == ActAs::kOwner || !row.definer;
  const char *problem = RunGuarded(row, act_as, Afterwards::kUndo, ExplainCall, &explanation);
  if (problem) SayObstacle(&explanation, problem);
  Row answer(fcinfo);
  ListCell *cell;
  foreach (cell, explanation.lines) PutLine(&answer, *static_cast<Line *>(lfirst(cell)));
  return Datum{0};
}
}
