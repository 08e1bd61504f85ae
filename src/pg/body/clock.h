// Whether an expression shows the clock, or rounds it: has the same value for about a second or more, as current_date
// and extract(year FROM now()) have. What is rounded is worth keeping under its value, which is part of the key. So a
// mistake here costs hits or room, and never an answer.

#ifndef AGGCACHE_PG_BODY_CLOCK_H
#define AGGCACHE_PG_BODY_CLOCK_H

#include "pg/base/server.h"

namespace aggcache {

// Whether the expression shows the clock without rounding it. What rounds it for some arguments of the call, as
// date_trunc($1, now()), rounds it here. REQUIRES: the expression reads no column.
bool ShowsClock(Node *expression);

// For each part of the expression that rounds the clock for some arguments, a condition on them: true if it does.
List *RoundingConditions(Node *expression);

}  // namespace aggcache

#endif
