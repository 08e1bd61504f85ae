// A clause counts by the function that it calls, as an operator or by name. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/prefixes.h"

#include "pg/facts/collations.h"

namespace aggcache {

namespace {

// What a clause says of its column.
enum class TextCondition { kNone, kEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kLike, kRegex, kPrefix };

struct TextClause {
  int column;
  Node *other;
  TextCondition condition;
  Oid collation;
};

Node *WithoutRelabel(Node *node) {
  while (node && IsA(node, RelabelType)) node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
  return node;
}

// What the function says of its first argument.
TextCondition ConditionOf(Oid function, Oid collation) {
  TextCondition condition;
  switch (function) {
    case F_TEXTEQ: condition = TextCondition::kEqual; break;
    case F_TEXTLIKE:
    case F_LIKE_TEXT_TEXT: condition = TextCondition::kLike; break;
    case F_TEXTREGEXEQ: condition = TextCondition::kRegex; break;
    case F_STARTS_WITH: condition = TextCondition::kPrefix; break;
    case F_TEXT_PATTERN_LT: return TextCondition::kLess;
    case F_TEXT_PATTERN_LE: return TextCondition::kLessEqual;
    case F_TEXT_PATTERN_GT: return TextCondition::kGreater;
    case F_TEXT_PATTERN_GE: return TextCondition::kGreaterEqual;
    case F_TEXT_LT:
    case F_TEXT_LE:
    case F_TEXT_GT:
    case F_TEXT_GE:
      if (!OidIsValid(collation) || !OrdersByBytes(collation)) return TextCondition::kNone;
      return function == F_TEXT_LT   ? TextCondition::kLess
             : function == F_TEXT_LE ? TextCondition::kLessEqual
             : function == F_TEXT_GT ? TextCondition::kGreater
                                     : TextCondition::kGreaterEqual;
    default: return TextCondition::kNone;
  }
  return EqualsByBytes(collation) ? condition : TextCondition::kNone;
}

// The column of text that the node is, or NULL.
Var *AsTextColumn(Node *node, Index relation) {
  node = WithoutRelabel(node);
  if (node == nullptr || !IsA(node, Var)) return nullptr;
  Var *column = reinterpret_cast<Var *>(node);
  bool own = column->varno == static_cast<int>(relation) && column->varlevelsup == 0 && column->varattno > 0;
  return own && IsTextType(column->vartype) ? column : nullptr;
}

bool ReadTextClause(Node *clause, Index relation, TextClause *read) {
  List *arguments;
  Oid function, operation = InvalidOid;
  if (IsA(clause, OpExpr)) {
    OpExpr *expression = reinterpret_cast<OpExpr *>(clause);
    operation = expression->opno;
    function = get_opcode(operation);
    read->collation = expression->inputcollid;
    arguments = expression->args;
  } else if (IsA(clause, FuncExpr)) {
    FuncExpr *call = reinterpret_cast<FuncExpr *>(clause);
    function = call->funcid;
    read->collation = call->inputcollid;
    arguments = call->args;
  } else {
    return false;
  }
  if (list_length(arguments) != 2) return false;
  read->other = static_cast<Node *>(lsecond(arguments));
  Var *column = AsTextColumn(static_cast<Node *>(linitial(arguments)), relation);
  if (column == nullptr && OidIsValid(operation)) {
    column = AsTextColumn(read->other, relation);
    read->other = static_cast<Node *>(linitial(arguments));
    Oid commutator = column ? get_commutator(operation) : InvalidOid;
    function = OidIsValid(commutator) ? get_opcode(commutator) : InvalidOid;
  }
  if (column == nullptr) return false;
  read->column = column->varattno;
  read->condition = ConditionOf(function, read->collation);
  return read->condition != TextCondition::kNone;
}

// A prefix that all texts have which pass; only its first bytes are kept.
struct Prefix {
  char bytes[kUnitBytes];
  int length;  // of these
  bool whole;  // only the prefix itself passes
};

// As the planner reads a pattern of LIKE for an index. A text that a pattern which ends with the escape character would
// match is an error, and so is a longer one: so such a pattern stands for all that begins so.
void ReadLikePattern(const char *pattern, int length, Prefix *prefix) {
  prefix->length = 0;
  prefix->whole = false;
  for (int i = 0; i < length; i++) {
    if (pattern[i] == '%' || pattern[i] == '_') return;
    if (pattern[i] == '\\' && ++i == length) return;
    if (prefix->length < kUnitBytes) prefix->bytes[prefix->length++] = pattern[i];
  }
  prefix->whole = true;
}

void CopyPrefix(const char *bytes, int length, Prefix *prefix) {
  prefix->length = Min(length, kUnitBytes);
  memcpy(prefix->bytes, bytes, prefix->length);
}

// The texts that begin with a prefix; false if all do.
bool NarrowToPrefix(const Prefix &prefix, UnitRange *range) {
  if (prefix.length == 0 && !prefix.whole) return false;
  const int64_t first = UnitOfBytes(prefix.bytes, prefix.length, 0);
  range->low = Max(range->low, first);
  range->high = Min(range->high, prefix.whole ? first : UnitOfBytes(prefix.bytes, prefix.length, 0xff));
  return true;
}

// Narrows *range to the texts that pass; false if the condition tells nothing.
bool NarrowToTexts(TextCondition condition, Oid collation, text *value, UnitRange *range) {
  const char *bytes = VARDATA_ANY(value);
  const int length = VARSIZE_ANY_EXHDR(value);
  const int64_t unit = UnitOfBytes(bytes, length, 0);
  Prefix prefix = {{0}, 0, false};
  switch (condition) {
    case TextCondition::kLike: ReadLikePattern(bytes, length, &prefix); return NarrowToPrefix(prefix, range);
    case TextCondition::kPrefix: CopyPrefix(bytes, length, &prefix); return NarrowToPrefix(prefix, range);
    case TextCondition::kRegex: {
      bool exact;
      char *fixed = regexp_fixed_prefix(value, false, collation, &exact);
      if (fixed == nullptr) return false;
      CopyPrefix(fixed, static_cast<int>(strlen(fixed)), &prefix);
      prefix.whole = exact;
      pfree(fixed);
      return NarrowToPrefix(prefix, range);
    }
    case TextCondition::kLess:
      // A smaller text can have the same unit only if the bound has more bytes than that.
      range->high = Min(range->high, length <= kUnitBytes && unit > kFirstUnit ? unit - 1 : unit);
      return true;
    case TextCondition::kLessEqual: range->high = Min(range->high, unit); return true;
    case TextCondition::kGreater:
    case TextCondition::kGreaterEqual: range->low = Max(range->low, unit); return true;
    case TextCondition::kEqual:
      range->low = Max(range->low, unit);
      range->high = Min(range->high, unit);
      return true;
    default: return false;
  }
}

// The constant at the other side, or NULL.
text *ConstantOf(const TextClause &clause) {
  Node *other = WithoutRelabel(clause.other);
  if (other == nullptr || !IsA(other, Const) || reinterpret_cast<Const *>(other)->constisnull) return nullptr;
  return DatumGetTextPP(reinterpret_cast<Const *>(other)->constvalue);
}

// Whether the condition may narrow with this value. Of a regular expression, which may be a wrong one that is never
// evaluated, only the first character is looked at.
bool MayNarrow(const TextClause &clause, text *value) {
  UnitRange range = {kFirstUnit, kLastUnit};
  if (clause.condition == TextCondition::kRegex) return VARSIZE_ANY_EXHDR(value) > 0 && *VARDATA_ANY(value) == '^';
  return NarrowToTexts(clause.condition, clause.collation, value, &range);
}

// Reads a column, or something that is computed elsewhere in the query.
bool ReadsQueryWalker(Node *node, void *) {
  if (node == nullptr) return false;
  if (IsA(node, Var) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, PlaceHolderVar)) return true;
  if (IsA(node, Param)) return reinterpret_cast<Param *>(node)->paramkind != PARAM_EXTERN;
  return compat::WalkExpression(node, ReadsQueryWalker, nullptr);
}

}  // namespace

bool RestrictsToTexts(Node *clause, Index relation, const RangeColumn &column, UnitRange *range) {
  TextClause read;
  if (!ReadTextClause(clause, relation, &read) || read.column != column.attribute) return false;
  text *value = ConstantOf(read);
  return value && NarrowToTexts(read.condition, read.collation, value, range);
}

Bitmapset *TextRangeColumn(Node *clause, Index relation) {
  TextClause read;
  if (clause == nullptr || !ReadTextClause(clause, relation, &read) || read.condition == TextCondition::kEqual ||
      ReadsQueryWalker(read.other, nullptr))
    return nullptr;
  text *value = ConstantOf(read);
  return value && !MayNarrow(read, value) ? nullptr : bms_make_singleton(read.column);
}

}  // namespace aggcache
