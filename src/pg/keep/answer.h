// The reader's half of kept results: brings the groups of a call up to its snapshot by what writers have left in a
// ledger, or computes them so that the ledger gets a base, and puts the answer together from them.

#ifndef AGGCACHE_PG_KEEP_ANSWER_H
#define AGGCACHE_PG_KEEP_ANSWER_H

#include "pg/base/server.h"

#include "core/ledger.h"
#include "pg/body/definition.h"
#include "pg/watch/dependencies.h"

namespace aggcache {

struct KeptAnswer {
  const char *why;           // why it is not current, in words; NULL: it is, or nothing was tried
  bool current;              // from a ledger: nothing of the table was read
  uint32_t changes;          // then: how many transactions' changes were added
  PlannedStmt *plan;         // of the answer, over the groups
  Tuplestorestate *rows;     // of the groups; EndAnswer frees them
  QueryEnvironment *groups;  // for it
  LedgerAbout about;         // which ledger it is; size 0: none
  int stamp_count;           // AnswerAtOnce: of all that the answer rests on
  const Stamp *stamps;       // not settled
};

// Answers a call that the session has had before, if the ledger can, without planning and without a lock on any table,
// as a hit. False: it is to be planned.
bool AnswerAtOnce(const Definition *definition, ParamListInfo parameters, ::Snapshot snapshot, KeptAnswer *answer);

// Ends the use of the groups, if there are any.
void EndAnswer(KeptAnswer *answer);

// Tries to answer a call whose dependencies have been found, under the snapshot, which is the active one. `opens`:
// where there is no ledger, or it cannot answer, it is opened and the groups are computed for it. False: the call is to
// be computed as ever. In a SERIALIZABLE transaction the caller shows what was read of an answer that is current. What
// is made is in the current memory context, but for the plan. Errors of the body are raised.
bool AnswerFromGroups(const Definition *definition, const Dependencies &dependencies, ParamListInfo parameters,
                      ::Snapshot snapshot, bool opens, KeptAnswer *answer);

}  // namespace aggcache

#endif
