// What a statement about a relation can change of the answers that are made from it. PostgreSQL announces the change of
// an index or of a statistics target as it does that of a column; most such statements change no answer.

#ifndef AGGCACHE_PG_FACTS_CONCERN_H
#define AGGCACHE_PG_FACTS_CONCERN_H

#include "pg/base/server.h"

namespace aggcache {

enum class Concern : uint8_t {
  kMeaning,     // anything
  kPrivileges,  // only who may read it
  kOrder,       // only the order in which rows come
  kNothing
};

// Of a utility statement by itself, not of what runs within it.
Concern ConcernOf(Node *statement);

}  // namespace aggcache

#endif
