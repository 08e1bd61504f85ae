// Whether the current role may run the body of a definition: a hit needs the same privileges as the query. What was
// found is kept in the definition until a privilege may have changed.
//
// Other extensions may want to know of what is executed, or to refuse it: those that audit, or label. A computation
// asks them as any query does; a hit, which executes nothing, asks them here.

#ifndef AGGCACHE_PG_BODY_PRIVILEGES_H
#define AGGCACHE_PG_BODY_PRIVILEGES_H

#include "pg/base/server.h"

#include "pg/body/definition.h"

namespace aggcache {

// Changes whenever a privilege may have; the callbacks in definition_cache.cc see to it.
extern uint64_t privilege_epoch;

// Whether the current role may run the body, as the executor would decide. False also where it would raise an error.
// Asks no other extension.
bool IsPermitted(Definition *definition);

// Called by _PG_init before and after our own hooks are installed.
void NoteHooksBefore();
void NoteHooksAfter();

// Lets other extensions know of a hit as they would of a computation. What they refuse is an error, raised by them.
void AskOtherExtensions(Definition *definition);

}  // namespace aggcache

#endif
