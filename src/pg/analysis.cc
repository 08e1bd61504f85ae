#include "pg/server.h"

#include "pg/analysis.h"

namespace aggcache {

bool HoldsRows(Oid type) {
  type = getBaseType(type);
  Oid element = get_element_type(type);
  return type_is_rowtype(OidIsValid(element) ? element : type);
}

bool IsClockText(const char *text, Oid type) {
  Oid element = get_element_type(type);
  char category = TypeCategory(OidIsValid(element) ? element : type);
  if (category == TYPCATEGORY_STRING || category == TYPCATEGORY_ENUM || category == TYPCATEGORY_UNKNOWN ||
      category == TYPCATEGORY_NUMERIC || type == JSONOID || type == JSONBOID)
    return false;
  char *lower = pstrdup(text);
  for (char *c = lower; *c; c++) *c = pg_tolower(static_cast<unsigned char>(*c));
  static const char *const kWords[] = {"now", "today", "tomorrow", "yesterday"};
  for (const char *word : kWords) {
    for (const char *at = strstr(lower, word); at; at = strstr(at + 1, word)) {
      // as a word of its own, not as in now() or known
      bool begins = at == lower || !isalnum(static_cast<unsigned char>(at[-1]));
      unsigned char after = static_cast<unsigned char>(at[strlen(word)]);
      if (begins && !isalnum(after) && after != '_' && after != '(') return true;
    }
  }
  return false;
}

namespace {

bool IsFixed(Oid function);

// ---- Inlining ---------------------------------------------------------------------------------------------------

// Whether the function is of language sql, and its body may be put in place of its calls. One that says 'now' or
// 'today' may not: the literal would be read once and for all.
bool IsSqlFunction(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  bool sql = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang == SQLlanguageId;
  if (sql && function >= FirstNormalObjectId) {
    bool is_null;
    Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
    if (!is_null && IsClockText(TextDatumGetCString(source), DATEOID)) sql = false;
  }
  ReleaseSysCache(row);
  return sql;
}

// Finds a call that simplifying would replace by a value although its function may hide anything: declared IMMUTABLE,
// of a language that can be, and without a column.
bool FoldableWalker(Node *node, void *) {
  if (node == nullptr || IsA(node, Query)) return false;
  if (IsA(node, FuncExpr)) {
    Oid function = reinterpret_cast<FuncExpr *>(node)->funcid;
    if (function >= FirstNormalObjectId && func_volatile(function) == PROVOLATILE_IMMUTABLE && !IsFixed(function) &&
        !contain_var_clause(node))
      return true;
  }
  return compat::WalkExpression(node, FoldableWalker, nullptr);
}

struct InlineContext {
  PlannerInfo *root;
  int depth;
};

Node *InlineMutator(Node *node, void *argument);

Query *InlineInQuery(Query *query, InlineContext *context) {
  ListCell *cell;
  foreach (cell, query->rtable) {
    RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind != RTE_FUNCTION) continue;
    if (FoldableWalker(reinterpret_cast<Node *>(entry->functions), nullptr)) continue;
    Node *call = linitial_node(RangeTblFunction, entry->functions)->funcexpr;
    if (call && IsA(call, FuncExpr) && !IsSqlFunction(reinterpret_cast<FuncExpr *>(call)->funcid)) continue;
    entry->functions =
        castNode(List, eval_const_expressions(context->root, reinterpret_cast<Node *>(entry->functions)));
    Query *body = inline_set_returning_function(context->root, entry);
    if (body == nullptr) continue;
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = body;
    entry->security_barrier = false;
    entry->functions = NIL;
    entry->funcordinality = false;
  }
  return compat::MutateQuery(query, InlineMutator, context);
}

// Inlined bodies are visited again: they may call further functions.
Node *InlineMutator(Node *node, void *argument) {
  auto *context = static_cast<InlineContext *>(argument);
  if (node == nullptr) return nullptr;
  check_stack_depth();
  if (IsA(node, Query)) return reinterpret_cast<Node *>(InlineInQuery(reinterpret_cast<Query *>(node), context));
  Oid function = InvalidOid;
  if (IsA(node, FuncExpr)) {
    function = reinterpret_cast<FuncExpr *>(node)->funcid;
  } else if (IsA(node, OpExpr)) {
    set_opfuncid(reinterpret_cast<OpExpr *>(node));
    function = reinterpret_cast<OpExpr *>(node)->opfuncid;
  }
  if (OidIsValid(function) && context->depth < 32 && IsSqlFunction(function) && !FoldableWalker(node, nullptr)) {
    Node *simple = eval_const_expressions(context->root, node);
    bool same = equal(simple, node);
    if (!same) {
      context->depth++;
      Node *result = InlineMutator(simple, context);
      context->depth--;
      return result;
    }
  }
  return compat::MutateExpression(node, InlineMutator, context);
}

// ---- Functions of a node ----------------------------------------------------------------------------------------

using FunctionVisitor = bool (*)(Oid function, void *context);

Oid AggregateOf(Node *node) {
  if (IsA(node, Aggref)) return reinterpret_cast<Aggref *>(node)->aggfnoid;
  if (IsA(node, WindowFunc)) return reinterpret_cast<WindowFunc *>(node)->winfnoid;
  return InvalidOid;
}

// Calls visit for the support functions of an aggregate.
bool VisitAggregateSupport(Oid aggregate, FunctionVisitor visit, void *context) {
  HeapTuple row = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
  if (!HeapTupleIsValid(row)) return false;  // a plain window function
  Form_pg_aggregate form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(row));
  Oid support[] = {form->aggtransfn,    form->aggfinalfn,  form->aggcombinefn,   form->aggserialfn,
                   form->aggdeserialfn, form->aggmtransfn, form->aggminvtransfn, form->aggmfinalfn};
  bool found = false;
  for (Oid function : support)
    if (OidIsValid(function) && !found) found = visit(function, context);
  ReleaseSysCache(row);
  return found;
}

