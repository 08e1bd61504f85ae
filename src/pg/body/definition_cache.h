// The definitions that this session keeps: found by function, environment and types, and given up when the catalogs
// say that something they depend on has changed. Backend-local memory, no lock.

#ifndef AGGCACHE_PG_BODY_DEFINITION_CACHE_H
#define AGGCACHE_PG_BODY_DEFINITION_CACHE_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Installs the invalidation callbacks. Called by _PG_init.
void InstallDefinitionCallbacks();

// Finds or makes the definition for this call in the current environment. It lives at least until the next call of
// FindDefinition, longer if pinned. It may be invalid already if the catalogs keep changing. Errors of parsing the body
// are raised.
Definition *FindDefinition(FunctionCallInfo fcinfo);

// Calls visit with every source relation's oid that changed in the catalogs; registered by hooks.cc.
using RelationChanged = void (*)(Oid relation);
void OnRelationChanged(RelationChanged changed);

// The same for catalogs that are watched as a whole: `roles` for roles and their memberships, else functions,
// operators, casts, enums and schemas.
using NamesChanged = void (*)(bool roles);
void OnNamesChanged(NamesChanged changed);

}  // namespace aggcache

#endif
