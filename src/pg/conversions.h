// Conversions between encodings, which functions of text find by the two encodings.

#ifndef AGGCACHE_PG_CONVERSIONS_H
#define AGGCACHE_PG_CONVERSIONS_H

#include "pg/server.h"

namespace aggcache {

// Over the conversions between encodings that the tree's functions may find; 0 if those are PostgreSQL's own.
uint64_t FingerprintConversions(Query *query);

}  // namespace aggcache

#endif
