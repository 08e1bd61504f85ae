// All is asked of the system caches each time. Keeps no state.

#include "pg/base/server.h"

#include "pg/facts/function_facts.h"

#include "pg/base/extension.h"
#include "pg/facts/audited.h"

namespace aggcache {

namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Whether a sign stands before a digit, as in 12:00+02.
bool HasOffset(const char *text) {
  for (; *text; text++)
    if ((*text == '+' || *text == '-') && isdigit(static_cast<unsigned char>(text[1]))) return true;
  return false;
}

// Calls visit(base type) for the types that values of the type are made of, at whatever depth, while it returns false.
bool VisitParts(Oid type, bool (*visit)(Oid part, Oid wanted), Oid wanted) {
  check_stack_depth();
  type = getBaseType(type);
  Oid part = get_element_type(type);
  if (!OidIsValid(part)) part = get_range_subtype(type);
  if (!OidIsValid(part)) part = get_multirange_range(type);
  if (OidIsValid(part)) return VisitParts(part, visit, wanted);
  Oid relation = get_typ_typrelid(type);
  if (!OidIsValid(relation)) return visit(type, wanted);
  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
  for (int i = 0; i < descriptor->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(descriptor, i);
    if (!column->attisdropped && VisitParts(column->atttypid, visit, wanted)) return true;
  }
  return false;
}

bool IsType(Oid part, Oid wanted) { return part == wanted; }

bool MayHold(Oid type, Oid part) { return VisitParts(type, IsType, part); }

// Whether a word like 'now' may be a value of the type. What an input function that is not PostgreSQL's own makes of a
// word is not known.
bool IsMoment(Oid part, Oid) {
  switch (part) {
    case DATEOID:
    case TIMEOID:
    case TIMETZOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: return true;
    default: break;
  }
  if (part < FirstNormalObjectId) return false;
  const char category = TypeCategory(part);
  return category != TYPCATEGORY_STRING && category != TYPCATEGORY_ENUM;
}

bool MayHoldMoment(Oid type) { return VisitParts(type, IsMoment, InvalidOid); }

}  // namespace

bool HoldsRows(Oid type) {
  // Arrays, ranges and domains can be of one another.
  for (;;) {
    type = getBaseType(type);
    const Oid element = get_element_type(type);
    const char kind = get_typtype(type);
    if (OidIsValid(element))
      type = element;
    else if (kind == TYPTYPE_MULTIRANGE)
      type = get_multirange_range(type);
    else if (kind == TYPTYPE_RANGE)
      type = get_range_subtype(type);
    else
      return type_is_rowtype(type);
  }
}

bool HasClockWord(const char *text) {
  static const char *const kWords[] = {"now", "today", "tomorrow", "yesterday"};
  for (const char *word : kWords) {
    const size_t length = strlen(word);
    for (const char *at = text; *at; at++) {
      // Input functions take a run of letters for a word, whatever else is around it, as in 12:00today.
      if (pg_strncasecmp(at, word, length) == 0 && (at == text || !IsLetter(at[-1])) && !IsLetter(at[length]))
        return true;
    }
  }
  return false;
}

bool IsClockText(const char *text, Oid type) {
  type = getBaseType(type);
  if (!MayHoldMoment(type)) return false;
  // Without an offset it gets the one that the session's zone, or the zone that it names, has today.
  if (type == TIMETZOID && !HasOffset(text)) return true;
  return HasClockWord(text) || (type != TIMETZOID && MayHold(type, TIMETZOID));
}

bool IsClockFunction(Oid function) {
  return function == F_NOW || function == F_TRANSACTION_TIMESTAMP || function == F_STATEMENT_TIMESTAMP;
}

bool IsClockValue(SQLValueFunctionOp op) {
  switch (op) {
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

bool IsFixed(Oid function) { return WhatReads(function) == Reads::kArguments; }

bool IsCompiled(Oid function) {
  HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
  const Oid language = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang;
  ReleaseSysCache(row);
  return language == INTERNALlanguageId || language == ClanguageId;
}

Oid SubscriptingHandler(Node *node) {
  HeapTuple row =
      SearchSysCache1(TYPEOID, ObjectIdGetDatum(reinterpret_cast<SubscriptingRef *>(node)->refcontainertype));
  if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for type");
  Oid handler = reinterpret_cast<Form_pg_type>(GETSTRUCT(row))->typsubscript;
  ReleaseSysCache(row);
  return handler;
}

Oid AggregateOf(Node *node) {
  if (IsA(node, Aggref)) return reinterpret_cast<Aggref *>(node)->aggfnoid;
  if (IsA(node, WindowFunc)) return reinterpret_cast<WindowFunc *>(node)->winfnoid;
  return InvalidOid;
}

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

}  // namespace aggcache
