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
#include "pg/keep/compute_groups.h"
#include "pg/keep/finish.h"
#include "pg/keep/group_keys.h"
#include "pg/keep/known_calls.h"
#include "pg/keep/rows.h"
#include "pg/keep/sums.h"
#include "pg/keep/values.h"

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

// Finds the ledger: the rows that matter to the call have one tag. Those of a range have that of their key, as others
// have whom the program does not count. Returns why there is none, or NULL.
const char *FindLedger(Asked *asked) {
  const Dependencies &all = *asked->dependencies;
  const KeptState *state = asked->state;
  const RelationDependency *found = nullptr;
  const char *why = "the rows that matter do not have one key";
  for (int i = 0; i < all.count; i++) {
    const RelationDependency &item = all.items[i];
    if (!all.complete || item.relation != state->relation || !item.seen || item.by_order)
      return "planning found more to depend on than rows of one table";
    if (item.tag_count == 0)
      why = "no row can matter";
    else if (item.watch == nullptr)
      why = "every change of the table counts";
    if (found || item.tag_count == 0 || item.watch == nullptr || item.key_tag == 0) continue;
    // Planning looks for a least or greatest value by itself, and asks more of its row.
    if (predicate_implied_by(item.watch->predicate, state->program->conditions, false)) found = &item;
  }
  if (found == nullptr) return why;
  // Planning leaves out what does not matter, such as an arm of CASE; writers still evaluate it.
  if (!found->watch->all_columns && !bms_is_subset(state->reads, found->watch->columns))
    return "writers are not told of all columns that it names";
  asked->about.key = {found->key_tag, hash_bytes_extended(asked->about.bytes, static_cast<int>(asked->about.size), 0)};
  return nullptr;
}

// Why a ledger has not answered.
const char *WhyNot(LedgerCode code) {
  switch (code) {
    case LedgerCode::kOk: return "the values that min or max could be are not kept any more, or a sum might overflow";
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

// The stamps of all that the result depends on but rows of the table, settled. NULL: they cannot be.
Stamp *OtherStamps(const Asked &asked, const Snapshot &snapshot, uint32_t *count) {
  Dependencies others = *asked.dependencies;
  const Size size = sizeof(RelationDependency) * static_cast<Size>(others.count);
  others.items = static_cast<RelationDependency *>(memcpy(palloc(size), others.items, size));
  for (int i = 0; i < others.count; i++) others.items[i].tag_count = 0;
  Stamp *stamps;
  *count = static_cast<uint32_t>(StampsOfDependencies(asked.definition, others, &stamps));
  if (shared::stamps.SettleAll(stamps, count, snapshot, ServerTransactions()) != StampCheck::kValid) return nullptr;
  return stamps;
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

// One group of a sum: its words, and the values that aggregates of it rest on.
struct Group {
  const unsigned char *key;
  const uint64_t *words;
  const ValueEntry *values;
  int value_count;
};

// Puts the group into a row. False: what is kept cannot tell an aggregate's value.
bool PutGroup(const KeptState *state, const Group &group, Tuplestorestate *rows) {
  const Program *program = state->program;
  const int groups = list_length(program->groups);
  const Size count = static_cast<Size>(state->columns->natts);
  auto *all = static_cast<NullableDatum *>(palloc(sizeof(NullableDatum) * count));
  (void)ReadGroup(program, group.key, all);
  for (int i = 0; i < program->aggregate_count; i++) {
    const KeptAggregate &aggregate = program->aggregates[i];
    const uint64_t *words = group.words + aggregate.words;
    if (!(HasValues(aggregate.kind)
              ? FinishValues(program, i, static_cast<int64>(*words), group.values, group.value_count, &all[groups + i])
              : FinishAggregate(aggregate, words, &all[groups + i])))
      return false;
  }
  auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * count));
  auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * count));
  for (Size i = 0; i < count; i++) {
    values[i] = all[i].value;
    nulls[i] = all[i].isnull;
  }
  tuplestore_putvalues(rows, state->columns, values, nulls);
  return true;
}

bool HasOnlyZeros(const uint64_t *words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (words[i] != 0) return false;
  return true;
}

int CompareKeys(const void *a, const void *b) {
  const auto *left = static_cast<const ContributionGroup *>(a), *right = static_cast<const ContributionGroup *>(b);
  const int compared = memcmp(left->key, right->key, Min(left->key_size, right->key_size));
  return compared != 0 ? compared : static_cast<int>(left->key_size) - static_cast<int>(right->key_size);
}

// The groups of the sum, those of values behind the one that they belong to. NULL: the bytes are no such sum.
ContributionGroup *ListGroups(const Program *program, Sum *sum, int *count) {
  int room = 64;
  auto *list = static_cast<ContributionGroup *>(palloc(sizeof(ContributionGroup) * static_cast<Size>(room)));
  *count = 0;
  uint32_t at = 0;
  while (NextGroup(program->shape, sum->bytes, sum->size, &at, &list[*count])) {
    if (++*count < room) continue;
    room *= 2;
    list = static_cast<ContributionGroup *>(repalloc(list, sizeof(ContributionGroup) * static_cast<Size>(room)));
  }
  // Where a group's key ends those of its values go on, and no group's key is the beginning of another's.
  if (program->has_values) qsort(list, static_cast<size_t>(*count), sizeof(ContributionGroup), CompareKeys);
  return list;
}

// Of the group itself, without a value.
uint32_t GroupKeySize(const Program *program, const ContributionGroup &group) {
  return program->has_values ? static_cast<uint32_t>(ReadGroup(program, group.key, nullptr) - group.key)
                             : group.key_size;
}

// Whether a group's key goes on behind that of another, which is then the one that its value belongs to.
bool IsValueOf(const ContributionGroup &value, const unsigned char *key, uint32_t key_size) {
  return value.key_size > key_size && memcmp(value.key, key, key_size) == 0;
}

// Puts the groups into rows. False: they contradict themselves, which nothing should make them, or cannot tell a value.
bool PutGroups(const KeptState *state, Sum *sum, Tuplestorestate *rows) {
  const Program *program = state->program;
  int count;
  const ContributionGroup *all = ListGroups(program, sum, &count);
  auto *values = static_cast<ValueEntry *>(palloc(sizeof(ValueEntry) * static_cast<Size>(count + 1)));
  bool any = false;
  for (int i = 0; i < count; i++) {
    const ContributionGroup &group = all[i];
    const uint32_t key_size = GroupKeySize(program, group);
    if (key_size != group.key_size) continue;  // a value of no group: values that were never all kept
    const int64_t group_rows = static_cast<int64_t>(group.words[0]);
    if (group_rows < 0 || (group_rows == 0 && !HasOnlyZeros(group.words, program->words))) return false;
    if (group_rows == 0) continue;
    Group found = {group.key, group.words, values, 0};
    for (; program->has_values && i + 1 < count && IsValueOf(all[i + 1], group.key, key_size); i++)
      values[found.value_count++] = {all[i + 1].key + key_size, static_cast<int64>(all[i + 1].words[0])};
    any = true;
    if (!PutGroup(state, found, rows)) return false;
  }
  if (any || program->groups != NIL) return true;
  return PutGroup(state, {nullptr, static_cast<uint64_t *>(palloc0(sizeof(uint64_t) * program->words)), nullptr, 0},
                  rows);
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
  if (!ComputeGroups(definition, parameters, snapshot, &sum)) {
    GiveUpLedger(asked.about.key);
    return Not("its groups are too many, or its numbers too large", answer);
  }
  GiveBase(asked, sum);
  return PutTogether(asked, &sum, answer);
}

}  // namespace aggcache