// ---- Refusals ---------------------------------------------------------------------------------------------------

bool IsVolatile(Oid function, void *context) {
  if (func_volatile(function) != PROVOLATILE_VOLATILE) return false;
  *static_cast<Oid *>(context) = function;
  return true;
}

struct RefusalContext {
  Refusal refusal;
};

bool RefusalWalker(Node *node, void *argument) {
  auto *context = static_cast<RefusalContext *>(argument);
  Refusal *refusal = &context->refusal;
  if (node == nullptr) return false;
  check_stack_depth();
  if (IsA(node, Query)) {
    Query *query = reinterpret_cast<Query *>(node);
    if (query->commandType != CMD_SELECT) {
      *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot modify data",
                  "The body holds an INSERT, UPDATE, DELETE or MERGE.", "Leave only a SELECT."};
      return true;
    }
    if (query->rowMarks != NIL) {
      // FOR UPDATE of a view pushes marks down, so this is looked at in every query
      *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot lock rows",
                  "The body holds a FOR UPDATE or FOR SHARE clause.", "Remove the locking clause."};
      return true;
    }
    ListCell *cell;
    foreach (cell, query->rtable) {
      RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
      if (entry->rtekind == RTE_RELATION && get_rel_persistence(entry->relid) == RELPERSISTENCE_TEMP) {
        *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION,
                    psprintf("a cached function cannot read temporary table \"%s\"", get_rel_name(entry->relid)),
                    "A temporary table is another one in every session.", "Use a permanent table."};
        return true;
      }
    }
    return compat::WalkQuery(query, RefusalWalker, context);
  }
  Oid function = InvalidOid;
  bool found = check_functions_in_node(node, IsVolatile, &function);
  if (!found && OidIsValid(AggregateOf(node))) found = VisitAggregateSupport(AggregateOf(node), IsVolatile, &function);
  if (found) {
    *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION,
                psprintf("a cached function cannot call volatile function %s", format_procedure(function)),
                "The result of a volatile function may differ at every call.",
                "Remove the call, or mark the function STABLE if it is."};
    return true;
  }
  if (IsA(node, NextValueExpr)) {
    *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot advance a sequence", nullptr, nullptr};
    return true;
  }
  return compat::WalkExpression(node, RefusalWalker, context);
}

// ---- Hidden parameters ------------------------------------------------------------------------------------------

