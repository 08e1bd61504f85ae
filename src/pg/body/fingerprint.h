// What a query says, as a number: trees, and the functions that running them calls.

#ifndef AGGCACHE_PG_BODY_FINGERPRINT_H
#define AGGCACHE_PG_BODY_FINGERPRINT_H

#include "pg/base/server.h"

namespace aggcache {

// Adds every function whose EXECUTE privilege running the tree needs.
List *CollectFunctions(Query *query, List *functions);

// Adds every Query of the tree.
List *CollectQueries(Query *query, List *queries);

// 128 bits over the tree, a Query or an expression, and the definitions of the functions that running it calls, whether
// the tree names them or its operators and types bring them. `families`: of the relations that it reads
// (operator_families.h).
void FingerprintTree(Node *tree, const List *families, uint64_t fingerprint[2]);

}  // namespace aggcache

#endif
