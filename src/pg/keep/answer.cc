// Ledgers are looked at under their partition's lock, in which nothing is asked of anybody but what the core asks about
// transactions. Keeps no state; the plan hangs on the definition.

#include "pg/base/server.h"

#include "pg/keep/answer.h"

#include "core/contribution.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/base/transactions.h"
#include "pg/keep/kept_state.h"
#include "pg/keep/kept_writes.h"
#include "pg/keep/known_calls.h"
#include "pg/keep/rows.h"
#include "pg/keep/sums.h"

namespace aggcache {

namespace {

constexpr char kGroups[] = "aggcache groups";

// ---- Which ledger --------------------------------------------------------------------------------------------------

struct Asked {
  const Definition *definition;
  const KeptState *state;
  const Dependencies *dependencies;
  ParamListInfo parameters;
  ::Snapshot snapshot;
  LedgerAbout about;
};

// What the call asks of a ledger, but for which that is. Returns why nothing can be asked, or NULL.
const char *Describe(const Definition *definition, ParamListInfo parameters, ::Snapshot snapshot, Asked *asked) {
  memset(static_cast<void *>(asked), 0, sizeof(*asked));
  asked->definition = definition;
  asked->state = KeptStateOf(definition);
  asked->parameters = parameters;
  asked->snapshot = snapshot;
  if (asked->state->program == nullptr) return asked->state->why;
  asked->about.size = WriteAbout(asked->state->program, asked->state->relation, asked->state->parameters, parameters,
                                 asked->about.bytes);
  return asked->about.size == 0 ? "the arguments are too long" : nullptr;
}

// Finds the ledger: the rows that matter to the call are those of one tag. Returns why there is none, or NULL.
const char *FindLedger(Asked *asked) {
  const Dependencies &all = *asked->dependencies;
  if (!all.complete || all.count != 1 || all.items[0].relation != asked->state->relation || !all.items[0].seen ||
      all.items[0].inherits || all.items[0].by_leaves || all.items[0].by_order)
    return "planning found more to depend on than rows of one table";
  const RelationDependency &item = all.items[0];
  if (item.tag_count == 0) return "no row can matter";
  if (item.watch == nullptr) return "every change of the table counts";
  // Planning leaves out what does not matter, such as an arm of CASE; writers still evaluate it.
  if (!item.watch->all_columns && !bms_is_subset(asked->state->reads, item.watch->columns))
    return "writers are not told of all columns that it names";
  if (item.tag_count != 1) return "the rows that matter do not have one key, or lie in a range";
  asked->about.key = {item.tags[0], hash_bytes_extended(asked->about.bytes, static_cast<int>(asked->about.size), 0)};
  return nullptr;
}

// Why a ledger has not answered.
const char *WhyNot(LedgerCode code) {
  switch (code) {
    case LedgerCode::kNone: return "writers kept nothing for it yet";
    case LedgerCode::kNoBase: return "it had not been computed since writers began to keep it";
    case LedgerCode::kChanged: return "the table was changed otherwise than by single rows";
    case LedgerCode::kOwnWrite: return "this transaction has written the table";
    case LedgerCode::kUnsettled: return "the snapshot is too old, or a writer may still be running";
    default: return "what writers kept does not fit into the memory for it";
  }
}

// ---- The groups ----------------------------------------------------------------------------------------------------

// What the ledger says; the sum is in the current memory context.
LedgerCode ReadLedger(const Asked &asked, Sum *sum, uint32_t *changes) {
  const Adding adding = KeptAdding();
  const Snapshot reader = CoreSnapshot(asked.snapshot);
  const Transactions transactions = ServerTransactions();
  LedgerTable::Answer found;
  LWLock *lock = shared::LedgerLock(asked.about.key.tag);
  LWLockAcquire(lock, LW_SHARED);
  LedgerCode code = LedgerCode::kNone;
  if (shared::ledgers.IsAbout(asked.about.key, asked.about.bytes, asked.about.size))
    code = shared::ledgers.Read(asked.about.key, reader, transactions, adding, &found);
  LWLockRelease(lock);
  if (code != LedgerCode::kOk) return code;
  BeginSum(asked.state->program, sum);
  sum->bytes = static_cast<unsigned char *>(repalloc(sum->bytes, Max(sum->size, found.size)));
  if (found.size > 0) {
    memcpy(sum->bytes, adding.work, found.size);
    sum->size = found.size;
  }
  *changes = found.added;
  return code;
}

// Whether the ledger's base is newer than the snapshot: it serves the readers that come, and stays.
bool HasNewerBase(const Asked &asked) {
  LedgerInfo info;
  LWLock *lock = shared::LedgerLock(asked.about.key.tag);
  LWLockAcquire(lock, LW_SHARED);
  const bool has = shared::ledgers.Info(asked.about.key, &info);
  LWLockRelease(lock);
  return has && info.has_base && info.base_xmax > CoreSnapshot(asked.snapshot).xmax;
}

// Does something with the ledger under its lock, again for as long as there is no memory for it and room can be made.
template <class Work>
LedgerCode WithRoom(const Asked &asked, Work work) {
  LWLock *lock = shared::LedgerLock(asked.about.key.tag);
  for (int tries = 0;; tries++) {
    LWLockAcquire(lock, LW_EXCLUSIVE);
    const LedgerCode code = work();
    LWLockRelease(lock);
    if (code != LedgerCode::kNoMemory || tries == 64 || !SweepLedgers()) return code;
  }
}

bool OpenLedger(const Asked &asked) {
  const LedgerCode code =
      WithRoom(asked, [&]() { return shared::ledgers.Open(asked.about.key, asked.about.bytes, asked.about.size); });
  return code == LedgerCode::kOk || code == LedgerCode::kExists;
}

// The stamps of all that the result depends on but its one tag of rows, settled. NULL: they cannot be.
Stamp *OtherStamps(const Asked &asked, const Snapshot &snapshot, uint32_t *count) {
  Stamp *all;
  const int all_count = StampsOfDependencies(asked.definition, *asked.dependencies, &all);
  Stamp own[2];
  shared::stamps.MakeStamps(asked.about.key.tag, false, own);
  auto *others = static_cast<Stamp *>(palloc(sizeof(Stamp) * static_cast<Size>(Max(1, all_count))));
  *count = 0;
  bool found = false;
  for (int i = 0; i + 1 < all_count; i += 2) {
    if (all[i].slot == own[0].slot && all[i + 1].slot == own[1].slot && !all[i].immediate) {
      found = true;
      continue;
    }
    others[(*count)++] = all[i];
    others[(*count)++] = all[i + 1];
  }
  if (!found || shared::stamps.SettleAll(others, count, snapshot, ServerTransactions()) != StampCheck::kValid)
    return nullptr;
  return others;
}

void GiveBase(const Asked &asked, const Sum &sum) {
  Snapshot snapshot = CoreSnapshot(asked.snapshot);
  auto *running = static_cast<Xid *>(palloc(sizeof(Xid) * Max(1U, snapshot.running_count)));
  memcpy(running, snapshot.running, sizeof(Xid) * snapshot.running_count);
  snapshot.running = running;
  LedgerBase base;
  base.snapshot = snapshot;
  base.stamps = OtherStamps(asked, snapshot, &base.stamp_count);
  if (base.stamps == nullptr) return;
  base.sum = sum.bytes;
  base.sum_size = sum.size;
  (void)WithRoom(asked, [&]() {
    if (!shared::ledgers.IsAbout(asked.about.key, asked.about.bytes, asked.about.size)) return LedgerCode::kNone;
    return shared::ledgers.SetBase(asked.about.key, base, ServerTransactions());
  });
}

// ---- Computing the groups ------------------------------------------------------------------------------------------

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
  query->hasAggs = false;
  query->groupClause = query->sortClause = NIL;
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
  receiver->fits = AddRow(program, &receiver->sum, *row, false, receiver->index);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(receiver->scratch);
  return receiver->fits;
}

void IgnoreStartup(DestReceiver *, int, TupleDesc) {}
void Ignore(DestReceiver *) {}

// False: the groups are too many, or a number is too large.
bool ComputeGroups(const Asked &asked, Sum *sum) {
  Receiver receiver;
  memset(static_cast<void *>(&receiver), 0, sizeof(receiver));
  receiver.plain = {TakeRow, IgnoreStartup, Ignore, Ignore, DestNone};
  receiver.program = asked.state->program;
  receiver.row = MakeRowValues(receiver.program);
  receiver.scratch = AllocSetContextCreate(CurrentMemoryContext, "aggcache row", ALLOCSET_DEFAULT_SIZES);
  GroupIndex index(static_cast<uint32_t *>(palloc(sizeof(uint32_t) * GroupIndex::kPlaces)));
  receiver.index = &index;
  receiver.fits = true;
  BeginSum(receiver.program, &receiver.sum);
  PlannedStmt *plan = pg_plan_query(QueryOfRows(asked.state), asked.definition->source, 0, asked.parameters);
  QueryDesc *query = CreateQueryDesc(plan, asked.definition->source, asked.snapshot, nullptr, &receiver.plain,
                                     asked.parameters, nullptr, 0);
  compat::ExecutorStartRun(query, 0);
  ExecutorFinish(query);
  ExecutorEnd(query);
  FreeQueryDesc(query);
  *sum = receiver.sum;
  return receiver.fits;
}

// ---- The answer ----------------------------------------------------------------------------------------------------

struct Replacing {
  const KeptState *state;
};

int PositionIn(const List *list, const Node *node) {
  for (int i = 0; i < list_length(list); i++)
    if (equal(list_nth(list, i), node)) return i;
  return -1;
}

// Puts the columns of the groups in the place of groups and aggregates.
Node *ReplaceMutator(Node *node, void *argument) {
  if (node == nullptr) return nullptr;
  const KeptState *state = static_cast<Replacing *>(argument)->state;
  int at = PositionIn(state->groups, node);
  if (at < 0 && IsA(node, Aggref)) at = list_length(state->groups) + PositionIn(state->aggregates, node);
  if (at < 0) return compat::MutateExpression(node, ReplaceMutator, argument);
  return reinterpret_cast<Node *>(
      makeVar(1, static_cast<AttrNumber>(at + 1), exprType(node), exprTypmod(node), exprCollation(node), 0));
}

RangeTblEntry *TableOfGroups(TupleDesc columns) {
  auto *entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_NAMEDTUPLESTORE;
  entry->enrname = const_cast<char *>(kGroups);
  entry->enrtuples = 16;
  entry->inFromCl = true;
  List *names = NIL;
  for (int i = 0; i < columns->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(columns, i);
    entry->coltypes = lappend_oid(entry->coltypes, column->atttypid);
    entry->coltypmods = lappend_int(entry->coltypmods, column->atttypmod);
    entry->colcollations = lappend_oid(entry->colcollations, column->attcollation);
    names = lappend(names, makeString(pstrdup(NameStr(column->attname))));
  }
  entry->eref = makeAlias(kGroups, names);
  return entry;
}

// The query over its groups: what is left of it when they have been formed.
Query *QueryOfAnswer(const KeptState *state) {
  auto *query = static_cast<Query *>(copyObjectImpl(state->query));
  Replacing replacing = {state};
  Node *condition = ReplaceMutator(query->havingQual, &replacing);
  query->targetList = castNode(List, ReplaceMutator(reinterpret_cast<Node *>(query->targetList), &replacing));
  query->havingQual = nullptr;
  query->hasAggs = false;
  query->groupClause = NIL;
  query->rtable = list_make1(TableOfGroups(state->columns));
  compat::ForgetPermissions(query);
  auto *from = makeNode(RangeTblRef);
  from->rtindex = 1;
  query->jointree = makeFromExpr(list_make1(from), condition);
  return query;
}

PlannedStmt *PlanAnswer(const Definition *definition, const KeptState *state) {
  if (state->answer) return state->answer;
  PlannedStmt *plan = pg_plan_query(QueryOfAnswer(state), definition->source, 0, nullptr);
  MemoryContext outer = MemoryContextSwitchTo(definition->context);
  state->answer = static_cast<PlannedStmt *>(copyObjectImpl(plan));
  MemoryContextSwitchTo(outer);
  return state->answer;
}

// A row for a group.
void PutGroup(const KeptState *state, const unsigned char *key, const uint64_t *words, Tuplestorestate *rows) {
  const Program *program = state->program;
  const int groups = list_length(program->groups);
  const Size count = static_cast<Size>(state->columns->natts);
  auto *all = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * count));
  ReadGroup(program, key, all);
  for (int i = 0; i < program->aggregate_count; i++)
    all[groups + i] = FinishAggregate(program->aggregates[i], words + program->aggregates[i].words);
  auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * count));
  auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * count));
  for (Size i = 0; i < count; i++) {
    values[i] = all[i].value;
    nulls[i] = all[i].isnull;
  }
  tuplestore_putvalues(rows, state->columns, values, nulls);
}