// Languages whose functions cannot call what can be replaced by SQL; others may hide anything behind IMMUTABLE.
bool IsCompiledLanguage(Oid language) { return language == INTERNALlanguageId || language == ClanguageId; }

// Whether the value of this function depends on its arguments alone, and provably will after any DDL.
bool IsFixed(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  // the second and third read timezone_abbreviations
  bool reads_catalog_or_setting =
      function == F_QUOTE_IDENT || function == F_TIMEZONE_TEXT_TIMESTAMP || function == F_TIMEZONE_TEXT_TIMESTAMPTZ;
  // text search configurations and dictionaries are catalogs, whatever the functions are declared
  for (int i = 0; i < form->pronargs; i++)
    reads_catalog_or_setting |=
        form->proargtypes.values[i] == REGCONFIGOID || form->proargtypes.values[i] == REGDICTIONARYOID;
  bool fixed =
      form->provolatile == PROVOLATILE_IMMUTABLE && !reads_catalog_or_setting &&
      (function < FirstNormalObjectId || form->prokind == PROKIND_AGGREGATE || IsCompiledLanguage(form->prolang));
  ReleaseSysCache(row);
  return fixed;
}

bool IsNotFixed(Oid function, void *) { return !IsFixed(function); }

bool HasMutableFunction(Node *node) {
  if (check_functions_in_node(node, IsNotFixed, nullptr)) return true;
  switch (nodeTag(node)) {
    case T_SQLValueFunction:
    case T_XmlExpr: return true;
    default: return false;
  }
}

struct HiddenContext {
  bool is_mutable;  // found something that is not fixed
  bool bound;       // found something that ties the expression to its place in the query
};

bool HiddenWalker(Node *node, void *argument) {
  auto *context = static_cast<HiddenContext *>(argument);
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_Var:
    case T_Aggref:
    case T_GroupingFunc:
    case T_WindowFunc:
    case T_SubLink:
    case T_Query:
    case T_CaseTestExpr:
    case T_CoerceToDomainValue:
    case T_SetToDefault:
    case T_NextValueExpr:
    case T_CurrentOfExpr:
    case T_PlaceHolderVar: context->bound = true; return true;
    case T_Param:
      if (reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN) {
        context->bound = true;
        return true;
      }
      return false;
    case T_FuncExpr:
      if (reinterpret_cast<FuncExpr *>(node)->funcretset) context->bound = true;
      break;
    case T_OpExpr:
      if (reinterpret_cast<OpExpr *>(node)->opretset) context->bound = true;
      break;
    default: break;
  }
  if (context->bound) return true;
  if (HasMutableFunction(node)) context->is_mutable = true;
  return compat::WalkExpression(node, HiddenWalker, context);
}

bool IsExpression(Node *node) {
  switch (nodeTag(node)) {
    case T_FuncExpr:
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
    case T_ScalarArrayOpExpr:
    case T_BoolExpr:
    case T_CaseExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_SQLValueFunction:
    case T_XmlExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_CollateExpr:
    case T_ArrayExpr:
    case T_SubscriptingRef: return true;
    default: return false;
  }
}

struct ExtractContext {
  int next;
  List **hidden;
};

Node *ExtractMutator(Node *node, void *argument) {
  auto *context = static_cast<ExtractContext *>(argument);
  if (node == nullptr) return nullptr;
  check_stack_depth();
  if (IsA(node, Query))
    return reinterpret_cast<Node *>(compat::MutateQuery(reinterpret_cast<Query *>(node), ExtractMutator, context));
  if (IsExpression(node)) {
    HiddenContext found = {false, false};
    HiddenWalker(node, &found);
    if (found.is_mutable && !found.bound) {
      int number = 0;
      ListCell *cell;
      foreach (cell, *context->hidden) {
        number++;
        if (equal(lfirst(cell), node)) break;
      }
      if (cell == nullptr) {
        *context->hidden = lappend(*context->hidden, copyObjectImpl(node));
        number = list_length(*context->hidden);
      }
      Param *parameter = makeNode(Param);
      parameter->paramkind = PARAM_EXTERN;
      parameter->paramid = context->next + number - 1;
      parameter->paramtype = exprType(node);
      parameter->paramtypmod = exprTypmod(node);
      parameter->paramcollid = exprCollation(node);
      parameter->location = -1;
      return reinterpret_cast<Node *>(parameter);
    }
  }
  return compat::MutateExpression(node, ExtractMutator, context);
}

