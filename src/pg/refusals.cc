#include "pg/server.h"

#include "pg/analysis.h"
#include "pg/function_facts.h"

namespace aggcache {

namespace {

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

bool IsClockLiteral(const char *source, const Const *constant) {
  int location = constant->location;
  if (location < 0 || location >= static_cast<int>(strlen(source))) return false;
  const char *from = strchr(source + location, '\'');
  if (from == nullptr || from - (source + location) > 3) return false;
  const char *to = strchr(from + 1, '\'');
  return to && IsClockText(pnstrdup(from + 1, to - from - 1), constant->consttype);
}

bool ClockLiteralWalker(Node *node, void *source) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), ClockLiteralWalker, source);
  if (IsA(node, Const)) return IsClockLiteral(static_cast<const char *>(source), reinterpret_cast<Const *>(node));
  return compat::WalkExpression(node, ClockLiteralWalker, source);
}

}  // namespace

Refusal FindRefusal(Query *query) {
  RefusalContext context;
  RefusalWalker(reinterpret_cast<Node *>(query), &context);
  return context.refusal;
}

bool HasClockLiteral(Query *query, const char *source) {
  return ClockLiteralWalker(reinterpret_cast<Node *>(query), const_cast<char *>(source));
}

}  // namespace aggcache
