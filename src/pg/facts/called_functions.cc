// A session keeps which functions an operator leads to, in a hash table of its own, until a message says that an
// operator, a class or a family has changed. All else is asked of the catalogs each time.

#include "pg/base/server.h"

#include "pg/facts/called_functions.h"

extern "C" {
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
}

namespace aggcache {

namespace {

// What has been found, and the operator families that may lead to more (FamiliesOfRelations).
struct FoundFunctions {
  const List *families;
  List *functions;  // Oids
};

// Adds a function; InvalidOid: there is none.
void AddCalled(FoundFunctions *found, Oid function) {
  if (OidIsValid(function)) found->functions = list_append_unique_oid(found->functions, function);
}

// ---- Operators --------------------------------------------------------------------------------------------------

// Where an operator belongs.
struct Membership {
  Oid family;
  Oid method;
  Oid left, right;
};

// Methods that order, compare or hash values by functions that anybody can write. Those of the others are in C, and
// find what the operator says.
bool IsFollowed(Oid method) { return method == BTREE_AM_OID || method == HASH_AM_OID || method == BRIN_AM_OID; }

// A copy, for no list of a system cache may stay open while others are looked at.
List *MembershipsOf(Oid operation) {
  List *memberships = NIL;
  CatCList *rows = SearchSysCacheList1(AMOPOPID, ObjectIdGetDatum(operation));
  for (int i = 0; i < rows->n_members; i++) {
    Form_pg_amop form = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&rows->members[i]->tuple));
    if (!IsFollowed(form->amopmethod)) continue;
    auto *membership = static_cast<Membership *>(palloc(sizeof(Membership)));
    *membership = {form->amopfamily, form->amopmethod, form->amoplefttype, form->amoprighttype};
    memberships = lappend(memberships, membership);
  }
  ReleaseCatCacheList(rows);
  return memberships;
}

List *OperatorsOfFamily(Oid family) {
  List *operators = NIL;
  CatCList *rows = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
  for (int i = 0; i < rows->n_members; i++)
    operators = lappend_oid(operators, reinterpret_cast<Form_pg_amop>(GETSTRUCT(&rows->members[i]->tuple))->amopopr);
  ReleaseCatCacheList(rows);
  return operators;
}

// Adds the support functions of a family, those for one pair of types or, if these are not given, all.
void AddSupport(FoundFunctions *found, Oid family, Oid left, Oid right) {
  CatCList *rows = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
  for (int i = 0; i < rows->n_members; i++) {
    Form_pg_amproc form = reinterpret_cast<Form_pg_amproc>(GETSTRUCT(&rows->members[i]->tuple));
    const bool left_fits = form->amproclefttype == left || form->amproclefttype == right;
    const bool right_fits = form->amprocrighttype == left || form->amprocrighttype == right;
    if (OidIsValid(left) && !(left_fits && right_fits)) continue;
    // What is built in in both ways cannot become another one.
    if (!IsBuiltIn(family) || !IsBuiltIn(form->amproc)) AddCalled(found, form->amproc);
  }
  ReleaseCatCacheList(rows);
}

// Whether the operator is in a built-in family of that access method.
bool HasBuiltInFamily(const List *memberships, Oid method) {
  ListCell *cell;
  foreach (cell, memberships) {
    const auto *membership = static_cast<Membership *>(lfirst(cell));
    if (membership->method == method && IsBuiltIn(membership->family)) return true;
  }
  return false;
}

// Adds all functions of a family, and those of its operators.
void AddWholeFamily(FoundFunctions *found, Oid family) {
  AddSupport(found, family, InvalidOid, InvalidOid);
  ListCell *cell;
  foreach (cell, OperatorsOfFamily(family)) {
    const Oid function = get_opcode(lfirst_oid(cell));
    if (!IsBuiltIn(family) || !IsBuiltIn(function)) AddCalled(found, function);
  }
}

