// Looking at a function without running anybody's code as somebody else.
//
// Analysing and planning a body, and converting arguments, can run functions: IMMUTABLE ones of constants, hidden
// parameters, casts, checks of domains, defaults. In a call they run as whoever calls. Who only asks about a call has
// not asked for that: while the guard below is set, a function runs if the current role owns it, or if it is a
// superuser's (as PostgreSQL's own are) or a C library's and not VOLATILE, for what is can be made to do something by
// the arguments that somebody chose. Any other is stopped.

#ifndef AGGCACHE_PG_FACTS_OWN_CODE_H
#define AGGCACHE_PG_FACTS_OWN_CODE_H

#include "pg/base/server.h"

namespace aggcache {

// Installs the hook that the executor asks before it uses a function. Called by _PG_init.
void InstallOwnCodeHook();

// Runs work(context) under the guard. A function that is stopped raises ERRCODE_INSUFFICIENT_PRIVILEGE, with this hint
// if it is not NULL.
void RunOwnCodeOnly(void (*work)(void *context), void *context, const char *hint);

// The same in a subtransaction. Returns false where a function was stopped, and raises other errors.
bool TryOwnCodeOnly(void (*work)(void *context), void *context);

// Which function was stopped in the latest RunOwnCodeOnly, in words, or NULL: whoever ran it may have dropped the
// error.
const char *StoppedFunction();

// Whether planning the query could apply an operator to statistics of columns whose function the guard would stop. The
// planner calls these functions without the executor, so no hook is asked.
bool MayApplyOthersOperators(Query *query);

}  // namespace aggcache

#endif
