// What functions that cannot be seen through may notice besides their arguments and the relations that are stated: the
// role, settings, and temporary objects. Settings and roles join the key; catalogs: catalog_commits.h.

#ifndef AGGCACHE_PG_CALL_OPAQUE_INPUT_H
#define AGGCACHE_PG_CALL_OPAQUE_INPUT_H

#include "pg/base/server.h"

namespace aggcache {

// Plain bytes without padding.
struct OpaqueInput {
  Oid role;
  Oid session_role;
  uint32_t row_security;
  uint32_t unused;
  uint64_t search_path;  // hash
  uint64_t settings;     // hash of all settings with a prefix, but ours
};
OpaqueInput CurrentOpaqueInput();

// Whether this session has temporary objects, which could hide what such a function means.
bool HasTemporaryObjects();

}  // namespace aggcache

#endif