// ---- The clock --------------------------------------------------------------------------------------------------

bool IsClock(Node *node) {
  if (IsA(node, SQLValueFunction)) {
    switch (reinterpret_cast<SQLValueFunction *>(node)->op) {
      case SVFOP_CURRENT_TIME:
      case SVFOP_CURRENT_TIME_N:
      case SVFOP_CURRENT_TIMESTAMP:
      case SVFOP_CURRENT_TIMESTAMP_N:
      case SVFOP_LOCALTIME:
      case SVFOP_LOCALTIME_N:
      case SVFOP_LOCALTIMESTAMP:
      case SVFOP_LOCALTIMESTAMP_N: return true;
      default: return false;
    }
  }
  if (!IsA(node, FuncExpr)) return false;
  Oid function = reinterpret_cast<FuncExpr *>(node)->funcid;
  return function == F_NOW || function == F_TRANSACTION_TIMESTAMP || function == F_STATEMENT_TIMESTAMP;
}

// Whether the node rounds a moment to a unit of a second or more.
bool RoundsClock(Node *node) {
  if (exprType(node) == DATEOID) return true;
  if (!IsA(node, FuncExpr)) return false;
  FuncExpr *call = reinterpret_cast<FuncExpr *>(node);
  if (call->funcid >= FirstNormalObjectId) return false;
  char *name = get_func_name(call->funcid);
  if (name == nullptr || strcmp(name, "date_trunc") != 0) return false;
  Node *unit = static_cast<Node *>(linitial(call->args));
  if (!IsA(unit, Const) || reinterpret_cast<Const *>(unit)->constisnull) return false;
  char *unit_name = TextDatumGetCString(reinterpret_cast<Const *>(unit)->constvalue);
  return pg_strncasecmp(unit_name, "milli", 5) != 0 && pg_strncasecmp(unit_name, "micro", 5) != 0 &&
         pg_strncasecmp(unit_name, "ms", 2) != 0 && pg_strncasecmp(unit_name, "us", 2) != 0 &&
         pg_strncasecmp(unit_name, "msec", 4) != 0 && pg_strncasecmp(unit_name, "usec", 4) != 0;
}

bool ClockWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsClock(node)) return true;
  if (IsExpression(node) && RoundsClock(node)) return false;
  return compat::WalkExpression(node, ClockWalker, nullptr);
}

// ---- Opacity ----------------------------------------------------------------------------------------------------

// Built-in STABLE functions that read nothing but their arguments and the settings of SettingsImage.
const char *const kSettingsReaders[] = {"age",
                                        "anytextcat",
                                        "array_to_json",
                                        "array_to_string",
                                        "concat",
                                        "concat_ws",
                                        "date",
                                        "date_part",
                                        "date_trunc",
                                        "extract",
                                        "format",
                                        "generate_series",
                                        "in_range",
                                        "json_agg",
                                        "json_agg_transfn",
                                        "json_build_array",
                                        "json_build_object",
                                        "json_object_agg",
                                        "json_object_agg_transfn",
                                        "jsonb_agg",
                                        "jsonb_agg_finalfn",
                                        "jsonb_agg_transfn",
                                        "jsonb_build_array",
                                        "jsonb_build_object",
                                        "jsonb_object_agg",
                                        "jsonb_object_agg_finalfn",
                                        "jsonb_object_agg_transfn",
                                        "make_timestamptz",
                                        "interval_pl_timestamptz",
                                        "overlaps",
                                        "quote_ident",
                                        "quote_literal",
                                        "quote_nullable",
                                        "textanycat",
                                        "time",
                                        "timestamp",
                                        "timestamptz",
                                        "timestamptz_mi_interval",
                                        "timestamptz_pl_interval",
                                        "timezone",
                                        "to_char",
                                        "to_date",
                                        "to_json",
                                        "to_jsonb",
                                        "to_number",
                                        "to_timestamp"};

