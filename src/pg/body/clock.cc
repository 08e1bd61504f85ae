// Rounding is tried: the clock is replaced by three moments within a second. What rounds it has the same value at two
// neighbouring ones at least, as there is at most one edge between the three. Where that takes the arguments of the
// call, the trial is an expression, which is evaluated at the call. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/clock.h"

#include "pg/base/attempt.h"
#include "pg/body/expressions.h"
#include "pg/body/opacity.h"
#include "pg/facts/function_facts.h"

#include <initializer_list>

namespace aggcache {

namespace {

constexpr int kMoments = 3;
// In microseconds since 2000, at two seconds. Their digits and parities are such that no part of a second repeats.
constexpr int64 kTrials[][kMoments] = {{763047922314159, 763047922584162, 763047922924163},
                                       {848290131107233, 848290131377236, 848290131717237}};
constexpr int kLargest = 64;  // nodes of what is tried

enum class Rounding : uint8_t { kNone, kRounds, kAtCall };

// Whether the node itself tells the moment.
bool IsClockNode(Node *node) {
  if (IsA(node, SQLValueFunction)) return IsClockValue(reinterpret_cast<SQLValueFunction *>(node)->op);
  return IsA(node, FuncExpr) && IsClockFunction(reinterpret_cast<FuncExpr *>(node)->funcid);
}

// The same, rounded to a second, as current_timestamp(0).
bool IsWholeSeconds(Node *node) {
  return IsA(node, SQLValueFunction) && reinterpret_cast<SQLValueFunction *>(node)->typmod == 0;
}

bool ClockNodeWalker(Node *node, void *) {
  if (node == nullptr) return false;
  return IsClockNode(node) || compat::WalkExpression(node, ClockNodeWalker, nullptr);
}

bool IsBuiltInCall(Node *node, const char *name) {
  if (!IsA(node, FuncExpr) || !IsBuiltIn(reinterpret_cast<FuncExpr *>(node)->funcid)) return false;
  const char *function = get_func_name(reinterpret_cast<FuncExpr *>(node)->funcid);
  return function && strcmp(function, name) == 0;
}

// Whether the node rounds whatever it gets, also what functions of users make of the clock: a day, a yes or no, or what
// date_trunc rounds to a second or more.
bool RoundsAnything(Node *node) {
  if (!IsExpression(node)) return false;
  if (exprType(node) == DATEOID || exprType(node) == BOOLOID) return true;
  if (!IsBuiltInCall(node, "date_trunc")) return false;
  auto *unit = static_cast<Const *>(linitial(reinterpret_cast<FuncExpr *>(node)->args));
  if (!IsA(unit, Const) || unit->constisnull) return false;
  const char *name = TextDatumGetCString(unit->constvalue);
  for (const char *part : {"micro", "milli", "ms", "us"})
    if (pg_strncasecmp(name, part, strlen(part)) == 0) return false;
  return true;
}

// ---- Moments in the place of the clock ----------------------------------------------------------------------------

bool IsMomentType(Oid type) { return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == TIMEOID; }

Node *MomentOf(Oid type, int64 moment) {
  if (type == DATEOID)
    return reinterpret_cast<Node *>(makeConst(type, -1, InvalidOid, sizeof(DateADT),
                                              DateADTGetDatum(static_cast<DateADT>(moment / USECS_PER_DAY)), false,
                                              true));
  const int64 value = type == TIMEOID ? moment % USECS_PER_DAY : moment;
  return reinterpret_cast<Node *>(
      makeConst(type, -1, InvalidOid, sizeof(int64), Int64GetDatum(value), false, FLOAT8PASSBYVAL));
}

struct Replacing {
  int64 moment;
  bool replaced;
  bool failed;  // something shows the clock that cannot be replaced
};

Node *MomentMutator(Node *node, void *argument) {
  auto *replacing = static_cast<Replacing *>(argument);
  if (node == nullptr || replacing->failed) return node;
  if (IsA(node, SQLValueFunction) && reinterpret_cast<SQLValueFunction *>(node)->op == SVFOP_CURRENT_DATE)
    return MomentOf(DATEOID, replacing->moment);
  if (IsExpression(node) && ClockNodeWalker(node, nullptr)) {
    const bool is_moment = IsMomentType(exprType(node));
    const bool direct = IsClockNode(node);
    // now() - $1 is as good a moment as any other
    if (direct || (is_moment && HasParameter(node))) {
      replacing->failed = !is_moment || (!direct && !ShowsClock(node));
      replacing->replaced = true;
      return replacing->failed ? node : MomentOf(exprType(node), replacing->moment);
    }
  }
  return compat::MutateExpression(node, MomentMutator, argument);
}

// The node at that moment, or NULL.
Node *NodeAt(Node *node, int64 moment) {
  Replacing replacing = {moment, false, false};
  Node *at = compat::MutateExpression(node, MomentMutator, &replacing);
  return replacing.failed || !replacing.replaced ? nullptr : at;
}

// ---- The trial ----------------------------------------------------------------------------------------------------

bool CountNodes(Node *node, void *count) {
  if (node == nullptr) return false;
  if (++*static_cast<int *>(count) > kLargest) return true;
  return compat::WalkExpression(node, CountNodes, count);
}

Node *AreSame(Node *a, Node *b, Oid equality, Oid collation) {
  DistinctExpr *distinct = makeNode(DistinctExpr);
  distinct->opno = equality;
  distinct->opfuncid = get_opcode(equality);
  distinct->opresulttype = BOOLOID;
  distinct->inputcollid = collation;
  distinct->args = list_make2(a, b);
  distinct->location = -1;
  return reinterpret_cast<Node *>(makeBoolExpr(NOT_EXPR, list_make1(distinct), -1));
}

// Whether the node is the same at neighbouring moments, as an expression; NULL if that cannot be said.
Node *MakeTrial(Node *node) {
  int count = 0;
  const Oid type = exprType(node);
  const Oid equality = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
  if (!OidIsValid(equality) || CountNodes(node, &count)) return nullptr;
  Oid collation = exprCollation(node);
  if (!OidIsValid(collation)) collation = get_typcollation(type);
  List *windows = NIL;
  for (const auto &window : kTrials) {
    Node *at[kMoments];
    for (int i = 0; i < kMoments; i++) {
      at[i] = NodeAt(node, window[i]);
      if (at[i] == nullptr) return nullptr;
    }
    Node *middle = static_cast<Node *>(copyObjectImpl(at[1]));
    List *pairs = list_make2(AreSame(at[0], at[1], equality, collation), AreSame(middle, at[2], equality, collation));
    windows = lappend(windows, makeBoolExpr(OR_EXPR, pairs, -1));
  }
  Node *trial = reinterpret_cast<Node *>(makeBoolExpr(AND_EXPR, windows, -1));
  return RunsOnlyBuiltIns(trial) ? trial : nullptr;
}

// Whether the trial ends alike as long as the settings are the same.
bool IsDecided(Node *trial) {
  if (HasParameter(trial)) return false;
  const Opacity opacity = FindExpressionOpacity(trial);
  return opacity.obstacle == nullptr && opacity.calls == NIL && !opacity.reads_clock;
}

struct Trial {
  Node *expression;
  bool rounds;
};

void Try(void *argument) {
  auto *trial = static_cast<Trial *>(argument);
  EState *state = CreateExecutorState();
  MemoryContext outer = MemoryContextSwitchTo(state->es_query_cxt);
  Expr *planned = expression_planner(reinterpret_cast<Expr *>(trial->expression));
  bool is_null;
  Datum value = ExecEvalExpr(ExecInitExpr(planned, nullptr), GetPerTupleExprContext(state), &is_null);
  trial->rounds = !is_null && DatumGetBool(value);
  MemoryContextSwitchTo(outer);
  FreeExecutorState(state);
}

// Whether the node is a call that rounds for some values of its arguments, so that it is worth asking at each call.
bool MayRound(Node *node) {
  static const char *const kNames[] = {"ceil",  "ceiling", "date_bin", "date_part", "date_trunc", "div",     "extract",
                                       "floor", "left",    "round",    "substr",    "substring",  "to_char", "trunc"};
  if (!IsA(node, FuncExpr) || !IsBuiltIn(reinterpret_cast<FuncExpr *>(node)->funcid)) return false;
  switch (exprType(node)) {
    case INT2OID:
    case INT4OID:
    case INT8OID: return true;
    default: break;
  }
  for (const char *name : kNames)
    if (IsBuiltInCall(node, name)) return true;
  return false;
}

// How the node rounds the clock, which its children show. Operators do not: they calculate with what is rounded.
Rounding FindRounding(Node *node) {
  if (!IsExpression(node) || IsA(node, OpExpr)) return Rounding::kNone;
  Trial trial = {MakeTrial(node), false};
  if (trial.expression == nullptr) return Rounding::kNone;
  if (!IsDecided(trial.expression)) return MayRound(node) ? Rounding::kAtCall : Rounding::kNone;
  if (AttemptBuiltIn(Try, &trial)) return Rounding::kNone;
  return trial.rounds ? Rounding::kRounds : Rounding::kNone;
}

// Finds a moment that nothing rounds.
bool ClockWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsClockNode(node)) return !IsWholeSeconds(node);
  if (RoundsAnything(node)) return false;
  return compat::WalkExpression(node, ClockWalker, nullptr) && FindRounding(node) == Rounding::kNone;
}

bool ConditionWalker(Node *node, void *argument) {
  if (node == nullptr || IsClockNode(node) || RoundsAnything(node)) return false;
  if (compat::WalkExpression(node, ClockWalker, nullptr) && FindRounding(node) == Rounding::kAtCall) {
    auto **conditions = static_cast<List **>(argument);
    *conditions = lappend(*conditions, MakeTrial(node));
    return false;
  }
  return compat::WalkExpression(node, ConditionWalker, argument);
}

}  // namespace

bool ShowsClock(Node *expression) { return ClockWalker(expression, nullptr); }

List *RoundingConditions(Node *expression) {
  List *conditions = NIL;
  ConditionWalker(expression, &conditions);
  return conditions;
}

}  // namespace aggcache
