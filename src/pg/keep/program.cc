// What stands in the way is said in the order in which somebody would change the query. Keeps no state but what hangs
// on a definition.

#include "pg/base/server.h"

#include "pg/keep/program.h"

#include "pg/watch/clauses.h"
#include "pg/watch/predicates.h"
#include "pg/watch/watches.h"

namespace aggcache {

namespace {

// Fills in what follows from conditions, groups and calls. False: a group takes more fields than there can be.
bool LayOut(Program *program, const List *calls) {
  auto *fields = static_cast<FieldKind *>(palloc(sizeof(FieldKind) * kMaxFields));
  uint32_t count = 0;
  fields[count++] = FieldKind::kOneWord;
  program->aggregate_count = list_length(calls);
  program->aggregates = static_cast<KeptAggregate *>(palloc(sizeof(KeptAggregate) * Max(1, program->aggregate_count)));
  uint32_t words = 1;
  for (int i = 0; i < program->aggregate_count; i++) {
    KeptAggregate *aggregate = &program->aggregates[i];
    *aggregate = DescribeAggregate(static_cast<const Aggref *>(list_nth(calls, i)));
    aggregate->fields = count;
    aggregate->words = words;
    int own;
    const FieldKind *kinds = FieldsOf(aggregate->kind, &own);
    program->has_values |= HasValues(aggregate->kind);
    if (count + static_cast<uint32_t>(own) > kMaxFields) return false;
    for (int j = 0; j < own; j++) {
      fields[count++] = kinds[j];
      words += static_cast<uint32_t>(WordsOf(kinds[j]));
    }
  }
  program->shape = {fields, count};
  program->words = words;
  return true;
}

// ---- What can be kept ----------------------------------------------------------------------------------------------

// Finds a column that is computed when it is read: a changed row does not hold its value.
bool VirtualColumnWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) {
    const AttrNumber column = reinterpret_cast<Var *>(node)->varattno;
    return column > 0 && get_attgenerated(*static_cast<Oid *>(argument), column) == 'v';
  }
  return compat::WalkExpression(node, VirtualColumnWalker, argument);
}

bool ReadsVirtualColumns(const KeptParts &parts) {
  Oid relation = parts.relation;
  for (List *part : {parts.conditions, parts.groups, parts.aggregates})
    if (VirtualColumnWalker(reinterpret_cast<Node *>(part), &relation)) return true;
  return false;
}

const char *FindObstacleInTables(const Definition *definition, const KeptParts &parts) {
  if (!OidIsValid(parts.relation)) return "it reads something else than one table, as named in FROM";
  for (int i = 0; i < definition->relation_count; i++) {
    const SourceRelation &source = definition->relations[i];
    if (source.role == SourceRole::kPart &&
        (source.root != parts.relation || get_rel_relkind(parts.relation) != RELKIND_PARTITIONED_TABLE))
      return "the table has children that inherit from it";
    if (source.read_by != ReadBy::kBody && IsRead(source.role)) return "functions in it read tables";
    if (source.role == SourceRole::kNamed && source.relation != parts.relation &&
        get_rel_relkind(source.relation) != RELKIND_VIEW)
      return "it reads more than one table";
  }
  if (ReadsVirtualColumns(parts)) return "it reads a generated column that is not stored";
  if (definition->has_row_security) return "the table has row security";
  if (definition->opaque || definition->calls_functions || definition->hides_privileges)
    return "it calls functions that cannot be seen through";
  if (definition->reads_clock || definition->shows_clock) return "it reads the clock";
  return nullptr;
}

const char *FindObstacleInShape(const Query *query) {
  if (query->groupingSets) return "it has grouping sets";
  if (query->hasTargetSRFs) return "it returns several rows for a group";
  if (!query->hasAggs && query->groupClause == NIL) return "it has neither aggregates nor GROUP BY";
  return nullptr;
}

// An order of the type may take values for one that GROUP BY tells apart.
bool IsAboutTheSame(const SortGroupClause &a, const SortGroupClause &b) {
  return a.tleSortGroupRef == b.tleSortGroupRef && a.eqop == b.eqop;
}

// Whether each of the clauses is about something that one of the others, or of the further ones, is about.
bool NamesAll(const List *clauses, const List *others, const List *further) {
  ListCell *cell, *other;
  foreach (cell, clauses) {
    bool found = false;
    for (const List *list : {others, further})
      foreach (other, list)
        found |= IsAboutTheSame(*lfirst_node(SortGroupClause, other), *lfirst_node(SortGroupClause, cell));
    if (!found) return false;
  }
  return true;
}

