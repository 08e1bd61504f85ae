// The hash is that of a text: the tree as nodeToString() writes it, and which version of its row in pg_proc each
// function has. Keeps no state.

#include "pg/base/server.h"

#include "pg/body/fingerprint.h"

#include "pg/facts/audited.h"
#include "pg/facts/called_functions.h"
#include "pg/facts/function_facts.h"

namespace aggcache {

namespace {

bool AddFunction(Oid function, void *context) {
  auto **functions = static_cast<List **>(context);
  *functions = list_append_unique_oid(*functions, function);
  return false;
}

// Collects the functions for which the executor asks for the EXECUTE privilege.
bool FunctionWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  auto **functions = static_cast<List **>(argument);
  *functions = list_concat_unique_oid(*functions, GroupingFunctions(node));
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), FunctionWalker, argument);
  check_functions_in_node(node, AddFunction, argument);
  return compat::WalkExpression(node, FunctionWalker, argument);
}

struct UnnamedContext {
  const List *families;
  List *functions;
};

// The functions that an aggregate is made of run with its owner's privileges, and nobody asks for those of sorting and
// hashing, so all these are collected apart.
bool UnnamedFunctionWalker(Node *node, void *argument) {
  if (node == nullptr) return false;
  auto *context = static_cast<UnnamedContext *>(argument);
  VisitUnnamedFunctions(node, context->families, AddFunction, &context->functions);
  if (IsA(node, Query)) return compat::WalkQuery(reinterpret_cast<Query *>(node), UnnamedFunctionWalker, argument);
  return compat::WalkExpression(node, UnnamedFunctionWalker, argument);
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

List *CollectFunctions(Query *query, List *functions) {
  FunctionWalker(reinterpret_cast<Node *>(query), &functions);
  return functions;
}

List *CollectQueries(Query *query, List *queries) {
  QueryWalker(reinterpret_cast<Node *>(query), &queries);
  return queries;
}

void FingerprintTree(Node *tree, const List *families, uint64_t fingerprint[2]) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoString(&text, nodeToString(tree));
  UnnamedContext context = {families, NIL};
  FunctionWalker(tree, &context.functions);
  UnnamedFunctionWalker(tree, &context);
  ListCell *cell;
  foreach (cell, context.functions) {
    Oid function = lfirst_oid(cell);
    if (function < FirstNormalObjectId) {
      // which of them it is may be said by an operator class
      appendStringInfo(&text, " %u", function);
      continue;
    }
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) elog(ERROR, "cache lookup failed for function %u", function);
    appendStringInfo(&text, " %u/%u/%u.%u", function, HeapTupleHeaderGetRawXmin(row->t_data),
                     ItemPointerGetBlockNumber(&row->t_self), ItemPointerGetOffsetNumber(&row->t_self));
    ReleaseSysCache(row);
    const char *extension, *version;
    if (ExtensionOf(ProcedureRelationId, function, &extension, &version))
      appendStringInfo(&text, " %s %s", extension, version);
  }
  auto *bytes = reinterpret_cast<unsigned char *>(text.data);
  fingerprint[0] = hash_bytes_extended(bytes, text.len, 0x6b657931);
  fingerprint[1] = hash_bytes_extended(bytes, text.len, 0x6b657932);
  pfree(text.data);
}

}  // namespace aggcache
