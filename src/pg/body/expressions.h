// What is known of an expression by itself: what evaluating it can run, read and raise.

#ifndef AGGCACHE_PG_BODY_EXPRESSIONS_H
#define AGGCACHE_PG_BODY_EXPRESSIONS_H

#include "pg/base/server.h"

namespace aggcache {

// Whether a node of this kind has a value by itself, so that it can become a hidden parameter.
bool IsExpression(Node *node);

// Whether the expression depends on an argument of the cached function.
bool HasParameter(Node *expression);

// Whether evaluating the expression can raise an error.
bool CanFail(Node *expression);

// Whether evaluating the expression runs nothing but PostgreSQL's own functions.
bool RunsOnlyBuiltIns(Node *expression);

// Whether the value is made of nothing but fixed functions, values of settings asked for by name, and the role: the
// same in whatever search path and under whatever other settings it is evaluated.
bool ReadsOnlyNamedSettings(Node *expression);

}  // namespace aggcache

#endif
