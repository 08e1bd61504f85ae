// Calls whose ledger is known: what planning found out the first time, so that it need not be asked again.
//
// Whether it is still so shows in the ledger: its base rests on the stamps of all that planning goes by, so whoever
// changed that since makes the base useless. What is known here is only which ledger to ask, and which stamps an answer
// from it rests on.

#ifndef AGGCACHE_PG_KEEP_KNOWN_CALLS_H
#define AGGCACHE_PG_KEEP_KNOWN_CALLS_H

#include "pg/base/server.h"

#include "core/ledger.h"
#include "core/stamp.h"
#include "pg/body/definition.h"

namespace aggcache {

struct KnownCall {
  LedgerAbout about;
  int stamp_count;
  const Stamp *stamps;  // of the result, not settled
};

// The call of the definition that has such a ledger, or NULL. Good until the next RememberCall.
const KnownCall *FindKnownCall(const Definition *definition, const unsigned char *about, uint32_t about_size);

void RememberCall(const Definition *definition, const LedgerAbout &about, const Stamp *stamps, int stamp_count);

}  // namespace aggcache

#endif
