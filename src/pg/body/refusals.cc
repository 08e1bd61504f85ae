// One walk, which ends at the first thing to be refused. Constants are held against the literals in the raw parse tree,
// by their places in the text. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/refusals.h"

#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

bool IsVolatile(Oid function, void *context) {
  if (func_volatile(function) != PROVOLATILE_VOLATILE) return false;
  *static_cast<Oid *>(context) = function;
  return true;
}

// Of what nobody names PostgreSQL asks nobody how volatile it is, so code in C may say anything.
bool IsVolatileUnnamed(Oid function, void *context) { return !IsCompiled(function) && IsVolatile(function, context); }

// Whether a function that the node calls without naming it is volatile; *function is that one.
bool VolatileBehind(Node *node, Oid *function) {
  ListCell *cell;
  foreach (cell, FunctionsBehind(node, NIL))
    if (IsVolatileUnnamed(lfirst_oid(cell), function)) return true;
  return false;
}

Refusal VolatileRefusal(Oid function) {
  return {ERRCODE_INVALID_FUNCTION_DEFINITION,
          psprintf("a cached function cannot call volatile function %s", format_procedure(function)),
          "The result of a volatile function may differ at every call.",
          "Remove the call, or mark the function STABLE if it is."};
}

// Of functions that an aggregate is made of PostgreSQL does not ask how volatile they are, so extensions leave it out.
// What these read is judged like what other functions read (opacity.cc).
bool IsVolatileSupport(Oid function, void *context) { return !IsPackaged(function) && IsVolatile(function, context); }

struct RefusalContext {
  Refusal refusal;
};

// Stops at the first thing to be refused.
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
    Oid function = InvalidOid;
    if (VolatileBehind(node, &function)) {
      *refusal = VolatileRefusal(function);
      return true;
    }
    return compat::WalkQuery(query, RefusalWalker, context);
  }
  Oid function = InvalidOid;
  bool found = check_functions_in_node(node, IsVolatile, &function);
  if (!found && OidIsValid(AggregateOf(node)))
    found = VisitAggregateSupport(AggregateOf(node), IsVolatileSupport, &function);
  if (!found) found = VolatileBehind(node, &function);
  if (found) {
    *refusal = VolatileRefusal(function);
    return true;
  }
  if (IsA(node, NextValueExpr)) {
    *refusal = {ERRCODE_INVALID_FUNCTION_DEFINITION, "a cached function cannot advance a sequence", nullptr, nullptr};
    return true;
  }
  return compat::WalkExpression(node, RefusalWalker, context);
}

// A literal of the text as the parser has read it: whatever its quotes, escapes and continuations say.
struct Literal {
  int location;
  const char *text;
};

bool LiteralWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  if (IsA(node, A_Const)) {
    auto *constant = reinterpret_cast<A_Const *>(node);
    if (constant->isnull || !IsA(&constant->val, String)) return false;
    auto **literals = static_cast<List **>(argument);
    auto *literal = static_cast<Literal *>(palloc(sizeof(Literal)));
    *literal = {constant->location, constant->val.sval.sval};
    *literals = lappend(*literals, literal);
    return false;
  }
  return compat::WalkRaw(node, LiteralWalker, argument);
}

List *ReadLiterals(const char *source) {
  List *literals = NIL;
  ListCell *cell;
  foreach (cell, raw_parser(source, RAW_PARSE_DEFAULT)) {
    Node *statement = lfirst_node(RawStmt, cell)->stmt;
    if (IsA(statement, SelectStmt)) LiteralWalker(statement, &literals);
  }
  return literals;
}

// A constant that the parser has made of a literal lies where that lies. What comes from elsewhere (views, policies,
// defaults) lies nowhere, and was made when that was created, also for the plain query.
bool ClockLiteralWalker(Node *node, void *literals) {
  if (node == nullptr) return false;
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), ClockLiteralWalker, literals);
  if (!IsA(node, Const)) return compat::WalkExpression(node, ClockLiteralWalker, literals);
  const Const *constant = reinterpret_cast<Const *>(node);
  if (constant->location < 0) return false;
  ListCell *cell;
  foreach (cell, static_cast<List *>(literals)) {
    const auto *literal = static_cast<const Literal *>(lfirst(cell));
    if (literal->location == constant->location && IsClockText(literal->text, constant->consttype)) return true;
  }
  return false;
}

}  // namespace

Refusal FindRefusal(Query *query) {
  RefusalContext context;
  RefusalWalker(reinterpret_cast<Node *>(query), &context);
  return context.refusal;
}

bool HasClockLiteral(Query *query, const char *source) {
  return ClockLiteralWalker(reinterpret_cast<Node *>(query), ReadLiterals(source));
}

bool SaysClock(const char *source) {
  ListCell *cell;
  foreach (cell, ReadLiterals(source))
    if (HasClockWord(static_cast<const Literal *>(lfirst(cell))->text)) return true;
  return false;
}

}  // namespace aggcache
