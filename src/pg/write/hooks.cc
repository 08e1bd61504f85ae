// State of this session: what the utility statement at hand concerns, how deep such statements nest, and what it has
// committed. Callbacks of messages may neither wait nor fail, so they defer what cannot be registered at once
// (registration.h).

#include "pg/base/server.h"

#include "pg/write/hooks.h"

#include "core/staleness.h"
#include "pg/base/extension.h"
#include "pg/base/transactions.h"
#include "pg/body/definition_cache.h"
#include "pg/body/result_times.h"
#include "pg/facts/audited.h"
#include "pg/facts/concern.h"
#include "pg/keep/rows.h"
#include "pg/watch/known_watches.h"
#include "pg/write/attach.h"
#include "pg/write/catalog_commits.h"
#include "pg/write/counted_writes.h"
#include "pg/write/follow_up.h"
#include "pg/write/reattach.h"
#include "pg/write/registration.h"
#include "pg/write/row_tags.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

// Of the innermost utility statement. Messages of what it has done are looked at before it changes.
Concern concern = Concern::kMeaning;
int utility_depth = 0;
OwnCommits own_commits;

ExecutorStart_hook_type previous_executor_start = nullptr;
ProcessUtility_hook_type previous_utility = nullptr;

// Notes the relations that a statement is about to write.
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
    // another file, which NoteRelationMessage learns of.
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

// The messages of the last command reach NoteRelationMessage when the next begins.
void LookAtMessages() {
  if (IsTransactionState() && OwnXid() != kNoXid) CommandCounterIncrement();
}

// Whether objects of the kind count as names of which no message tells.
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

// Registers a statement that changes such names.
void RegisterNames(Node *statement) {
  if (!IsRecording() || OwnXid() == kNoXid || !ChangesNames(statement)) return;
  const uint64_t tag = NamesTag();
  RegisterTags(&tag, 1);
  NoteChangedCatalogs();
}

// Before the statement: what it concerns, for the messages that it causes. After it: what is to be registered and
// followed up.
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

// A message about a relation. Messages of others come here too and cannot be told apart; registering for them is a
// needless miss.
void NoteRelationMessage(Oid relation) {
  ForgetWatchedTables(relation);
  MaySpareWatches(relation);
  ForgetCompiled(relation);
  if (!OidIsValid(relation) || !IsRecording() || concern == Concern::kNothing) return;
  // A transaction that rolls back, and one that is prepared, undoes its messages after OnTransaction has forgotten what
  // it wrote. Noted then, they would count as the next transaction's.
  if (!IsTransactionState()) return;
  if (compat::IsAutovacuum()) return;
  if (OwnXid() == kNoXid || relation < FirstNormalObjectId) return;
  switch (concern) {
    case Concern::kOrder: RegisterOrderOrDefer(relation); return;
    case Concern::kPrivileges:
      // The caller's are checked at every hit; those of others count where functions that hide them are called.
      RegisterTagOrDefer(NamesTag());
      NoteChangedCatalogs();
      return;
    default: RegisterWideOrDefer(relation);
  }
}

// The same for functions, operators, casts, enums and schemas, and for roles.
void NoteNamesMessage(bool roles) {
  if (!IsRecording() || compat::IsAutovacuum() || !IsTransactionState() || OwnXid() == kNoXid) return;
  RegisterTagOrDefer(roles ? RolesTag() : NamesTag());
  NoteChangedCatalogs();
}

}  // namespace

void RegisterBeforeCommit() {
  // The messages of the last command reach NoteRelationMessage only when the next begins.
  if (IsRecording() && OwnXid() != kNoXid) {
    CommandCounterIncrement();
    FollowUpAtCommit();
    RegisterDeferred();
    RegisterUnreportedWrites();
    RegisterSubtrees();
  }
  AnnounceCommitOfCatalogs();
}

void NoteOwnCommit(XactEvent event) {
  if (OwnXid() == kNoXid) return;
  event == XACT_EVENT_COMMIT ? own_commits.NoteCommit(OwnXid()) : own_commits.NotePrepare(OwnXid());
}

void ForgetStatements() {
  utility_depth = 0;
  ForgetImportedSnapshot();
}

bool InsideUtility() { return utility_depth > 0; }

const OwnCommits &OwnCommitsOfSession() { return own_commits; }

void InstallTrackingHooks() {
  previous_executor_start = ExecutorStart_hook;
  ExecutorStart_hook = OnExecutorStart;
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = OnUtility;
  OnRelationChanged(NoteRelationMessage);
  OnNamesChanged(NoteNamesMessage);
}

}  // namespace aggcache
