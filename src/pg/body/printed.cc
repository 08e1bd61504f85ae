// JSON prints rows by the columns that their type has, booleans and numbers by their output functions, dates and times
// in ISO 8601, arrays by their elements, and values of types that are not built in by a cast to json if there is one:
// a function of somebody's. All else is the text that the type's output function gives. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/printed.h"

#include <algorithm>

namespace aggcache {

namespace {

// Built-in types whose text depends on the value and on SettingsImage only: no catalog, no user code.
bool IsPlainType(Oid type) {
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
    case DATERANGEOID:
    case INT4MULTIRANGEOID:
    case INT8MULTIRANGEOID:
    case NUMMULTIRANGEOID:
    case TSMULTIRANGEOID:
    case TSTZMULTIRANGEOID:
    case DATEMULTIRANGEOID:
    case POINTOID:
    case LSEGOID:
    case PATHOID:
    case BOXOID:
    case POLYGONOID:
    case LINEOID:
    case CIRCLEOID:
    case MONEYOID:
    case TSVECTOROID:
    case TSQUERYOID:
    case JSONPATHOID:
    case PG_LSNOID:
    case XIDOID:
    case XID8OID:
    case CIDOID:
    case TIDOID: return true;
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
    case DATERANGEOID:
    case TSMULTIRANGEOID:
    case TSTZMULTIRANGEOID:
    case DATEMULTIRANGEOID: return true;
    default: return false;
  }
}

// What an array, at whatever depth of domains, consists of; of others the type that a domain is over.
Oid InnerType(Oid type) {
  type = getBaseType(type);
  const Oid element = get_element_type(type);
  return OidIsValid(element) ? getBaseType(element) : type;
}

bool HasCastToJson(Oid type) {
  Oid function;
  return find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC;
}

// Of a type that holds no rows.
Printed JsonOfType(Oid type) {
  const Printed text = TextOf(type);
  return text == Printed::kByNames && HasCastToJson(InnerType(type)) ? Printed::kUnknown : text;
}

Printed JsonOfAll(const List *expressions, const QueryLevel *level, PrintedRows *rows) {
  Printed printed = Printed::kBySettings;
  ListCell *cell;
  foreach (cell, expressions) printed = std::max(printed, JsonOf(static_cast<Node *>(lfirst(cell)), level, rows));
  return printed;
}

// Of the whole row of a relation of FROM. The columns are printed, so those that hold rows are not followed.
Printed JsonOfWholeRow(const Var *row, const QueryLevel *level, PrintedRows *rows) {
  for (Index up = 0; up < row->varlevelsup && level; up++) level = level->outer;
  if (level == nullptr) return Printed::kUnknown;
  RangeTblEntry *entry = rt_fetch(row->varno, level->query->rtable);
  switch (entry->rtekind) {
    case RTE_RELATION:
    case RTE_SUBQUERY:
    case RTE_CTE:
    case RTE_VALUES: break;
    default: return Printed::kUnknown;
  }
  if (row->vartype != RECORDOID)
    rows->relations = list_append_unique_oid(rows->relations, get_typ_typrelid(row->vartype));
  List *columns;
  compat::ExpandEntry(entry, &columns);
  Printed printed = Printed::kBySettings;
  ListCell *cell;
  foreach (cell, columns) printed = std::max(printed, JsonOfType(exprType(static_cast<Node *>(lfirst(cell)))));
  return printed;
}

// Of the single column of a sub-select.
Printed JsonOfSublink(const SubLink *link, const QueryLevel *level, PrintedRows *rows) {
  if (link->subLinkType != EXPR_SUBLINK || !IsA(link->subselect, Query)) return Printed::kUnknown;
  const QueryLevel inner = {reinterpret_cast<Query *>(link->subselect), level};
  if (inner.query->setOperations) return Printed::kUnknown;
  return JsonOf(reinterpret_cast<Node *>(linitial_node(TargetEntry, inner.query->targetList)->expr), &inner, rows);
}

Printed JsonOfCase(const CaseExpr *choice, const QueryLevel *level, PrintedRows *rows) {
  Printed printed = JsonOf(reinterpret_cast<Node *>(choice->defresult), level, rows);
  ListCell *cell;
  foreach (cell, choice->args) {
    Node *result = reinterpret_cast<Node *>(lfirst_node(CaseWhen, cell)->result);
    printed = std::max(printed, JsonOf(result, level, rows));
  }
  return printed;
}

}  // namespace

Printed TextOf(Oid type) {
  type = InnerType(type);
  if (IsPlainType(type)) return Printed::kBySettings;
  return get_typtype(type) == TYPTYPE_ENUM ? Printed::kByNames : Printed::kUnknown;
}

Printed InputOf(Oid type) {
  // the constraints of a domain are checked
  const Oid element = get_element_type(type);
  if (getBaseType(type) != type || (OidIsValid(element) && getBaseType(element) != element)) return Printed::kUnknown;
  return MayReadClock(type) ? Printed::kUnknown : TextOf(type);
}

Printed JsonOf(Node *expression, const QueryLevel *level, PrintedRows *rows) {
  check_stack_depth();
  const Oid type = exprType(expression);
  if (!type_is_rowtype(type)) return JsonOfType(type);
  rows->any = true;
  switch (nodeTag(expression)) {
    case T_Var: {
      auto *row = reinterpret_cast<Var *>(expression);
      return row->varattno == InvalidAttrNumber ? JsonOfWholeRow(row, level, rows) : Printed::kUnknown;
    }
    case T_RowExpr: {
      auto *row = reinterpret_cast<RowExpr *>(expression);
      return row->row_typeid == RECORDOID ? JsonOfAll(row->args, level, rows) : Printed::kUnknown;
    }
    case T_SubLink: return JsonOfSublink(reinterpret_cast<SubLink *>(expression), level, rows);
    case T_CoalesceExpr: return JsonOfAll(reinterpret_cast<CoalesceExpr *>(expression)->args, level, rows);
    case T_CaseExpr: return JsonOfCase(reinterpret_cast<CaseExpr *>(expression), level, rows);
    case T_Const: return reinterpret_cast<Const *>(expression)->constisnull ? Printed::kBySettings : Printed::kUnknown;
    default: return Printed::kUnknown;
  }
}

}  // namespace aggcache
