// What functions that cannot be seen through may notice besides their arguments and the relations that are stated: the
// role, settings, temporary objects, and the catalogs of functions and roles.
//
// Settings and roles join the key. The catalogs have two tags, like wide tags of tables: one of all functions,
// operators, casts, enums and schemas of a database, one of all roles and memberships. Whoever changes one registers
// there (tracking.cc); results that rest on functions into which nobody looks carry both.
//
// No lock keeps functions and privileges from changing under a computation as locks on relations keep these. A
// transaction that has committed is seen by others before its invalidation messages reach them, and what they compute
// then with a function from before would be stored as of after. So whoever has registered under a wide tag takes a lock
// for the time of its commit, which ends after the messages are sent; who wants to store looks, before it computes,
// whether anybody holds it, and then accepts the messages. Nobody waits for more than that look.

#ifndef AGGCACHE_PG_OPAQUE_H
#define AGGCACHE_PG_OPAQUE_H

#include "pg/server.h"

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

uint64_t NamesTag();
uint64_t RolesTag();

// Called before commit by who has registered under a wide tag.
void AnnounceCommitOfCatalogs();

// Whether no transaction is in the middle of committing such changes. From then on this session knows of all that its
// next snapshot sees.
bool CatalogsAreSettled();

}  // namespace aggcache

#endif
