// ALTER TABLE … ENABLE TRIGGER ALL (or USER) makes triggers fire for the origin only, ours too, which fired always. It
// is how pg_restore --disable-triggers ends, and whoever says it wants triggers in force: ours come back as they were.

#ifndef AGGCACHE_PG_WRITE_REATTACH_H
#define AGGCACHE_PG_WRITE_REATTACH_H

#include "pg/base/server.h"

namespace aggcache {

// Called after each utility statement.
void ReattachEnabled(Node *statement);

}  // namespace aggcache

#endif
