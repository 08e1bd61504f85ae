// Registering in stamp slots, and ending what carries a tag, for as long as that takes: a slot may be in the hands of a
// process that has lost its processor, or that somebody has stopped.

#ifndef AGGCACHE_PG_WRITE_REGISTRATION_H
#define AGGCACHE_PG_WRITE_REGISTRATION_H

#include "pg/base/server.h"

namespace aggcache {

// Registers this transaction in the slots of the tags. Waits where it must, and answers interrupts then: an error ends
// the transaction, or the savepoint, whose changes are not registered yet.
// REQUIRES: no lock of shared memory is held; the transaction has an id.
void RegisterTags(const uint64_t *tags, int count);
void RegisterSlot(uint32_t slot);

// The same where neither an error nor a wait is sound, as in a callback of invalidation messages. What cannot be
// registered at once is left to RegisterDeferred.
void RegisterTagOrDefer(uint64_t tag);
// At the end of a statement, and before the transaction commits or is prepared.
void RegisterDeferred();
// Whether something waits for that: then no result may be used, as it may rest on what was changed.
bool HasDeferred();
void ForgetDeferred();

// Ends all results that carry the tag.
void ExpireTag(uint64_t tag);

}  // namespace aggcache

#endif
