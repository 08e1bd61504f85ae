// Trying what may fail, mostly in a subtransaction: the one place where errors are caught and not raised again.

#ifndef AGGCACHE_PG_BASE_ATTEMPT_H
#define AGGCACHE_PG_BASE_ATTEMPT_H

#include "pg/base/server.h"

namespace aggcache {

enum class Attempts : uint8_t {
  kCall,  // a part of a call: what works is kept; the plain call decides whether an error of class 40 comes up
  kKeep,  // a look at something, or an action: what works is kept
  kUndo,  // the same, and it is rolled back even if it works
};

// Runs work(context) in a subtransaction, in the current memory context. Returns the error that it raised, or NULL if
// it raised none. An error undoes what was done, and brings the role, the settings and the locks back.
//
// Raised again are errors that are not about the work: those of IsInterruption, and, unless it is part of a call, what
// lies in other transactions (class 40, such as a deadlock). REQUIRES: no parallel operation.
ErrorData *Attempt(Attempts kind, void (*work)(void *context), void *context);

// The same without a subtransaction, so in parallel operations too: for work that leaves nothing behind, when it raises
// an error, but what a resource owner holds, as PostgreSQL's own functions of values. Every error of IsInterruption is
// raised again.
ErrorData *AttemptBuiltIn(void (*work)(void *context), void *context);

// Whether an error cancels or shuts down: 57014, 57P01, 57P02. Nobody may drop one. The rest of class 57 is only raised
// by functions of users, and is about the work.
bool IsInterruption(const ErrorData *error);

}  // namespace aggcache

#endif
