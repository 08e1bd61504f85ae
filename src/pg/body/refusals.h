// What a query says by which it cannot be cached, whatever is done.

#ifndef AGGCACHE_PG_BODY_REFUSALS_H
#define AGGCACHE_PG_BODY_REFUSALS_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// What a tree refuses to be cached for at creation, if anything: volatile functions, locking clauses, modifying CTEs,
// temporary tables.
Refusal FindRefusal(Query *query);

// Whether a literal in the tree shows the clock, as 'now' does, which parsing has replaced by the moment's value. The
// tree is of this text.
bool HasClockLiteral(Query *query, const char *source);

// Whether a literal of a text, of whatever type, says 'now' or the like.
bool SaysClock(const char *source);

}  // namespace aggcache

#endif