bool ReadsOnlySettings(Oid function) {
  if (function >= FirstNormalObjectId) return false;
  char *name = get_func_name(function);
  if (name == nullptr) return false;
  // the age of one argument is that at midnight today
  if (strcmp(name, "age") == 0) return get_func_nargs(function) == 2;
  for (const char *reader : kSettingsReaders)
    if (strcmp(name, reader) == 0) return true;
  // the comparisons of dates and timestamps across types
  return (strncmp(name, "date_", 5) == 0 || strncmp(name, "timestamp_", 10) == 0 ||
          strncmp(name, "timestamptz_", 12) == 0) &&
         (strstr(name, "_cmp_") || strstr(name, "_eq_") || strstr(name, "_ne_") || strstr(name, "_lt_") ||
          strstr(name, "_le_") || strstr(name, "_gt_") || strstr(name, "_ge_"));
}

// Types whose text form depends on the value and on SettingsImage only: no catalog, no user code.
bool IsPlainType(Oid type) {
  Oid element = get_element_type(type);
  if (OidIsValid(element)) type = element;
  switch (type) {
    case BOOLOID:
    case BYTEAOID:
    case CHAROID:
    case NAMEOID:
    case INT8OID:
    case INT2OID:
    case INT4OID:
    case TEXTOID:
    case OIDOID:
    case JSONOID:
    case JSONBOID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
    case BPCHAROID:
    case VARCHAROID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case INTERVALOID:
    case TIMETZOID:
    case UUIDOID:
    case INETOID:
    case CIDROID:
    case MACADDROID:
    case MACADDR8OID:
    case BITOID:
    case VARBITOID:
    case UNKNOWNOID:
    case INT4RANGEOID:
    case INT8RANGEOID:
    case NUMRANGEOID:
    case TSRANGEOID:
    case TSTZRANGEOID:
    case DATERANGEOID: return true;
    default: return false;
  }
}

// Types whose text form can be a word like 'today', or depends on today's offset from UTC.
bool MayReadClock(Oid type) {
  Oid element = get_element_type(type);
  if (OidIsValid(element)) type = element;
  switch (type) {
    case DATEOID:
    case TIMEOID:
    case TIMETZOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case TSRANGEOID:
    case TSTZRANGEOID:
    case DATERANGEOID: return true;
    default: return false;
  }
}

struct OpacityContext {
  Opacity opacity;
  bool all_plain;  // of the node at hand: its arguments are of plain types
};

// Decides on one function; true stops the walk.
bool VisitFunction(Oid function, void *argument) {
  auto *context = static_cast<OpacityContext *>(argument);
  if (IsFixed(function)) return false;
  if (ReadsOnlySettings(function) && context->all_plain) {
    context->opacity.reads_settings = true;
    return false;
  }
  context->opacity.obstacle =
      psprintf("the body calls %s on rows, and what that function reads cannot be seen", format_procedure(function));
  return true;
}

bool ArgumentsArePlain(Node *node) {
  List *arguments = NIL;
  switch (nodeTag(node)) {
    case T_FuncExpr: arguments = reinterpret_cast<FuncExpr *>(node)->args; break;
    case T_OpExpr: arguments = reinterpret_cast<OpExpr *>(node)->args; break;
    case T_DistinctExpr: arguments = reinterpret_cast<DistinctExpr *>(node)->args; break;
    case T_NullIfExpr: arguments = reinterpret_cast<NullIfExpr *>(node)->args; break;
    case T_ScalarArrayOpExpr: arguments = reinterpret_cast<ScalarArrayOpExpr *>(node)->args; break;
    case T_Aggref: arguments = reinterpret_cast<Aggref *>(node)->args; break;
    case T_WindowFunc: arguments = reinterpret_cast<WindowFunc *>(node)->args; break;
    case T_CoerceViaIO:
      return IsPlainType(exprType(reinterpret_cast<Node *>(reinterpret_cast<CoerceViaIO *>(node)->arg))) &&
             IsPlainType(reinterpret_cast<CoerceViaIO *>(node)->resulttype) &&
             !MayReadClock(reinterpret_cast<CoerceViaIO *>(node)->resulttype);
    default: return true;
  }
  ListCell *cell;
  foreach (cell, arguments) {
    Node *argument = static_cast<Node *>(lfirst(cell));
    if (IsA(argument, TargetEntry))
      argument = reinterpret_cast<Node *>(reinterpret_cast<TargetEntry *>(argument)->expr);
    if (!IsPlainType(exprType(argument))) return false;
  }
  return true;
}