// Groups are in any order where none is asked for; but not which of them are there.
const char *FindObstacleInOrder(const Definition *definition, const Query *query) {
  const List *rows = query->distinctClause && !query->hasDistinctOn ? query->distinctClause : query->groupClause;
  if (rows == NIL) return nullptr;
  const bool asks = query->sortClause || query->limitCount || query->limitOffset || query->hasDistinctOn ||
                    !definition->result.returns_set;
  return asks && !NamesAll(rows, query->sortClause, NIL)
             ? "ORDER BY does not name all that it groups by, so that ties have no order"
             : nullptr;
}

// Rows that DISTINCT takes for one have to look alike.
const char *FindObstacleInDistinct(const Query *query) {
  ListCell *cell;
  if (query->hasDistinctOn) return nullptr;  // FindObstacleInOrder: the order is total
  foreach (cell, query->distinctClause) {
    auto *clause = lfirst_node(SortGroupClause, cell);
    Node *shown = get_sortgroupclause_expr(clause, query->targetList);
    if (!IsEqualByBytes(exprType(shown), exprCollation(shown), clause->eqop))
      return psprintf("values of type %s can be equal and yet look different", format_type_be(exprType(shown)));
  }
  return nullptr;
}

struct Windows {
  const Query *query;
  Oid function;  // whose value hangs on an order that is not given
};

bool WindowWalker(Node *node, void *argument) {
  auto *windows = static_cast<Windows *>(argument);
  if (node == nullptr) return false;
  if (IsA(node, WindowFunc)) {
    auto *call = reinterpret_cast<WindowFunc *>(node);
    auto *window = list_nth_node(WindowClause, windows->query->windowClause, static_cast<int>(call->winref) - 1);
    if (!NamesAll(windows->query->groupClause, window->partitionClause, window->orderClause) &&
        !MindsNoTies(call->winfnoid, window->frameOptions)) {
      windows->function = call->winfnoid;
      return true;
    }
  }
  return compat::WalkExpression(node, WindowWalker, argument);
}

const char *FindObstacleInWindows(const Query *query) {
  Windows windows = {query, InvalidOid};
  if (!query->hasWindowFuncs || !WindowWalker(reinterpret_cast<Node *>(query->targetList), &windows)) return nullptr;
  return psprintf("the window of %s does not name all that it groups by, so that ties have no order",
                  get_func_name(windows.function));
}

bool AggregateWalker(Node *node, void *argument) {
  auto *aggregates = static_cast<List **>(argument);
  if (node == nullptr) return false;
  if (IsA(node, Aggref)) {
    *aggregates = list_append_unique(*aggregates, node);
    return false;
  }
  return compat::WalkExpression(node, AggregateWalker, argument);
}

struct Rest {
  const List *groups;
};

// Finds a column outside of groups and aggregates: one that GROUP BY of a key lets through.
bool ColumnWalker(Node *node, void *argument) {
  if (node == nullptr || IsA(node, Aggref)) return false;
  if (list_member(static_cast<Rest *>(argument)->groups, node)) return false;
  if (IsA(node, Var)) return true;
  return compat::WalkExpression(node, ColumnWalker, argument);
}

List *NormaliseAll(const List *expressions) {
  List *normal = NIL;
  ListCell *cell;
  foreach (cell, expressions) normal = lappend(normal, NormaliseClause(static_cast<Node *>(lfirst(cell)), 1));
  return normal;
}

const char *FindObstacleInParts(const Query *query, const KeptParts &parts, bool *may_fail) {
  ListCell *cell, *clause;
  foreach (cell, parts.conditions)
    if (!IsRowLocal(static_cast<Node *>(lfirst(cell)), 1, may_fail))
      return "a condition is no expression that writers can evaluate";
  forboth (cell, parts.groups, clause, query->groupClause) {
    Node *group = static_cast<Node *>(lfirst(cell));
    if (!IsRowLocal(group, 1, may_fail)) return "what it groups by is no expression that writers can evaluate";
    if (!IsEqualByBytes(exprType(group), exprCollation(group), lfirst_node(SortGroupClause, clause)->eqop))
      return psprintf("values of type %s can be equal and yet look different", format_type_be(exprType(group)));
  }
  foreach (cell, parts.aggregates)
    if (const char *why = FindObstacleInAggregate(static_cast<const Aggref *>(lfirst(cell)), may_fail)) return why;
  List *groups, *aggregates;
  FindKeptParts(query, &groups, &aggregates);
  Rest rest = {groups};
  if (ColumnWalker(reinterpret_cast<Node *>(query->targetList), &rest) || ColumnWalker(query->havingQual, &rest))
    return "it shows columns that it does not group by";
  return nullptr;
}