// Sorting, joining and hashing take the built-in family of a built-in operator where there is one.
void AddFamilies(FoundFunctions *found, Oid operation) {
  List *memberships = MembershipsOf(operation);
  ListCell *cell;
  foreach (cell, memberships) {
    const auto *membership = static_cast<Membership *>(lfirst(cell));
    const bool built_in = IsBuiltIn(membership->family);
    if (IsBuiltIn(operation) && built_in)
      AddSupport(found, membership->family, membership->left, membership->right);
    else if (!IsBuiltIn(operation) || !HasBuiltInFamily(memberships, membership->method))
      AddWholeFamily(found, membership->family);
  }
}

// The operator, and what the planner may put in its place.
struct Related {
  Oid operators[4];
};

Related RelatedOperators(Oid operation) {
  const Oid negator = get_negator(operation);
  return {{operation, get_commutator(operation), negator, OidIsValid(negator) ? get_commutator(negator) : InvalidOid}};
}

// Every analysis asks for the same few operators, several times. Good until an operator or a class changes.
struct KnownOperator {
  Oid operation;    // hash key
  List *functions;  // in known_context
};

HTAB *known = nullptr;
MemoryContext known_context = nullptr;
uint64_t known_generation = 0;

void ForgetOperators(Datum, int, uint32) {
  known_generation++;
  if (known == nullptr) return;
  known = nullptr;
  MemoryContextReset(known_context);
}

