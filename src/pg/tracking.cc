#include "pg/server.h"

#include "pg/tracking.h"

#include "core/staleness.h"
#include "core/tag.h"
#include "pg/attach.h"
#include "pg/audited.h"
#include "pg/blame.h"
#include "pg/concern.h"
#include "pg/counted_writes.h"
#include "pg/definition_cache.h"
#include "pg/extension.h"
#include "pg/opaque.h"
#include "pg/partitions.h"
#include "pg/reattach.h"
#include "pg/registration.h"
#include "pg/result_times.h"
#include "pg/row_tags.h"
#include "pg/serializable.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/single_flight.h"
#include "pg/transactions.h"
#include "pg/triggers.h"

namespace aggcache {

namespace {

// ---- What this transaction has written --------------------------------------------------------------------------

struct WrittenTable {
  Oid relation;
  bool escalated;  // registered in the wide tag: no tag of this table needs registering any more
  bool table_tag;  // registered in the table tags of the table and of the partitioned tables above it
  uint32_t tags;   // tags of watches registered
  uint32_t rows;   // rows seen, not yet counted in the statistics
  ReportedRows reported;
};

constexpr int kMostWritten = 128;
WrittenTable written[kMostWritten];
int written_count = 0;
bool written_all = false;  // more than fit
// Relations with wide changes whose partitioned parents have not been told; looked up before commit, because messages
// arrive where catalogs cannot be read. In TopTransactionContext.
List *changed_below = NIL;
List *reordered_below = NIL;  // the same of those whose rows have been put in another order
// Of the innermost utility statement. Messages of what it has done are looked at before it changes.
Concern concern = Concern::kMeaning;
int utility_depth = 0;
bool changed_catalogs = false;  // registered in a wide tag, or in one of catalogs
OwnCommits own_commits;

ExecutorStart_hook_type previous_executor_start = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;

WrittenTable *FindWritten(Oid relation) {
  for (int i = written_count - 1; i >= 0; i--)
    if (written[i].relation == relation) return &written[i];
  return nullptr;
}

WrittenTable *NoteWritten(Oid relation) {
  WrittenTable *found = FindWritten(relation);
  if (found) return found;
  if (written_count == kMostWritten) {
    written_all = true;
    return nullptr;
  }
  written[written_count] = {relation, false, false, 0, 0, {{0, 0, 0}, 0}};
  return &written[written_count++];
}

// Nothing of the protocol runs in recovery: transactions of the primary do not register here.
bool IsRecording() { return shared::state != nullptr && OidIsValid(MyDatabaseId) && !RecoveryInProgress(); }

void Register(uint64_t tag) { RegisterTags(&tag, 1); }

// Tags that this transaction has lately registered in; rows that lie together mostly share theirs.
constexpr int kRecentTags = 256;  // places have eight bits
uint64_t recent_tags[kRecentTags];
uint8_t recent_places[16];  // the first places that were used
int recent_count = 0;       // of them; all there is room for: others may be used, too

int RecentPlaceOf(uint64_t tag) { return static_cast<int>((tag >> 32) % kRecentTags); }

// Leaves out what has been registered; returns how many are left.
int DropRecent(uint64_t *tags, int count) {
  int left = 0;
  for (int i = 0; i < count; i++)
    if (recent_tags[RecentPlaceOf(tags[i])] != tags[i]) tags[left++] = tags[i];
  return left;
}

// After they are registered: that can fail on reading the commit log, and a savepoint can outlive it.
void NoteRecent(const uint64_t *tags, int count) {
  for (int i = 0; i < count; i++) {
    const int place = RecentPlaceOf(tags[i]);
    recent_tags[place] = tags[i];
    if (recent_count == static_cast<int>(lengthof(recent_places))) continue;
    recent_places[recent_count++] = static_cast<uint8_t>(place);
  }
}

void ForgetRecent() {
  if (recent_count == static_cast<int>(lengthof(recent_places)))
    memset(recent_tags, 0, sizeof(recent_tags));
  else
    for (int i = 0; i < recent_count; i++) recent_tags[recent_places[i]] = 0;
  recent_count = 0;
}

void FlushStatistics() {
  for (int i = 0; i < written_count; i++) {
    WrittenTable *table = &written[i];
    if (table->rows == 0) continue;
    TableStatistics *statistics = shared::StatisticsOfTable(table->relation, true);
    if (statistics) {
      shared::Count(statistics->statements);
      shared::Count(statistics->rows, table->rows);
    }
    table->rows = 0;
  }
}

// Gives up telling rows of the table apart for the rest of the transaction.
void Escalate(WrittenTable *table, const WatchedTable *watched, Oid relation) {
  Register(WideTag(MyDatabaseId, relation));
  const Oid *ancestors;
  int count = AncestorsOf(watched, &ancestors);
  for (int i = 0; i < count; i++) Register(SubtreeTag(MyDatabaseId, ancestors[i]));
  if (table == nullptr) return;
  table->escalated = true;
  TableStatistics *statistics = shared::StatisticsOfTable(relation, true);
  if (statistics) shared::Count(statistics->bulk);
}

// ---- Triggers ---------------------------------------------------------------------------------------------------

void TrackRow(TriggerData *data) {
  Oid relation = RelationGetRelid(data->tg_relation);
  WrittenTable *table = NoteWritten(relation);
  if (table && table->escalated) {
    table->rows++;
    return;
  }
  WatchedTable *watched = WatchedTableOf(data->tg_relation);
  if (table == nullptr) {
    Escalate(nullptr, watched, relation);
    return;
  }
  table->rows++;
  CountReported(data, &table->reported);
  bool insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
  TupleTableSlot *old_row = insert ? nullptr : data->tg_trigslot;
  TupleTableSlot *new_row = insert                                    ? data->tg_trigslot
                            : TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newslot
                                                                      : nullptr;
  TagList list = TagsOfChange(watched, old_row, new_row, !table->table_tag);
  if (list.count == 0) return;
  // With the first change all are new.
  if (table->table_tag) list.count = DropRecent(list.tags, list.count);
  RegisterTags(list.tags, list.count);
  NoteRecent(list.tags, list.count);
  table->table_tag = true;
  table->tags += list.count - list.table_tags;
  if (table->tags > static_cast<uint32_t>(settings::bulk_threshold)) Escalate(table, watched, relation);
}

// ---- Hooks ------------------------------------------------------------------------------------------------------

void NoteStatement(QueryDesc *query, int flags) {
  PlannedStmt *statement = query->plannedstmt;
  if ((flags & EXEC_FLAG_EXPLAIN_ONLY) != 0 || statement->resultRelations == NIL) return;
  ListCell *cell;
  foreach (cell, statement->resultRelations) NoteWritten(rt_fetch(lfirst_int(cell), statement->rtable)->relid);
  // That list lacks the partitioned table which the statement names.
  foreach (cell, statement->rtable) {
    RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind != RTE_RELATION || entry->rellockmode != RowExclusiveLock) continue;
    NoteWritten(entry->relid);
    // Only REFRESH … CONCURRENTLY has one of these as its target, and no trigger reports it. A plain REFRESH gives it
    // another file, which OnRelation learns of.
    if (entry->relkind == RELKIND_MATVIEW) RegisterWide(entry->relid);
  }
}

// After the executor's own checks: what they refuse writes nothing, and need not be possible here.
void OnExecutorStart(QueryDesc *query, int flags) {
  if (previous_executor_start)
    previous_executor_start(query, flags);
  else
    standard_ExecutorStart(query, flags);
  NoteWhetherCounted();
  NoteStatement(query, flags);
}

// Statements that run others, each of which is looked at by itself, or that change nothing.
bool IsTransparent(Node *statement) {
  switch (nodeTag(statement)) {
    case T_ExplainStmt:
    case T_ExecuteStmt:
    case T_PrepareStmt:
    case T_DeallocateStmt:
    case T_DeclareCursorStmt:
    case T_FetchStmt:
    case T_ClosePortalStmt:
    case T_CallStmt:
    case T_DoStmt:
    case T_VariableSetStmt:
    case T_VariableShowStmt:
    case T_TransactionStmt:
    case T_CreateTableAsStmt: return true;
    case T_CopyStmt: return !reinterpret_cast<CopyStmt *>(statement)->is_from;
    default: return false;
  }
}

bool ImportsSnapshot(Node *statement) {
  return IsA(statement, VariableSetStmt) && reinterpret_cast<VariableSetStmt *>(statement)->kind == VAR_SET_MULTI &&
         strcmp(reinterpret_cast<VariableSetStmt *>(statement)->name, "TRANSACTION SNAPSHOT") == 0;
}

bool CommitsPrepared(Node *statement) {
  return IsA(statement, TransactionStmt) &&
         reinterpret_cast<TransactionStmt *>(statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

// The messages of the last command reach OnRelation when the next begins.
void LookAtMessages() {
  if (IsTransactionState() && OwnXid() != kNoXid) CommandCounterIncrement();
}

bool IsNamedKind(ObjectType type) {
  switch (type) {
    case OBJECT_ATTRIBUTE:
    case OBJECT_DOMAIN:
    case OBJECT_DOMCONSTRAINT:
    case OBJECT_EXTENSION:
    case OBJECT_LANGUAGE:
    case OBJECT_TRANSFORM:
    case OBJECT_TSPARSER:
    case OBJECT_TSTEMPLATE:
    case OBJECT_TYPE: return true;
    default: return false;
  }
}

// Whether a statement changes what an opaque function may name, of which no message tells that tables do not send too.
bool ChangesNames(Node *statement) {
  switch (nodeTag(statement)) {
    case T_AlterDomainStmt:
    case T_AlterTypeStmt:
    case T_CompositeTypeStmt:
    case T_CreateDomainStmt:
    case T_CreatePLangStmt:
    case T_CreateRangeStmt:
    case T_CreateTransformStmt:
    case T_DropOwnedStmt: return true;
    case T_AlterObjectSchemaStmt: return IsNamedKind(reinterpret_cast<AlterObjectSchemaStmt *>(statement)->objectType);
    case T_AlterTableStmt: return reinterpret_cast<AlterTableStmt *>(statement)->objtype == OBJECT_TYPE;
    case T_DefineStmt: return IsNamedKind(reinterpret_cast<DefineStmt *>(statement)->kind);
    case T_DropStmt: return IsNamedKind(reinterpret_cast<DropStmt *>(statement)->removeType);
    case T_RenameStmt: return IsNamedKind(reinterpret_cast<RenameStmt *>(statement)->renameType);
    default: return false;
  }
}

void RegisterNames(Node *statement) {
  if (!IsRecording() || OwnXid() == kNoXid || !ChangesNames(statement)) return;
  Register(NamesTag());
  changed_catalogs = true;
}

void OnUtility(PlannedStmt *statement, const char *text, bool read_only, ProcessUtilityContext context,
               ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
               QueryCompletion *completion) {
  auto next = previous_utility ? previous_utility : standard_ProcessUtility;
  NoteWhetherCounted();
  Node *utility = statement->utilityStmt;
  if (IsTransparent(utility)) {
    if (ImportsSnapshot(utility)) NoteImportedSnapshot();
    if (!CommitsPrepared(utility)) {
      next(statement, text, read_only, context, parameters, environment, receiver, completion);
      return;
    }
    PG_TRY();
    { next(statement, text, read_only, context, parameters, environment, receiver, completion); }
    PG_FINALLY();
    { own_commits.NotePreparedCommit(U64FromFullTransactionId(ReadNextFullTransactionId())); }
    PG_END_TRY();
    return;
  }
  // Triggers that nothing needs would make it refuse.
  if (IsA(utility, DropStmt) && reinterpret_cast<DropStmt *>(utility)->removeType == OBJECT_EXTENSION &&
      IsRecording() && !RecoveryInProgress() && IsTransactionState() && FindExtension())
    ForgetGone();
  const Concern outer = concern;
  const Concern own = ConcernOf(utility);
  if (own != outer) LookAtMessages();
  utility_depth++;
  PG_TRY();
  {
    concern = own;
    next(statement, text, read_only, context, parameters, environment, receiver, completion);
    if (IsA(utility, AlterExtensionStmt) || IsA(utility, AlterExtensionContentsStmt)) AnnounceExtensionChange();
    if (own != Concern::kMeaning) LookAtMessages();
    concern = outer;
    RegisterDeferred();
    RegisterNames(utility);
    FollowUp(utility);
    ReattachEnabled(utility);
  }
  PG_FINALLY();
  {
    // a statement that commits on its way, as VACUUM does, has begun at zero again
    if (utility_depth > 0) utility_depth--;
    concern = outer;
  }
  PG_END_TRY();
}

void NoteBelow(List **list, Oid relation) {
  MemoryContext outer = MemoryContextSwitchTo(TopTransactionContext);
  *list = lappend_oid(*list, relation);
  MemoryContextSwitchTo(outer);
}

void RegisterWideBy(Oid relation, void (*register_tag)(uint64_t tag)) {
  if (!IsRecording()) return;
  changed_catalogs = true;
  WrittenTable *table = NoteWritten(relation);
  if (table == nullptr || !table->escalated) {
    register_tag(WideTag(MyDatabaseId, relation));
    NoteBelow(&changed_below, relation);
    NoteWideChange(relation);
    if (table) table->escalated = true;
    TableStatistics *statistics = shared::StatisticsOfTable(relation, false);
    if (statistics) shared::Count(statistics->wide);
  }
}

// A message about a relation. Messages of others come here too and cannot be told apart; registering for them is a
// needless miss.
void OnRelation(Oid relation) {
  ForgetWatchedTables(relation);
  if (!OidIsValid(relation) || !IsRecording() || concern == Concern::kNothing) return;
  // A transaction that rolls back, and one that is prepared, undoes its messages after OnTransaction has forgotten what
  // it wrote. Noted then, they would count as the next transaction's.
  if (!IsTransactionState()) return;
  if (compat::IsAutovacuum()) return;
  if (OwnXid() == kNoXid || relation < FirstNormalObjectId) return;
  switch (concern) {
    case Concern::kOrder:
      RegisterTagOrDefer(OrderTag(MyDatabaseId, relation));
      NoteBelow(&reordered_below, relation);
      return;
    case Concern::kPrivileges:
      // The caller's are checked at every hit; those of others count where functions that hide them are called.
      RegisterTagOrDefer(NamesTag());
      changed_catalogs = true;
      return;
    default: RegisterWideBy(relation, RegisterTagOrDefer);
  }
}

// The same for functions, operators, casts, enums and schemas, and for roles.
void OnNames(bool roles) {
  if (!IsRecording() || compat::IsAutovacuum() || !IsTransactionState() || OwnXid() == kNoXid) return;
  RegisterTagOrDefer(roles ? RolesTag() : NamesTag());
  changed_catalogs = true;
}

// ---- Writes that no trigger has reported -------------------------------------------------------------------------

// Whether results may rest on the relation. One that is not tracked can become so before this transaction commits,
// unless it holds the lock that writers have: it registers all the same.
bool MayBeTracked(Oid oid, bool written_by_executor) {
  Relation relation = RelationIdGetRelation(oid);
  if (!RelationIsValid(relation)) return false;
  char kind = relation->rd_rel->relkind;
  bool may = kind == RELKIND_MATVIEW;
  if (kind == RELKIND_RELATION && relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP)
    may = HasAnyTrackingTrigger(relation) ||
          (!written_by_executor && !CheckRelationLockedByMe(relation, RowExclusiveLock, true));
  RelationClose(relation);
  return may;
}

bool RegisterUnreported(void *, Oid oid, Relation relation, const RowCounts &counts) {
  if (oid < FirstNormalObjectId) return false;
  const WrittenTable *table = FindWritten(oid);
  if (table && (table->escalated || Covers(table->reported, counts))) return false;
  // What the executor writes without a trigger of ours is most of what is left.
  if (table && relation && relation->rd_isvalid && relation->trigdesc == nullptr &&
      relation->rd_rel->relkind == RELKIND_RELATION)
    return false;
  if (MayBeTracked(oid, table != nullptr)) RegisterWide(oid);
  return false;
}

void RegisterUnreportedWrites() {
  if (SomeIsUncounted()) {
    ListCell *cell;
    foreach (cell, TrackedRelations()) RegisterWide(lfirst_oid(cell));
    return;
  }
  // It may have become tracked meanwhile, if its writer gave the lock back.
  AcceptInvalidationMessages();
  (void)VisitCounts(RegisterUnreported, nullptr);
}

bool IsRelationOf(void *definition, Oid oid, Relation, const RowCounts &) {
  const auto *looked_at = static_cast<const Definition *>(definition);
  for (int i = 0; i < looked_at->relation_count; i++)
    if (looked_at->relations[i].relation == oid) return true;
  return false;
}

void OnSubtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
  NoteWhetherCounted();
  if (event == SUBXACT_EVENT_COMMIT_SUB || event == SUBXACT_EVENT_ABORT_SUB)
    EndReportedLevel(GetCurrentTransactionNestLevel(), event == SUBXACT_EVENT_COMMIT_SUB);
}

// Tells the partitioned tables above of wide changes below them.
void RegisterSubtrees() {
  List *changed = changed_below;
  changed_below = NIL;
  ListCell *cell, *ancestor;
  foreach (cell, changed)
    foreach (ancestor, PartitionAncestorsOf(lfirst_oid(cell))) Register(SubtreeTag(MyDatabaseId, lfirst_oid(ancestor)));
  changed = reordered_below;
  reordered_below = NIL;
  foreach (cell, changed)
    foreach (ancestor, PartitionAncestorsOf(lfirst_oid(cell))) Register(OrderTag(MyDatabaseId, lfirst_oid(ancestor)));
}

void OnTransaction(XactEvent event, void *) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
      // The messages of the last command reach OnRelation only when the next begins.
      if (IsRecording() && OwnXid() != kNoXid) {
        CommandCounterIncrement();
        FollowUpAtCommit();
        RegisterDeferred();
        RegisterUnreportedWrites();
        RegisterSubtrees();
      }
      if (changed_catalogs) AnnounceCommitOfCatalogs();
      return;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
      if (OwnXid() != kNoXid)
        event == XACT_EVENT_COMMIT ? own_commits.NoteCommit(OwnXid()) : own_commits.NotePrepare(OwnXid());
      if ((written_count > 0 || written_all) && IsRecording()) FlushStatistics();
      break;
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT: break;
    default: return;
  }
  ForgetRecent();
  written_count = 0;
  written_all = false;
  changed_below = reordered_below = NIL;
  utility_depth = 0;
  changed_catalogs = false;
  ForgetImportedSnapshot();
  ForgetReported();
  ForgetDeferred();
  AbandonFollowUp();
  if (shared::flights) AbandonFlights();
}

}  // namespace