bool HasOnlyZeros(const uint64_t *words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (words[i] != 0) return false;
  return true;
}

// Puts the groups into rows. False: they contradict themselves, which nothing should make them.
bool PutGroups(const KeptState *state, Sum *sum, Tuplestorestate *rows) {
  const Program *program = state->program;
  uint32_t at = 0;
  bool any = false;
  ContributionGroup group;
  while (NextGroup(program->shape, sum->bytes, sum->size, &at, &group)) {
    const int64_t count = static_cast<int64_t>(group.words[0]);
    if (count < 0 || (count == 0 && !HasOnlyZeros(group.words, program->words))) return false;
    if (count == 0) continue;
    any = true;
    PutGroup(state, group.key, group.words, rows);
  }
  if (any || program->groups != NIL) return true;
  auto *nothing = static_cast<uint64_t *>(palloc0(sizeof(uint64_t) * program->words));
  PutGroup(state, nullptr, nothing, rows);
  return true;
}

bool PutTogether(const Asked &asked, Sum *sum, KeptAnswer *answer) {
  Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
  if (!PutGroups(asked.state, sum, rows)) {
    tuplestore_end(rows);
    return false;
  }
  auto *groups = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
  groups->md.name = const_cast<char *>(kGroups);
  groups->md.tupdesc = asked.state->columns;
  groups->md.enrtype = ENR_NAMED_TUPLESTORE;
  groups->md.enrtuples = 16;
  groups->reldata = rows;
  answer->rows = rows;
  answer->groups = create_queryEnv();
  register_ENR(answer->groups, groups);
  answer->plan = PlanAnswer(asked.definition, asked.state);
  return true;
}