bool OpacityWalker(Node *node, void *argument) {
  auto *context = static_cast<OpacityContext *>(argument);
  if (node == nullptr) return false;
  check_stack_depth();
  if (IsA(node, Query)) {
    Query *query = reinterpret_cast<Query *>(node);
    ListCell *cell;
    foreach (cell, query->rtable) {
      RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
      if (entry->tablesample != nullptr) {
        context->opacity.obstacle = "the body samples a table";
        return true;
      }
      if (entry->rtekind == RTE_TABLEFUNC) {
        context->opacity.obstacle = "the body uses XMLTABLE or JSON_TABLE, whose conversions cannot be seen";
        return true;
      }
    }
    // no walker shows these
    foreach (cell, query->windowClause) {
      WindowClause *window = lfirst_node(WindowClause, cell);
      context->all_plain = true;
      if (OidIsValid(window->startInRangeFunc) && VisitFunction(window->startInRangeFunc, context)) return true;
      if (OidIsValid(window->endInRangeFunc) && VisitFunction(window->endInRangeFunc, context)) return true;
    }
    return compat::WalkQuery(query, OpacityWalker, context);
  }
  context->all_plain = ArgumentsArePlain(node);
  switch (nodeTag(node)) {
    case T_Var: {
      AttrNumber column = reinterpret_cast<Var *>(node)->varattno;
      if (column > 0 && HoldsRows(reinterpret_cast<Var *>(node)->vartype)) {
        context->opacity.obstacle = psprintf("the body reads a column of type %s, which holds rows",
                                             format_type_be(reinterpret_cast<Var *>(node)->vartype));
        return true;
      }
      if (column >= 0 || column == TableOidAttributeNumber) return false;
      // where a row lies, and in which transaction it was written, may change while the row does not
      context->opacity.obstacle = "the body reads a system column";
      return true;
    }
    case T_CoerceViaIO:
      if (!context->all_plain) {
        context->opacity.obstacle =
            psprintf("the body converts %s to %s through text on rows",
                     format_type_be(exprType(reinterpret_cast<Node *>(reinterpret_cast<CoerceViaIO *>(node)->arg))),
                     format_type_be(reinterpret_cast<CoerceViaIO *>(node)->resulttype));
        return true;
      }
      context->opacity.reads_settings = true;
      return compat::WalkExpression(node, OpacityWalker, context);
    case T_CoerceToDomain:
      context->opacity.obstacle = psprintf("the body checks the constraints of domain %s",
                                           format_type_be(reinterpret_cast<CoerceToDomain *>(node)->resulttype));
      return true;
    case T_XmlExpr:
#if PG_VERSION_NUM >= 160000
    case T_JsonValueExpr:
    case T_JsonConstructorExpr:
#endif
#if PG_VERSION_NUM >= 170000
    case T_JsonExpr:
#endif
      context->opacity.obstacle = "the body makes XML or JSON by SQL syntax, whose conversions cannot be seen";
      return true;
    case T_SQLValueFunction:
      elog(ERROR, "unexpected SQL value function");  // always a hidden parameter
      break;
    default: break;
  }
  if (check_functions_in_node(node, VisitFunction, context)) return true;
  if (OidIsValid(AggregateOf(node)) && VisitAggregateSupport(AggregateOf(node), VisitFunction, context)) return true;
  return compat::WalkExpression(node, OpacityWalker, context);
}

// ---- Collecting -------------------------------------------------------------------------------------------------

bool AddFunction(Oid function, void *context) {
  auto **functions = static_cast<List **>(context);
  *functions = list_append_unique_oid(*functions, function);
  return false;
}

bool FunctionWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), FunctionWalker, argument);
  check_functions_in_node(node, AddFunction, argument);
  return compat::WalkExpression(node, FunctionWalker, argument);
}

