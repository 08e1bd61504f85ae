// Keeps no state.

#include "pg/base/server.h"

#include "pg/keep/compute_groups.h"

#include "pg/keep/kept_state.h"
#include "pg/keep/values.h"

namespace aggcache {

namespace {

TargetEntry *Entry(List **entries, Expr *expression) {
  auto *entry = makeTargetEntry(expression, static_cast<AttrNumber>(list_length(*entries) + 1), nullptr, false);
  *entries = lappend(*entries, entry);
  return entry;
}

// The argument of an aggregate, computed for rows that pass its FILTER only, as it may fail on others.
Expr *ArgumentOf(const Aggref *call) {
  auto *argument = static_cast<Expr *>(copyObjectImpl(linitial_node(TargetEntry, call->args)->expr));
  if (call->aggfilter == nullptr) return argument;
  auto *when = makeNode(CaseWhen);
  when->expr = static_cast<Expr *>(copyObjectImpl(call->aggfilter));
  when->result = argument;
  when->location = -1;
  Node *of = reinterpret_cast<Node *>(argument);
  auto *choice = makeNode(CaseExpr);
  choice->casetype = exprType(of);
  choice->casecollid = exprCollation(of);
  choice->args = list_make1(when);
  choice->defresult = reinterpret_cast<Expr *>(makeNullConst(exprType(of), exprTypmod(of), exprCollation(of)));
  choice->location = -1;
  return reinterpret_cast<Expr *>(choice);
}

// The rows that count: their groups, then for each aggregate its FILTER and its argument, as far as it has them.
Query *QueryOfRows(const KeptState *state) {
  auto *query = static_cast<Query *>(copyObjectImpl(state->query));
  List *entries = NIL;
  ListCell *cell;
  foreach (cell, state->groups) Entry(&entries, static_cast<Expr *>(copyObjectImpl(lfirst(cell))));
  foreach (cell, state->aggregates) {
    auto *call = lfirst_node(Aggref, cell);
    if (call->aggfilter) Entry(&entries, static_cast<Expr *>(copyObjectImpl(call->aggfilter)));
    if (!call->aggstar) Entry(&entries, ArgumentOf(call));
  }
  if (entries == NIL) Entry(&entries, reinterpret_cast<Expr *>(makeBoolConst(true, false)));
  query->targetList = entries;
  query->hasAggs = query->hasWindowFuncs = query->hasDistinctOn = false;
  query->groupClause = query->sortClause = query->distinctClause = query->windowClause = NIL;
  query->havingQual = query->limitCount = query->limitOffset = nullptr;
  query->limitOption = LIMIT_OPTION_COUNT;
  return query;
}

// Takes rows as they come, and adds them up.
struct Receiver {
  DestReceiver plain;
  const Program *program;
  Sum sum;
  RowValues *row;
  GroupIndex *index;
  BaseValues *noted;
  MemoryContext scratch;
  bool fits;
};

bool TakeRow(TupleTableSlot *slot, DestReceiver *self) {
  auto *receiver = reinterpret_cast<Receiver *>(self);
  const Program *program = receiver->program;
  RowValues *row = receiver->row;
  slot_getallattrs(slot);
  int at = 0;
  for (int i = 0; i < list_length(program->groups); i++, at++)
    row->groups[i] = {slot->tts_values[at], slot->tts_isnull[at]};
  for (int i = 0; i < program->aggregate_count; i++) {
    const KeptAggregate &aggregate = program->aggregates[i];
    row->counts[i] = true;
    if (aggregate.filter) {
      row->counts[i] = !slot->tts_isnull[at] && DatumGetBool(slot->tts_values[at]);
      at++;
    }
    if (aggregate.argument) {
      row->arguments[i] = {slot->tts_values[at], slot->tts_isnull[at]};
      at++;
    }
  }
  MemoryContext outer = MemoryContextSwitchTo(receiver->scratch);
  receiver->fits = AddRow(program, &receiver->sum, *row, false, receiver->index, receiver->noted);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(receiver->scratch);
  return receiver->fits;
}

void IgnoreStartup(DestReceiver *, int, TupleDesc) {}
void Ignore(DestReceiver *) {}

}  // namespace

bool ComputeGroups(const Definition *definition, ParamListInfo parameters, ::Snapshot snapshot, Sum *sum) {
  const KeptState *state = KeptStateOf(definition);
  Receiver receiver;
  memset(static_cast<void *>(&receiver), 0, sizeof(receiver));
  receiver.plain = {TakeRow, IgnoreStartup, Ignore, Ignore, DestNone};
  receiver.program = state->program;
  receiver.row = MakeRowValues(receiver.program);
  receiver.scratch = AllocSetContextCreate(CurrentMemoryContext, "aggcache row", ALLOCSET_DEFAULT_SIZES);
  GroupIndex index(static_cast<uint32_t *>(palloc(sizeof(uint32_t) * GroupIndex::kPlaces)));
  receiver.index = &index;
  receiver.fits = true;
  if (receiver.program->has_values) receiver.noted = MakeBaseValues(receiver.program);
  BeginSum(receiver.program, &receiver.sum);
  PlannedStmt *plan = pg_plan_query(QueryOfRows(state), definition->source, 0, parameters);
  QueryDesc *query =
      CreateQueryDesc(plan, definition->source, snapshot, nullptr, &receiver.plain, parameters, nullptr, 0);
  compat::ExecutorStartRun(query, 0);
  ExecutorFinish(query);
  ExecutorEnd(query);
  FreeQueryDesc(query);
  if (receiver.fits && receiver.noted) receiver.fits = AddNotedValues(receiver.noted, &receiver.sum);
  *sum = receiver.sum;
  return receiver.fits;
}

}  // namespace aggcache
