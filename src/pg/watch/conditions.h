// Conditions that tie the rows of one appearance of a relation to rows of others: what joins, correlated sub-selects
// and LATERAL compare. A row that meets such a condition with no row of the other side does not matter.

#ifndef AGGCACHE_PG_WATCH_CONDITIONS_H
#define AGGCACHE_PG_WATCH_CONDITIONS_H

#include "pg/base/server.h"

#include "pg/watch/appearances.h"

namespace aggcache {

// "own operation other", or "own operation ANY (other)": the columns of `own` are those of the relation, those of
// `other` belong to `root`, which may be a level above; parameters in `other` stand for more of such.
struct Condition {
  Node *own;
  Oid operation;
  Oid collation;
  Node *other;
  bool any;  // `other` is an array
  PlannerInfo *root;
};

// The conditions that each row of the relation must meet to matter: a list of Condition.
List *FindConditions(const Planned &planned, PlannerInfo *root, RelOptInfo *rel);

// Whether all appearances that the relation of this level reads are settled: what it has then changes only with their
// tags. A relation may be a sub-select.
bool IsSettled(const Planned &planned, PlannerInfo *root, RelOptInfo *rel);

// What the other side of a condition is computed from.
struct Source {
  PlannerInfo *root;
  Index relid;       // 0: from constants
  Node *expression;  // its columns are those of relid
};

// Finds the one relation, sub-select, function or list of values that `other` reads; false if it reads several, or what
// cannot be read by itself. Parameters of sub-selects that are computed once are replaced by `constant`, which returns
// NULL for those that it does not know; without it they are left in place.
using FindConstant = Node *(*)(Param *parameter, void *context);
bool FindOtherSide(const Planned &planned, const Condition &condition, FindConstant constant, void *context,
                   Source *source);

}  // namespace aggcache

#endif