// Makes the table of known operators if there is none, the first time with the callbacks that empty it.
void MakeKnown() {
  if (known_context == nullptr) {
    known_context = AllocSetContextCreate(TopMemoryContext, "aggcache operators", ALLOCSET_DEFAULT_SIZES);
    const int caches[] = {OPEROID, AMOPOPID, AMPROCNUM, CLAOID, OPFAMILYOID};
    for (int cache : caches) CacheRegisterSyscacheCallback(cache, ForgetOperators, Datum{0});
  }
  if (known != nullptr) return;
  HASHCTL control;
  memset(&control, 0, sizeof(control));
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(KnownOperator);
  control.hcxt = known_context;
  known = hash_create("aggcache operators", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

// Adds what the operator leads to by itself, which is looked up in the table, and what others' families of relations
// lead to.
void AddOperator(FoundFunctions *found, Oid operation) {
  if (!OidIsValid(operation)) return;
  MakeKnown();
  auto *entry = static_cast<KnownOperator *>(hash_search(known, &operation, HASH_FIND, nullptr));
  List *functions = entry ? entry->functions : NIL;
  if (entry == nullptr) {
    const uint64_t generation = known_generation;
    FoundFunctions fresh = {NIL, NIL};
    for (Oid used : RelatedOperators(operation).operators) {
      if (!OidIsValid(used)) continue;
      AddCalled(&fresh, get_opcode(used));
      AddFamilies(&fresh, used);
    }
    functions = fresh.functions;
    // a message that arrived meanwhile may be about it
    if (generation == known_generation) {
      MemoryContext outer = MemoryContextSwitchTo(known_context);
      List *kept = list_copy(functions);
      MemoryContextSwitchTo(outer);
      entry = static_cast<KnownOperator *>(hash_search(known, &operation, HASH_ENTER, nullptr));
      entry->functions = kept;
    }
  }
  found->functions = list_concat_unique_oid(found->functions, functions);
  if (found->families == NIL) return;
  ListCell *cell;
  for (Oid used : RelatedOperators(operation).operators) {
    if (!OidIsValid(used)) continue;
    foreach (cell, MembershipsOf(used)) {
      const auto *membership = static_cast<Membership *>(lfirst(cell));
      if (list_member_oid(found->families, membership->family)) AddWholeFamily(found, membership->family);
    }
  }
}

// ---- Types ------------------------------------------------------------------------------------------------------

// The range type that a value of the type is, or consists of; InvalidOid: neither.
Oid RangeOf(Oid type) {
  type = getBaseType(type);
  switch (get_typtype(type)) {
    case TYPTYPE_RANGE: return type;
    case TYPTYPE_MULTIRANGE: return get_multirange_range(type);
    default: return InvalidOid;
  }
}

// Adds what comparing and hashing values of the type calls, whatever it consists of.
void AddTypeComparison(FoundFunctions *found, Oid type) {
  check_stack_depth();
  type = getBaseType(type);
  const Oid element = get_element_type(type);
  if (OidIsValid(element)) {
    AddTypeComparison(found, element);
    return;
  }
  const Oid range = RangeOf(type);
  if (OidIsValid(range)) {
    TypeCacheEntry *entry = lookup_type_cache(range, TYPECACHE_RANGE_INFO);
    AddCalled(found, entry->rng_cmp_proc_finfo.fn_oid);
    AddCalled(found, entry->rng_canonical_finfo.fn_oid);
    AddTypeComparison(found, entry->rngelemtype->type_id);
    return;
  }
  if (type == RECORDOID) return;  // what it consists of is told by who makes it
  if (type_is_rowtype(type)) {
    TupleDesc row = lookup_rowtype_tupdesc_copy(type, -1);
    for (int i = 0; i < row->natts; i++)
      if (!TupleDescAttr(row, i)->attisdropped) AddTypeComparison(found, TupleDescAttr(row, i)->atttypid);
    return;
  }
  TypeCacheEntry *entry =
      lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR | TYPECACHE_GT_OPR | TYPECACHE_CMP_PROC |
                                  TYPECACHE_HASH_PROC | TYPECACHE_HASH_EXTENDED_PROC);
  const Oid operators[] = {entry->eq_opr, entry->lt_opr, entry->gt_opr};
  for (Oid operation : operators) AddOperator(found, operation);
  AddCalled(found, entry->cmp_proc);
  AddCalled(found, entry->hash_proc);
  AddCalled(found, entry->hash_extended_proc);
}

// Whether comparing values of the type compares what they consist of.
bool ComparesParts(Oid type) {
  type = getBaseType(type);
  return OidIsValid(get_element_type(type)) || OidIsValid(RangeOf(type)) || type_is_rowtype(type);
}

// Whether values of the type are or hold ranges; never of a built-in type, the functions of which are built in.
bool HoldsOthersRange(Oid type) {
  if (IsBuiltIn(type)) return false;
  type = getBaseType(type);
  const Oid element = get_element_type(type);
  return OidIsValid(RangeOf(OidIsValid(element) ? element : type));
}

// Whether an argument that is declared so can be of any type.
bool TakesAnyType(Oid type) {
  return IsPolymorphicType(type) || type == RECORDOID || type == RECORDARRAYOID || type == ANYOID;
}

// Built-in functions of any type that compare no values.
const char *const kComparesNothing[] = {
    "any_value",    "array_agg",   "array_append", "array_cat",           "array_dims",    "array_fill",
    "array_length", "array_lower", "array_ndims",  "array_prepend",       "array_reverse", "array_upper",
    "cardinality",  "count",       "first_value",  "generate_subscripts", "lag",           "last_value",
    "lead",         "nth_value",   "num_nonnulls", "num_nulls",           "trim_array",    "unnest"};

// Whether the function takes values of types that its declaration leaves open, and may compare them.
bool MayCompareAny(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  bool any = false;
  for (int i = 0; i < form->pronargs; i++) any |= TakesAnyType(form->proargtypes.values[i]);
  if (any && IsBuiltIn(function))
    for (const char *name : kComparesNothing) any &= strcmp(NameStr(form->proname), name) != 0;
  ReleaseSysCache(row);
  return any;
}

Oid TypeOfArgument(Node *argument) {
  if (IsA(argument, TargetEntry)) argument = reinterpret_cast<Node *>(reinterpret_cast<TargetEntry *>(argument)->expr);
  return exprType(argument);
}

// Adds what a function calls for values of its arguments' types and its result's.
void AddTypes(FoundFunctions *found, Oid function, const List *arguments, Oid result) {
  const bool compares = MayCompareAny(function);
  // a range is put in its canonical form when it is made, whoever makes it
  if (HoldsOthersRange(result)) AddTypeComparison(found, result);
  ListCell *cell;
  foreach (cell, arguments) {
    const Oid type = TypeOfArgument(static_cast<Node *>(lfirst(cell)));
    if (compares || HoldsOthersRange(type)) AddTypeComparison(found, type);
  }
}

// ---- Clauses ----------------------------------------------------------------------------------------------------

void AddGrouping(FoundFunctions *found, const SortGroupClause *clause, Oid type) {
  AddOperator(found, clause->eqop);
  AddOperator(found, clause->sortop);
  if (ComparesParts(type)) AddTypeComparison(found, type);
}

void AddGroupings(FoundFunctions *found, List *clauses, List *targets) {
  ListCell *cell;
  foreach (cell, clauses) {
    SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
    AddGrouping(found, clause, exprType(get_sortgroupclause_expr(clause, targets)));
  }
}

void AddQuery(FoundFunctions *found, const Query *query) {
  AddGroupings(found, query->groupClause, query->targetList);
  AddGroupings(found, query->distinctClause, query->targetList);
  AddGroupings(found, query->sortClause, query->targetList);
  ListCell *cell;
  foreach (cell, query->windowClause) {
    WindowClause *window = lfirst_node(WindowClause, cell);
    AddGroupings(found, window->partitionClause, query->targetList);
    AddGroupings(found, window->orderClause, query->targetList);
    AddCalled(found, window->startInRangeFunc);
    AddCalled(found, window->endInRangeFunc);
  }
}

void AddSetOperation(FoundFunctions *found, const SetOperationStmt *operation) {
  ListCell *clause, *type;
  forboth (clause, operation->groupClauses, type, operation->colTypes)
    AddGrouping(found, lfirst_node(SortGroupClause, clause), lfirst_oid(type));
}

// What an aggregate begins with is a text, which is read at each use.
void AddInitialState(FoundFunctions *found, Oid state) {
  const Oid element = get_element_type(state);
  const Oid type = OidIsValid(element) ? element : state;
  const char category = TypeCategory(type);
  if (IsBuiltIn(type) && category != TYPCATEGORY_DATETIME && category != TYPCATEGORY_TIMESPAN) return;
  Oid input, io_parameter;
  getTypeInputInfo(state, &input, &io_parameter);
  AddCalled(found, input);
}

void AddAggregate(FoundFunctions *found, const Aggref *aggregate) {
  AddTypes(found, aggregate->aggfnoid, aggregate->args, aggregate->aggtype);
  AddGroupings(found, aggregate->aggorder, aggregate->args);
  AddGroupings(found, aggregate->aggdistinct, aggregate->args);
  HeapTuple row = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate->aggfnoid));
  if (!HeapTupleIsValid(row)) return;
  const Oid order = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(row))->aggsortop;
  bool starts_empty;
  (void)SysCacheGetAttr(AGGFNOID, row, Anum_pg_aggregate_agginitval, &starts_empty);
  const Oid state = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(row))->aggtranstype;
  ReleaseSysCache(row);
  AddOperator(found, order);
  if (!starts_empty && !IsBuiltIn(aggregate->aggfnoid) && !IsPolymorphicType(state)) AddInitialState(found, state);
}