// Finds what may keep the query from computing an aggregate in it: planning may find out that it need not.
bool MayBeLeftOutWalker(Node *node, void *argument) {
  if (node == nullptr || IsA(node, Aggref)) return false;
  if (list_member(static_cast<Rest *>(argument)->groups, node)) return false;
  switch (nodeTag(node)) {
    case T_List:
    case T_TargetEntry:
    case T_Var:
    case T_RelabelType:
    case T_OpExpr:
    case T_FuncExpr: break;
    case T_Const:
      if (reinterpret_cast<Const *>(node)->constisnull) return true;
      break;
    case T_CoalesceExpr:
      if (IsA(linitial(reinterpret_cast<CoalesceExpr *>(node)->args), Const)) return true;
      break;
    default: return true;
  }
  return compat::WalkExpression(node, MayBeLeftOutWalker, argument);
}

// The program evaluates all that it has on each row. Where that may fail, so must the query.
const char *FindObstacleInFailure(const Query *query, const Program *program) {
  static constexpr char kWhy[] = "a row on which an expression fails may be one that the query need not look at";
  if (!program->may_fail) return nullptr;
  if (query->limitCount || query->limitOffset || query->havingQual) return kWhy;
  List *groups, *aggregates;
  FindKeptParts(query, &groups, &aggregates);
  ListCell *cell;
  // a least or greatest value may be the first of an index
  if (groups == NIL && aggregates != NIL) {
    bool ends = true;
    foreach (cell, aggregates) ends &= DescribeAggregate(lfirst_node(Aggref, cell)).kind == SumKind::kExtreme;
    if (ends) return kWhy;
  }
  Rest rest = {groups};
  return MayBeLeftOutWalker(reinterpret_cast<Node *>(query->targetList), &rest) ? kWhy : nullptr;
}

void Identify(Program *program) {
  char *text = psprintf("%d %s", compat::kMajorVersion, program->text);
  const Datum digest = DirectFunctionCall1(sha256_bytea, PointerGetDatum(cstring_to_text(text)));
  memcpy(program->id, VARDATA_ANY(DatumGetByteaPP(digest)), sizeof(program->id));
}

// Of the three lists of a program's text.
bool IsRowLocalList(const List *parts, bool *may_fail) {
  for (List *expressions : {static_cast<List *>(linitial(parts)), static_cast<List *>(lsecond(parts))})
    if (!IsRowLocal(reinterpret_cast<Node *>(expressions), 1, may_fail)) return false;
  ListCell *cell;
  foreach (cell, static_cast<List *>(lthird(parts)))
    if (FindObstacleInAggregate(lfirst_node(Aggref, cell), may_fail)) return false;
  return true;
}

}  // namespace

void FindKeptParts(const Query *query, List **groups, List **aggregates) {
  *groups = *aggregates = NIL;
  ListCell *cell;
  foreach (cell, query->groupClause)
    *groups = lappend(*groups, get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList)->expr);
  AggregateWalker(reinterpret_cast<Node *>(query->targetList), aggregates);
  AggregateWalker(query->havingQual, aggregates);
}

const Program *MakeProgram(const Definition *definition, const Query *query, const KeptParts &parts, const char **why) {
  if ((*why = FindObstacleInTables(definition, parts))) return nullptr;
  if ((*why = FindObstacleInShape(query)) || (*why = FindObstacleInOrder(definition, query)) ||
      (*why = FindObstacleInDistinct(query)) || (*why = FindObstacleInWindows(query)))
    return nullptr;
  auto *program = static_cast<Program *>(palloc0(sizeof(Program)));
  if ((*why = FindObstacleInParts(query, parts, &program->may_fail))) return nullptr;
  if ((*why = FindObstacleInFailure(query, program))) return nullptr;
  program->conditions = NormaliseAll(parts.conditions);
  program->groups = NormaliseAll(parts.groups);
  List *calls = NormaliseAll(parts.aggregates);
  program->text = nodeToString(list_make3(program->conditions, program->groups, calls));
  Identify(program);
  if (!LayOut(program, calls)) {
    *why = "it has too many aggregates";
    return nullptr;
  }
  return program;
}

Program *ReadProgram(const char *text, Relation relation) {
  auto *parts = castNode(List, stringToNode(text));
  if (!FitsRelation(reinterpret_cast<Node *>(parts), relation)) return nullptr;
  auto *program = static_cast<Program *>(palloc0(sizeof(Program)));
  program->text = text;
  Identify(program);
  if (!IsRowLocalList(parts, &program->may_fail)) return nullptr;
  program->conditions = static_cast<List *>(linitial(parts));
  program->groups = static_cast<List *>(lsecond(parts));
  return LayOut(program, static_cast<List *>(lthird(parts))) ? program : nullptr;
}

}  // namespace aggcache
