// Every difference between PostgreSQL versions, and nothing else. Included by pg/base/server.h only.

#ifndef AGGCACHE_PG_BASE_COMPAT_H
#define AGGCACHE_PG_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pg_aggcache needs PostgreSQL 15 or later"
#endif

extern "C" {
#include "utils/guc_tables.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_state.h"
#endif
}

namespace aggcache {
namespace compat {

constexpr int kMajorVersion = PG_VERSION_NUM / 10000;

#if PG_VERSION_NUM >= 170000
using SearchPath = SearchPathMatcher;
inline SearchPath *CurrentSearchPath(MemoryContext context) { return GetSearchPathMatcher(context); }
inline bool IsCurrentSearchPath(SearchPath *path) { return SearchPathMatchesCurrentEnvironment(path); }
#else
using SearchPath = OverrideSearchPath;
inline SearchPath *CurrentSearchPath(MemoryContext context) { return GetOverrideSearchPath(context); }
inline bool IsCurrentSearchPath(SearchPath *path) { return OverrideSearchPathMatchesCurrent(path); }
#endif

// The result check of SQL functions; always asks for nulls in the place of dropped columns.
inline bool CheckFunctionResult(List *query_lists, Oid type, TupleDesc desc, char prokind) {
#if PG_VERSION_NUM >= 180000
  return check_sql_fn_retval(query_lists, type, desc, prokind, true);
#elif PG_VERSION_NUM >= 170000
  return check_sql_fn_retval(query_lists, type, desc, prokind, true, nullptr);
#else
  return check_sql_fn_retval_ext(query_lists, type, desc, prokind, true, nullptr);
#endif
}

// Of a < or > operator of a B-tree: its family, the type that it compares, and whether it is >. False: it is none.
inline bool FindOrdering(Oid operator_oid, Oid *family, Oid *type, bool *greater) {
#if PG_VERSION_NUM >= 180000
  CompareType order;
  const bool found = get_ordering_op_properties(operator_oid, family, type, &order);
  *greater = found && order == COMPARE_GT;
#else
  int16 strategy;
  const bool found = get_ordering_op_properties(operator_oid, family, type, &strategy);
  *greater = found && strategy == BTGreaterStrategyNumber;
#endif
  return found;
}

// For each column of `outer`, the number of the column of `inner` with its name.
inline AttrMap *MapColumns(TupleDesc inner, TupleDesc outer) {
#if PG_VERSION_NUM >= 160000
  return build_attrmap_by_name(inner, outer, false);
#else
  return build_attrmap_by_name(inner, outer);
#endif
}

inline bool CanExecute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
  return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

// Whether the current role has the privileges that executing this level of the query needs on relations.
inline bool MayUseRelations(Query *query) {
#if PG_VERSION_NUM >= 160000
  return ExecCheckPermissions(query->rtable, query->rteperminfos, false);
#else
  return ExecCheckRTPerms(query->rtable, false);
#endif
}

// Appends the relations of this level of the query to those whose use the plan's executor checks.
inline void AddCheckedRelations(PlannedStmt *plan, Query *query) {
  ListCell *cell;
  foreach (cell, query->rtable) {
    RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
#if PG_VERSION_NUM >= 160000
    if (entry->perminfoindex == 0) continue;
    entry = static_cast<RangeTblEntry *>(copyObjectImpl(entry));
    entry->subquery = nullptr;  // of a view
    plan->permInfos = lappend(plan->permInfos, copyObjectImpl(getRTEPermissionInfo(query->rteperminfos, entry)));
    entry->perminfoindex = list_length(plan->permInfos);
#else
    if (entry->rtekind != RTE_RELATION) continue;
    entry = static_cast<RangeTblEntry *>(copyObjectImpl(entry));
#endif
    plan->rtable = lappend(plan->rtable, entry);
  }
}

// Makes the query group by the expressions that were written, in a copy of it.
inline void FlattenGroups(Query *query) {
#if PG_VERSION_NUM >= 180000
  if (!query->hasGroupRTE) return;
  query->targetList = castNode(List, flatten_group_exprs(nullptr, query, reinterpret_cast<Node *>(query->targetList)));
  query->havingQual = flatten_group_exprs(nullptr, query, query->havingQual);
  query->hasGroupRTE = false;
  // parse analysis puts it last
  if (llast_node(RangeTblEntry, query->rtable)->rtekind == RTE_GROUP) query->rtable = list_delete_last(query->rtable);
#else
  (void)query;
#endif
}

// The query reads no relation any more whose use is to be checked.
inline void ForgetPermissions(Query *query) {
#if PG_VERSION_NUM >= 160000
  query->rteperminfos = NIL;
#else
  (void)query;
#endif
}

// Puts the expressions of a target list in the place of the columns of a relation.
inline Node *ReplaceColumns(Node *node, int relation, RangeTblEntry *entry, List *target_list) {
#if PG_VERSION_NUM >= 180000
  return ReplaceVarsFromTargetList(node, relation, 0, entry, target_list, 0, REPLACEVARS_REPORT_ERROR, 0, nullptr);
#else
  return ReplaceVarsFromTargetList(node, relation, 0, entry, target_list, REPLACEVARS_REPORT_ERROR, 0, nullptr);
#endif
}

inline bool OwnsRelation(Oid relation, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(RelationRelationId, relation, role);
#else
  return pg_class_ownercheck(relation, role);
#endif
}

inline bool OwnsFunction(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(ProcedureRelationId, function, role);
#else
  return pg_proc_ownercheck(function, role);
#endif
}

// The relation of an entry of the statistics that this session has not reported yet.
inline Oid CountedRelation(const PgStat_TableStatus *entry) {
#if PG_VERSION_NUM >= 160000
  return entry->id;
#else
  return entry->t_id;
#endif
}

// The next id that will be assigned. Where 64 bits are read at once no lock is needed: it only ever grows.
inline uint64 NextXid() {
#if !defined(PG_HAVE_8BYTE_SINGLE_COPY_ATOMICITY)
  return U64FromFullTransactionId(ReadNextFullTransactionId());
#elif PG_VERSION_NUM >= 170000
  return *const_cast<volatile uint64 *>(&TransamVariables->nextXid.value);
#else
  return *const_cast<volatile uint64 *>(&ShmemVariableCache->nextXid.value);
#endif
}

inline TransactionId OldestClogXid() {
#if PG_VERSION_NUM >= 170000
  return TransamVariables->oldestClogXid;
#else
  return ShmemVariableCache->oldestClogXid;
#endif
}

// What a backend shows as its wait event while it waits for others to unpin a buffer.
#if PG_VERSION_NUM >= 170000
constexpr uint32 kWaitForBufferPin = PG_WAIT_BUFFERPIN;
#else
constexpr uint32 kWaitForBufferPin = PG_WAIT_BUFFER_PIN;
#endif

// Whether someone waits for a lock in a mode that conflicts with one in which it is held through this entry. REQUIRES:
// the lock of its partition.
inline bool IsLockAwaited(const PROCLOCK *held) {
  const LOCK *lock = held->tag.myLock;
  if (lock->waitMask == 0) return false;
  const LockMethod method = GetLocksMethodTable(lock);
  for (int mode = 1; mode <= method->numLockModes; mode++)
    if ((lock->waitMask & LOCKBIT_ON(mode)) != 0 && (method->conflictTab[mode] & held->holdMask) != 0) return true;
  return false;
}

// Whether someone waits for a heavyweight lock that this backend holds. One that is held through the fast path is in
// the shared table as soon as someone waits for it.
inline bool HoldsAwaitedLock() {
  bool awaited = false;
  for (int i = 0; i < NUM_LOCK_PARTITIONS && !awaited; i++) {
    // Others only ever add to these lists, when somebody begins to wait; that is seen at the next look.
#if PG_VERSION_NUM >= 160000
    dlist_head *all = &MyProc->myProcLocks[i];
    if (dlist_is_empty(all)) continue;
    LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
    // dlist_foreach() is for C only
    for (dlist_node *held = all->head.next; held != &all->head && !awaited; held = held->next)
      awaited =
          IsLockAwaited(reinterpret_cast<PROCLOCK *>(reinterpret_cast<char *>(held) - offsetof(PROCLOCK, procLink)));
#else
    SHM_QUEUE *all = &MyProc->myProcLocks[i];
    if (SHMQueueEmpty(all)) continue;
    LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
    void *held = SHMQueueNext(all, all, offsetof(PROCLOCK, procLink));
    while (held && !awaited) {
      auto *entry = static_cast<PROCLOCK *>(held);
      awaited = IsLockAwaited(entry);
      held = SHMQueueNext(all, &entry->procLink, offsetof(PROCLOCK, procLink));
    }
#endif
    LWLockRelease(LockHashPartitionLockByIndex(i));
  }
  return awaited;
}

// Tree walkers; before version 16 their callbacks are declared without arguments.
using Walker = bool (*)(Node *, void *);
using Mutator = Node *(*)(Node *, void *);
#if PG_VERSION_NUM >= 160000
inline bool WalkExpression(Node *node, Walker walker, void *context) {
  return expression_tree_walker(node, walker, context);
}
inline bool WalkQuery(Query *query, Walker walker, void *context) {
  return query_tree_walker(query, walker, context, 0);
}
inline Node *MutateExpression(Node *node, Mutator mutator, void *context) {
  return expression_tree_mutator(node, mutator, context);
}
inline Query *MutateQuery(Query *query, Mutator mutator, void *context) {
  return query_tree_mutator(query, mutator, context, 0);
}
inline bool WalkRaw(Node *node, Walker walker, void *context) {
  return raw_expression_tree_walker(node, walker, context);
}
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-function-type"
using OldWalker = bool (*)();
using OldMutator = Node *(*)();
inline bool WalkExpression(Node *node, Walker walker, void *context) {
  return expression_tree_walker(node, reinterpret_cast<OldWalker>(walker), context);
}
inline bool WalkQuery(Query *query, Walker walker, void *context) {
  return query_tree_walker(query, reinterpret_cast<OldWalker>(walker), context, 0);
}
inline Node *MutateExpression(Node *node, Mutator mutator, void *context) {
  return expression_tree_mutator(node, reinterpret_cast<OldMutator>(mutator), context);
}
inline Query *MutateQuery(Query *query, Mutator mutator, void *context) {
  return query_tree_mutator(query, reinterpret_cast<OldMutator>(mutator), context, 0);
}
inline bool WalkRaw(Node *node, Walker walker, void *context) {
  return raw_expression_tree_walker(node, reinterpret_cast<OldWalker>(walker), context);
}
#pragma GCC diagnostic pop
#endif

// What the columns of a join, or of what is grouped, are other names for; NIL if the entry is neither.
inline List *NamedExpressions(const RangeTblEntry *entry) {
#if PG_VERSION_NUM >= 180000
  if (entry->rtekind == RTE_GROUP) return entry->groupexprs;
#endif
  return entry->rtekind == RTE_JOIN ? entry->joinaliasvars : NIL;
}

// All settings, in the order of their names.
inline struct config_generic **Settings(int *count) {
#if PG_VERSION_NUM >= 160000
  return get_guc_variables(count);
#else
  *count = GetNumConfigOptions();
  return get_guc_variables();
#endif
}

// Where a text setting of the server keeps its value; NULL if there is none of that name.
inline char **TextSettingVariable(const char *name) {
  int count;
  struct config_generic **settings = Settings(&count);
  for (int i = 0; i < count; i++)
    if (settings[i]->vartype == PGC_STRING && strcmp(settings[i]->name, name) == 0)
      return reinterpret_cast<struct config_string *>(settings[i])->variable;
  return nullptr;
}

// Memory that a setting's value and what its check hook leaves are in; NULL if there is none.
inline void *AllocateSetting(size_t size) {
#if PG_VERSION_NUM >= 160000
  return guc_malloc(LOG, size);
#else
  return malloc(size);
#endif
}

inline void FreeSetting(void *memory) {
#if PG_VERSION_NUM >= 160000
  guc_free(memory);
#else
  free(memory);
#endif
}

// A set of things to wait for that lives as long as the session.
inline WaitEventSet *MakeWaitEventSet(int most) {
#if PG_VERSION_NUM >= 170000
  return CreateWaitEventSet(nullptr, most);
#else
  return CreateWaitEventSet(TopMemoryContext, most);
#endif
}

inline bool IsAutovacuum() {
#if PG_VERSION_NUM >= 170000
  return AmAutoVacuumWorkerProcess();
#else
  return IsAutoVacuumWorkerProcess();
#endif
}

inline LocalTransactionId CurrentLocalTransaction() {
#if PG_VERSION_NUM >= 170000
  return MyProc->vxid.lxid;
#else
  return MyProc->lxid;
#endif
}

// What the relations of a query may be used for stands beside its range table.
inline void TakePermissions(Query *query, ParseState *state) {
#if PG_VERSION_NUM >= 160000
  query->rteperminfos = state->p_rteperminfos;
#else
  (void)query;
  (void)state;
#endif
}

// The columns of an entry of the range table, as Vars.
inline void ExpandEntry(RangeTblEntry *entry, List **columns) {
  List *names;
#if PG_VERSION_NUM >= 180000
  expandRTE(entry, 1, 0, VAR_RETURNING_DEFAULT, -1, false, &names, columns);
#else
  expandRTE(entry, 1, 0, -1, false, &names, columns);
#endif
}

// Columns that are computed when they are read. The expression of one, or NULL if the column is no such one.
#if PG_VERSION_NUM >= 180000
constexpr bool kHasVirtualColumns = true;
inline Node *VirtualColumn(Relation relation, int attribute) {
  if (TupleDescAttr(RelationGetDescr(relation), attribute - 1)->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)
    return nullptr;
  return build_generation_expression(relation, attribute);
}
#else
constexpr bool kHasVirtualColumns = false;
inline Node *VirtualColumn(Relation, int) { return nullptr; }
#endif

// Expressions of SQL syntax that make XML or JSON.
inline bool MakesXmlOrJson(NodeTag tag) {
#if PG_VERSION_NUM >= 160000
  if (tag == T_JsonValueExpr || tag == T_JsonConstructorExpr) return true;
#endif
#if PG_VERSION_NUM >= 170000
  if (tag == T_JsonExpr) return true;
#endif
  return tag == T_XmlExpr;
}

// Whether an outer join below the clause that the member comes from may put NULL in its place. Since version 16 the
// relations of such a member are more than one.
inline bool IsNullable(const EquivalenceMember *member) {
#if PG_VERSION_NUM >= 160000
  (void)member;
  return false;
#else
  return !bms_is_empty(member->em_nullable_relids);
#endif
}

// Gives the query, whose range table is empty, a copy of an entry of another's, with what is checked of its use.
inline RangeTblEntry *CopyEntry(Query *query, const Query *from, const RangeTblEntry *entry) {
  auto *copy = static_cast<RangeTblEntry *>(copyObjectImpl(entry));
  query->rtable = list_make1(copy);
#if PG_VERSION_NUM >= 160000
  if (entry->perminfoindex != 0) {
    auto *permissions = getRTEPermissionInfo(from->rteperminfos, copy);
    query->rteperminfos = list_make1(copyObjectImpl(permissions));
    copy->perminfoindex = 1;
  }
#else
  (void)from;
#endif
  return copy;
}

// The column, unless an outer join may put NULL in its place, is that of the first relation.
inline void MakeFirst(Var *column) {
  column->varno = 1;
  column->varnosyn = 0;
  column->varattnosyn = 0;
#if PG_VERSION_NUM >= 160000
  column->varnullingrels = nullptr;
#endif
}

inline void ExecutorStartRun(QueryDesc *query, uint64 count) {
  ExecutorStart(query, 0);
#if PG_VERSION_NUM >= 180000
  ExecutorRun(query, ForwardScanDirection, count);
#else
  ExecutorRun(query, ForwardScanDirection, count, true);
#endif
}

// Runs the plan to its end, past the hook of others.
inline void StandardExecutorRun(QueryDesc *query) {
#if PG_VERSION_NUM >= 180000
  standard_ExecutorRun(query, ForwardScanDirection, 0);
#else
  standard_ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
}

// Whether the function is AT LOCAL of a timestamp.
inline bool IsAtLocal(Oid function) {
#if PG_VERSION_NUM >= 170000
  return function == F_TIMEZONE_TIMESTAMP || function == F_TIMEZONE_TIMESTAMPTZ;
#else
  (void)function;
  return false;
#endif
}

// What a name of a time zone stands for in AT TIME ZONE: a zone, or NULL and an offset; false if it is neither.
inline bool FindZone(char *name, pg_tz **zone) {
  *zone = nullptr;
#if PG_VERSION_NUM >= 160000
  int offset;
  const int kind = DecodeTimezoneName(name, &offset, zone);
  if (kind == TZNAME_FIXED_OFFSET) *zone = nullptr;
  return true;
#else
  char *lower = downcase_truncate_identifier(name, static_cast<int>(strlen(name)), false);
  int offset;
  const int kind = DecodeTimezoneAbbrev(0, lower, &offset, zone);
  if (kind == TZ || kind == DTZ) {
    *zone = nullptr;
    return true;
  }
  if (kind != DYNTZ) *zone = pg_tzset(name);
  return *zone != nullptr;
#endif
}

}  // namespace compat
}  // namespace aggcache

#endif