// DistinctExpr and NullIfExpr are laid out as OpExpr is.
void AddOpExpr(FoundFunctions *found, OpExpr *expression) {
  AddOperator(found, expression->opno);
  AddTypes(found, get_opcode(expression->opno), expression->args, expression->opresulttype);
}

bool VisitList(const List *functions, FunctionVisitor visit, void *context) {
  ListCell *cell;
  foreach (cell, functions)
    if (visit(lfirst_oid(cell), context)) return true;
  return false;
}

// Adds the functions by which the clauses tell groups apart.
void AddEqualities(List **functions, const List *clauses) {
  ListCell *cell;
  foreach (cell, clauses) {
    const Oid function = get_opcode(lfirst_node(SortGroupClause, cell)->eqop);
    if (OidIsValid(function)) *functions = list_append_unique_oid(*functions, function);
  }
}

}  // namespace

List *FunctionsBehind(Node *node, const List *families) {
  FoundFunctions found = {families, NIL};
  ListCell *cell;
  switch (nodeTag(node)) {
    case T_Query: AddQuery(&found, reinterpret_cast<Query *>(node)); break;
    case T_SetOperationStmt: AddSetOperation(&found, reinterpret_cast<SetOperationStmt *>(node)); break;
    case T_CTECycleClause: AddOperator(&found, reinterpret_cast<CTECycleClause *>(node)->cycle_mark_neop); break;
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr: AddOpExpr(&found, reinterpret_cast<OpExpr *>(node)); break;
    case T_ScalarArrayOpExpr: {
      auto *expression = reinterpret_cast<ScalarArrayOpExpr *>(node);
      AddOperator(&found, expression->opno);
      AddTypes(&found, get_opcode(expression->opno), expression->args, BOOLOID);
      break;
    }
    case T_RowCompareExpr:
      foreach (cell, reinterpret_cast<RowCompareExpr *>(node)->opnos) AddOperator(&found, lfirst_oid(cell));
      foreach (cell, reinterpret_cast<RowCompareExpr *>(node)->largs) {
        const Oid type = exprType(static_cast<Node *>(lfirst(cell)));
        if (ComparesParts(type)) AddTypeComparison(&found, type);
      }
      break;
    case T_FuncExpr: {
      auto *call = reinterpret_cast<FuncExpr *>(node);
      AddTypes(&found, call->funcid, call->args, call->funcresulttype);
      break;
    }
    case T_Aggref: AddAggregate(&found, reinterpret_cast<Aggref *>(node)); break;
    case T_WindowFunc: {
      auto *call = reinterpret_cast<WindowFunc *>(node);
      AddTypes(&found, call->winfnoid, call->args, call->wintype);
      break;
    }
    case T_MinMaxExpr: AddTypeComparison(&found, reinterpret_cast<MinMaxExpr *>(node)->minmaxtype); break;
    case T_RowExpr:  // it may be compared anywhere in the query
      foreach (cell, reinterpret_cast<RowExpr *>(node)->args)
        AddTypeComparison(&found, exprType(static_cast<Node *>(lfirst(cell))));
      break;
    case T_SubscriptingRef: {
      Oid element;
      AddCalled(&found, get_typsubscript(reinterpret_cast<SubscriptingRef *>(node)->refcontainertype, &element));
      break;
    }
    default: break;
  }
  return found.functions;
}

