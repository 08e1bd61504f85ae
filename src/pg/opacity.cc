#include "pg/server.h"

#include "pg/analysis.h"
#include "pg/called_functions.h"
#include "pg/function_facts.h"

namespace aggcache {

namespace {

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
  const List *families;  // of the relations' indexes
  bool all_plain;        // of the node at hand: its arguments are of plain types
};

// Decides on one function; true stops the walk.
bool VisitFunction(Oid function, void *argument) {
  auto *context = static_cast<OpacityContext *>(argument);
  if (IsFixed(function)) return false;
  if (IsClockFunction(function)) {
    context->opacity.reads_clock = true;
    return false;
  }
  if (ReadsOnlySettings(function) && context->all_plain) {
    context->opacity.reads_settings = true;
    return false;
  }
  if (function >= FirstNormalObjectId) {
    context->opacity.calls = list_append_unique_oid(context->opacity.calls, function);
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

// Comparisons and the like make no text of their arguments, whatever type these are of.
bool CallsUnnamed(Node *node, OpacityContext *context) {
  context->all_plain = true;
  ListCell *cell;
  foreach (cell, FunctionsBehind(node, context->families))
    if (VisitFunction(lfirst_oid(cell), context)) return true;
  return false;
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
    if (CallsUnnamed(node, context)) return true;
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
      if (IsClockValue(reinterpret_cast<SQLValueFunction *>(node)->op)) {
        context->opacity.reads_clock = context->opacity.reads_settings = true;  // TimeZone
        return false;
      }
      // by itself a hidden parameter, but part of an expression on the arguments of a function that is called on rows
      context->opacity.obstacle = "the body reads the clock or the role in an expression on arguments";
      return true;
    default: break;
  }
  if (check_functions_in_node(node, VisitFunction, context)) return true;
  if (OidIsValid(AggregateOf(node)) && VisitAggregateSupport(AggregateOf(node), VisitFunction, context)) return true;
  if (CallsUnnamed(node, context)) return true;
  return compat::WalkExpression(node, OpacityWalker, context);
}

}  // namespace

Opacity FindOpacity(Query *query, const List *families) {
  OpacityContext context = {{nullptr, false, false, NIL}, families, true};
  OpacityWalker(reinterpret_cast<Node *>(query), &context);
  return context.opacity;
}

Opacity FindExpressionOpacity(Node *expression) {
  OpacityContext context = {{nullptr, false, false, NIL}, NIL, true};
  OpacityWalker(expression, &context);
  return context.opacity;
}

}  // namespace aggcache
