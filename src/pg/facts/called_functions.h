// Which functions running a node of a query calls: the one place that knows.
//
// Some are named by the node: check_functions_in_node of PostgreSQL shows them. Others are not. They are reached from
// an operator, or from a type whose values are compared:
//
//   sorting and grouping  operators behind ORDER BY, DISTINCT, GROUP BY, windows, set operations, aggregates; the
//                         functions that order and hash for them
//   an operator           what the planner may put in its place: its commutator, its negator, other members of its
//                         families (for an equality derived from two others), and what indexes and partitions call
//   a type                its default comparison and hash functions, where a function compares values of any type
//                         (GREATEST, arrays, rows); of ranges the comparison and canonical functions
//   an aggregate          what it is made of, and the operator that finds its value through an index
//
// Which of them a plan calls is not known before it is made, so all count.

#ifndef AGGCACHE_PG_FACTS_CALLED_FUNCTIONS_H
#define AGGCACHE_PG_FACTS_CALLED_FUNCTIONS_H

#include "pg/base/server.h"

#include "pg/facts/function_facts.h"

namespace aggcache {

// Functions that the node calls without naming them: those of its operators and of the types that it compares. The
// children of a node are not looked at, but a Query's clauses are. `families`: see operator_families.h. In the current
// memory context, Oids, each once.
List *FunctionsBehind(Node *node, const List *families);

// The same and the functions that an aggregate is made of, handed to visit until it says true.
bool VisitUnnamedFunctions(Node *node, const List *families, FunctionVisitor visit, void *context);

// Those, and before them the functions that the node names.
bool VisitCalledFunctions(Node *node, const List *families, FunctionVisitor visit, void *context);

// Equality functions that grouping calls as the caller: with his privileges, and with a hook asked about them.
List *GroupingFunctions(Node *node);

}  // namespace aggcache

#endif