void RegisterWide(Oid relation) {
  if (!IsRecording()) return;
  (void)GetTopTransactionId();
  RegisterWideBy(relation, Register);
}

bool HasWritten(const Definition *definition) {
  if (HasDeferred()) return true;
  if (written_all) return true;
  for (int i = 0; i < definition->relation_count; i++)
    for (int j = 0; j < written_count; j++)
      if (written[j].relation == definition->relations[i].relation) return true;
  if (OwnXid() == kNoXid) return false;
  return SomeIsUncounted() || VisitCounts(IsRelationOf, const_cast<Definition *>(definition));
}

bool InsideUtility() { return utility_depth > 0; }

const OwnCommits &OwnCommitsOfSession() { return own_commits; }

const char *FindTrackingObstacle(Oid oid, bool *tracked) {
  *tracked = false;
  Relation relation = try_relation_open(oid, AccessShareLock);
  if (relation == nullptr) return "a relation that the body reads was dropped";
  const char *name = psprintf("%s.%s", quote_identifier(get_namespace_name(RelationGetNamespace(relation))),
                              quote_identifier(RelationGetRelationName(relation)));
  char kind = relation->rd_rel->relkind;
  const char *obstacle = nullptr;
  if (kind == RELKIND_VIEW && oid >= FirstNormalObjectId) {
    // seen through
  } else if (oid < FirstNormalObjectId || IsCatalogRelation(relation)) {
    obstacle = psprintf("%s is a system catalog, which changes without triggers", name);
  } else if (kind == RELKIND_FOREIGN_TABLE) {
    obstacle = psprintf("%s is a foreign table, which changes without triggers", name);
  } else if (kind == RELKIND_MATVIEW) {
    *tracked = true;  // only REFRESH writes it, which is seen without triggers
  } else if (kind == RELKIND_SEQUENCE) {
    obstacle = psprintf("%s is a sequence, which changes outside of transactions", name);
  } else if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_VIEW) {
    obstacle = psprintf("%s is not a table", name);
  } else if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP) {
    obstacle = psprintf("%s is a temporary table", name);
  } else if (!HasTrackingTriggers(relation)) {
    obstacle =
        HasAnyTrackingTrigger(relation)
            ? psprintf("the tracking triggers of %s are disabled or altered", name)
            : psprintf("%s has no tracking triggers; its owner can put them on with aggcache.attach('%s')", name, name);
  } else {
    *tracked = true;
  }
  relation_close(relation, NoLock);
  return obstacle;
}

void InstallTrackingHooks() {
  previous_executor_start = ExecutorStart_hook;
  ExecutorStart_hook = OnExecutorStart;
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = OnUtility;
  RegisterXactCallback(OnTransaction, nullptr);
  RegisterSubXactCallback(OnSubtransaction, nullptr);
  OnRelationChanged(OnRelation);
  OnNamesChanged(OnNames);
}

}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_track_row);
PGDLLEXPORT Datum aggcache_track_row(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" was not called by trigger manager", "aggcache.track_row")));
  auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
  if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_AFTER(data->tg_event))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" must be fired AFTER ROW", "aggcache.track_row")));
  if (aggcache::IsRecording()) {
    aggcache::ShowSerializableWrite(data->tg_relation);
    aggcache::NoteRowChange(data);
    aggcache::TrackRow(data);
  }
  return PointerGetDatum(nullptr);
}

PG_FUNCTION_INFO_V1(aggcache_track_truncate);
PGDLLEXPORT Datum aggcache_track_truncate(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" was not called by trigger manager", "aggcache.track_truncate")));
  auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
  if (aggcache::IsRecording()) aggcache::RegisterWide(RelationGetRelid(data->tg_relation));
  return PointerGetDatum(nullptr);
}
}