bool VisitUnnamedFunctions(Node *node, const List *families, FunctionVisitor visit, void *context) {
  if (OidIsValid(AggregateOf(node)) && VisitAggregateSupport(AggregateOf(node), visit, context)) return true;
  return VisitList(FunctionsBehind(node, families), visit, context);
}

bool VisitCalledFunctions(Node *node, const List *families, FunctionVisitor visit, void *context) {
  return check_functions_in_node(node, visit, context) || VisitUnnamedFunctions(node, families, visit, context);
}

List *GroupingFunctions(Node *node) {
  List *functions = NIL;
  ListCell *cell;
  switch (nodeTag(node)) {
    case T_Query: {
      auto *query = reinterpret_cast<Query *>(node);
      AddEqualities(&functions, query->groupClause);
      AddEqualities(&functions, query->distinctClause);
      foreach (cell, query->windowClause) {
        AddEqualities(&functions, lfirst_node(WindowClause, cell)->partitionClause);
        AddEqualities(&functions, lfirst_node(WindowClause, cell)->orderClause);
      }
      break;
    }
    case T_SetOperationStmt: AddEqualities(&functions, reinterpret_cast<SetOperationStmt *>(node)->groupClauses); break;
    case T_Aggref: AddEqualities(&functions, reinterpret_cast<Aggref *>(node)->aggdistinct); break;
    default: break;
  }
  return functions;
}

}  // namespace aggcache