bool Not(const char *why, KeptAnswer *answer) {
  answer->why = why;
  return false;
}

}  // namespace

void EndAnswer(KeptAnswer *answer) {
  if (answer->rows) tuplestore_end(answer->rows);
  answer->rows = nullptr;
  answer->groups = nullptr;
}

bool AnswerAtOnce(const Definition *definition, ParamListInfo parameters, ::Snapshot snapshot, KeptAnswer *answer) {
  Asked asked;
  if (settings::keep_current == settings::kKeepOff || Describe(definition, parameters, snapshot, &asked)) return false;
  const KnownCall *known = FindKnownCall(definition, asked.about.bytes, asked.about.size);
  if (known == nullptr) return false;
  asked.about.key = known->about.key;
  Sum sum;
  if (ReadLedger(asked, &sum, &answer->changes) != LedgerCode::kOk || !PutTogether(asked, &sum, answer)) return false;
  answer->current = true;
  answer->stamps = known->stamps;
  answer->stamp_count = known->stamp_count;
  return true;
}

bool AnswerFromGroups(const Definition *definition, const Dependencies &dependencies, ParamListInfo parameters,
                      ::Snapshot snapshot, bool opens, KeptAnswer *answer) {
  if (settings::keep_current == settings::kKeepOff) return false;
  Asked asked;
  if (const char *why = Describe(definition, parameters, snapshot, &asked)) return Not(why, answer);
  asked.dependencies = &dependencies;
  if (const char *why = FindLedger(&asked)) return Not(why, answer);
  answer->about = asked.about;
  Sum sum;
  const LedgerCode code = ReadLedger(asked, &sum, &answer->changes);
  answer->current = code == LedgerCode::kOk && PutTogether(asked, &sum, answer);
  if (answer->current) return true;
  answer->why = WhyNot(code);
  if (!opens || code == LedgerCode::kOwnWrite || HasNewerBase(asked)) return false;
  if (code == LedgerCode::kNone && !OpenLedger(asked)) return Not("there is no memory to keep it in", answer);
  if (!ComputeGroups(asked, &sum)) {
    GiveUpLedger(asked.about.key);
    return Not("its groups are too many, or its numbers too large", answer);
  }
  GiveBase(asked, sum);
  return PutTogether(asked, &sum, answer);
}

}  // namespace aggcache