// The functions that an aggregate is made of run with its owner's privileges, so they are collected apart.
bool AggregateWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), AggregateWalker, argument);
  if (OidIsValid(AggregateOf(node))) VisitAggregateSupport(AggregateOf(node), AddFunction, argument);
  return compat::WalkExpression(node, AggregateWalker, argument);
}

bool QueryWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) {
    auto **queries = static_cast<List **>(argument);
    *queries = lappend(*queries, node);
    return compat::WalkQuery(reinterpret_cast<Query *>(node), QueryWalker, argument);
  }
  return compat::WalkExpression(node, QueryWalker, argument);
}

}  // namespace

bool FoldsOpaqueCall(Node *expression) { return FoldableWalker(expression, nullptr); }

Query *InlineFunctions(Query *query, List **dependencies) {
  PlannerGlobal *global = makeNode(PlannerGlobal);
  PlannerInfo *root = makeNode(PlannerInfo);
  root->glob = global;
  root->parse = query;
  root->query_level = 1;
  root->planner_cxt = CurrentMemoryContext;
  InlineContext context = {root, 0};
  Query *result = InlineInQuery(static_cast<Query *>(copyObjectImpl(query)), &context);
  *dependencies = list_concat(*dependencies, global->invalItems);
  return result;
}

Refusal FindRefusal(Query *query) {
  RefusalContext context;
  RefusalWalker(reinterpret_cast<Node *>(query), &context);
  return context.refusal;
}

Query *ExtractHiddenParameters(Query *query, int first, List **hidden) {
  ExtractContext context = {first, hidden};
  return reinterpret_cast<Query *>(ExtractMutator(reinterpret_cast<Node *>(query), &context));
}

bool ShowsClock(Node *expression) { return ClockWalker(expression, nullptr); }

bool CanFail(Node *expression) {
  // These read a variable; anything else may raise an error on some input.
  if (IsA(expression, SQLValueFunction)) return false;
  if (IsA(expression, RelabelType))
    return CanFail(reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(expression)->arg));
  if (IsA(expression, FuncExpr)) {
    FuncExpr *call = reinterpret_cast<FuncExpr *>(expression);
    if (call->funcid == F_NOW || call->funcid == F_TRANSACTION_TIMESTAMP || call->funcid == F_STATEMENT_TIMESTAMP)
      return false;
    if (call->funcid == F_CURRENT_SETTING_TEXT_BOOL) {
      Node *name = static_cast<Node *>(linitial(call->args));
      Node *missing_ok = static_cast<Node *>(lsecond(call->args));
      return !(IsA(name, Const) && IsA(missing_ok, Const) && !reinterpret_cast<Const *>(missing_ok)->constisnull &&
               DatumGetBool(reinterpret_cast<Const *>(missing_ok)->constvalue));
    }
  }
  return true;
}

Opacity FindOpacity(Query *query) {
  OpacityContext context = {{nullptr, false}, true};
  OpacityWalker(reinterpret_cast<Node *>(query), &context);
  return context.opacity;
}

List *CollectFunctions(Query *query, List *functions) {
  FunctionWalker(reinterpret_cast<Node *>(query), &functions);
  return functions;
}

List *CollectQueries(Query *query, List *queries) {
  QueryWalker(reinterpret_cast<Node *>(query), &queries);
  return queries;
}

void FingerprintQuery(Query *query, uint64_t fingerprint[2]) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoString(&text, nodeToString(query));
  List *functions = CollectFunctions(query, NIL);
  AggregateWalker(reinterpret_cast<Node *>(query), &functions);
  ListCell *cell;
  foreach (cell, functions) {
    Oid function = lfirst_oid(cell);
    if (function < FirstNormalObjectId) continue;
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
    appendStringInfo(&text, " %u/%u/%u.%u", function, HeapTupleHeaderGetRawXmin(row->t_data),
                     ItemPointerGetBlockNumber(&row->t_self), ItemPointerGetOffsetNumber(&row->t_self));
    ReleaseSysCache(row);
  }
  auto *bytes = reinterpret_cast<unsigned char *>(text.data);
  fingerprint[0] = hash_bytes_extended(bytes, text.len, 0x6b657931);
  fingerprint[1] = hash_bytes_extended(bytes, text.len, 0x6b657932);
  pfree(text.data);
}

}  // namespace aggcache
