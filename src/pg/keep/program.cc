// What stands in the way is said in the order in which somebody would change the query. Keeps no state but what hangs
// on a definition.

#include "pg/base/server.h"

#include "pg/keep/program.h"

#include "pg/facts/function_facts.h"
#include "pg/watch/clauses.h"
#include "pg/watch/predicates.h"
#include "pg/watch/watches.h"

namespace aggcache {

namespace {

// ---- Aggregates ----------------------------------------------------------------------------------------------------

// How many fields a kind has, and which.
const FieldKind *FieldsOf(SumKind kind, int *count) {
  static const FieldKind number[] = {FieldKind::kOneWord};
  static const FieldKind narrow[] = {FieldKind::kOneWord, FieldKind::kOneWord};
  static const FieldKind wide[] = {FieldKind::kOneWord, FieldKind::kTwoWords};
  static const FieldKind scaled[] = {FieldKind::kOneWord, FieldKind::kOneWord, FieldKind::kOneWord, FieldKind::kOneWord,
                                     FieldKind::kFourWords};
  static const FieldKind bits[] = {FieldKind::kOneWord, FieldKind::kBits};
  static FieldKind numeric[5 + kNumericScales];
  switch (kind) {
    case SumKind::kNumber: *count = lengthof(number); return number;
    case SumKind::kNarrow:
    case SumKind::kTruth: *count = lengthof(narrow); return narrow;
    case SumKind::kWide: *count = lengthof(wide); return wide;
    case SumKind::kScaled: *count = lengthof(scaled); return scaled;
    case SumKind::kBits: *count = lengthof(bits); return bits;
    case SumKind::kNumeric: break;
  }
  memcpy(numeric, scaled, sizeof(scaled));
  for (int i = 0; i < kNumericScales; i++) numeric[lengthof(scaled) + i] = FieldKind::kOneWord;
  *count = lengthof(numeric);
  return numeric;
}

// The scale that all values of an expression have but NaN; -1 if they may have several.
int ScaleOf(Node *expression) {
  if (!IsA(expression, Var)) return -1;
  const int32 modifier = reinterpret_cast<Var *>(expression)->vartypmod;
  if (modifier < static_cast<int32>(VARHDRSZ)) return -1;
  // bits of the modifier as numeric.c packs them: an 11-bit signed scale
  const int scale = (((modifier - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
  return scale >= 0 && scale < kNumericScales ? scale : -1;
}

bool KindOf(Oid aggregate, SumKind *kind) {
  switch (aggregate) {
    case F_COUNT_:
    case F_COUNT_ANY: *kind = SumKind::kNumber; return true;
    case F_SUM_INT2:
    case F_SUM_INT4:
    case F_AVG_INT2:
    case F_AVG_INT4: *kind = SumKind::kNarrow; return true;
    case F_SUM_INT8:
    case F_AVG_INT8: *kind = SumKind::kWide; return true;
    case F_SUM_NUMERIC:
    case F_AVG_NUMERIC: *kind = SumKind::kNumeric; return true;
    case F_BOOL_AND:
    case F_BOOL_OR:
    case F_EVERY: *kind = SumKind::kTruth; return true;
    case F_BIT_XOR_INT2:
    case F_BIT_XOR_INT4:
    case F_BIT_XOR_INT8: *kind = SumKind::kBits; return true;
    default: return false;
  }
}

// What is known of an aggregate that can be kept, from its normalised call.
KeptAggregate Describe(const Aggref *call) {
  KeptAggregate aggregate = {call, SumKind::kNumber, 0, nullptr, call->aggfilter, 0, 0};
  (void)KindOf(call->aggfnoid, &aggregate.kind);
  if (!call->aggstar) aggregate.argument = linitial_node(TargetEntry, call->args)->expr;
  if (aggregate.kind != SumKind::kNumeric) return aggregate;
  const int scale = ScaleOf(reinterpret_cast<Node *>(aggregate.argument));
  if (scale >= 0) {
    aggregate.kind = SumKind::kScaled;
    aggregate.scale = scale;
  }
  return aggregate;
}

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
    *aggregate = Describe(static_cast<const Aggref *>(list_nth(calls, i)));
    aggregate->fields = count;
    aggregate->words = words;
    int own;
    const FieldKind *kinds = FieldsOf(aggregate->kind, &own);
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

// Whether values of the type are equal, as GROUP BY compares them, exactly if their bytes are.
bool IsEqualByBytes(Oid type, Oid collation, Oid equality) {
  const Oid base = getBaseType(type);
  // what PostgreSQL says of these is not so in some releases, or not of the bytes that are here
  if (base == INTERVALOID || base == BPCHAROID || base == NAMEOID) return false;
  TypeCacheEntry *entry = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
  if (!OidIsValid(entry->btree_opf) || !IsBuiltIn(entry->btree_opf) || entry->eq_opr != equality) return false;
  const Oid support =
      get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, BTEQUALIMAGE_PROC);
  return OidIsValid(support) && IsBuiltIn(support) &&
         DatumGetBool(OidFunctionCall1Coll(support, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

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
    if (source.role == SourceRole::kPart) return "the table has partitions or children";
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
  if (query->hasWindowFuncs) return "it has window functions";
  if (query->hasTargetSRFs) return "it returns several rows for a group";
  if (query->distinctClause) return "it has DISTINCT";
  if (!query->hasAggs && query->groupClause == NIL) return "it has neither aggregates nor GROUP BY";
  return nullptr;
}

// Groups are in any order where none is asked for; but not which of them are there.
const char *FindObstacleInOrder(const Definition *definition, const Query *query) {
  if (query->groupClause == NIL) return nullptr;
  bool total = query->sortClause != NIL;
  ListCell *cell, *sorted;
  foreach (cell, query->groupClause) {
    bool found = false;
    foreach (sorted, query->sortClause)
      found |=
          lfirst_node(SortGroupClause, sorted)->tleSortGroupRef == lfirst_node(SortGroupClause, cell)->tleSortGroupRef;
    total &= found;
  }
  const bool asks = query->sortClause || query->limitCount || query->limitOffset || !definition->result.returns_set;
  return asks && !total ? "ORDER BY does not name all that it groups by, so that ties have no order" : nullptr;
}

const char *FindObstacleInAggregate(const Aggref *call, bool *may_fail) {
  SumKind kind;
  if (!KindOf(call->aggfnoid, &kind)) return psprintf("aggregate %s is not kept", get_func_name(call->aggfnoid));
  if (call->aggdistinct || call->aggorder || call->agglevelsup > 0)
    return psprintf("aggregate %s has DISTINCT or ORDER BY", get_func_name(call->aggfnoid));
  if (!IsRowLocal(reinterpret_cast<Node *>(call->aggfilter), 1, may_fail) ||
      (!call->aggstar &&
       !IsRowLocal(reinterpret_cast<Node *>(linitial_node(TargetEntry, call->args)->expr), 1, may_fail)))
    return psprintf("an argument or FILTER of %s is no expression that writers can evaluate",
                    get_func_name(call->aggfnoid));
  return nullptr;
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
  if ((*why = FindObstacleInShape(query)) || (*why = FindObstacleInOrder(definition, query))) return nullptr;
  auto *program = static_cast<Program *>(palloc0(sizeof(Program)));
  if ((*why = FindObstacleInParts(query, parts, &program->may_fail))) return nullptr;
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

const Program *ReadProgram(const char *text, Relation relation) {
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
