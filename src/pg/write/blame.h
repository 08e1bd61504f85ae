// Blame: which writes invalidate results. A write leaves a note in shared memory; a call that finds its result changed
// looks the writer's note up and counts it. aggcache.blame shows the counts.
//
// Notes are few and are overwritten, so a cause can stay unknown. Nothing here decides about any answer.

#ifndef AGGCACHE_PG_WRITE_BLAME_H
#define AGGCACHE_PG_WRITE_BLAME_H

#include "pg/base/server.h"

#include "core/snapshot.h"
#include "pg/base/shared.h"

namespace aggcache {

struct Definition;

// Columns by attribute number; those from 64 * kColumnWords on are one bit, the last.
constexpr int kColumnWords = 2;
struct ChangedColumns {
  uint64_t words[kColumnWords];
};
constexpr int kLastColumnBit = 64 * kColumnWords - 1;

struct BlameKey {
  Oid database;
  Oid function;
  Oid relation;  // InvalidOid: unknown, and so is what follows
  CommandTag command;
  ChangedColumns columns;  // of an UPDATE
  uint64_t query_id;       // 0: none
};

struct BlameCount {
  BlameKey key;
  uint64_t invalidations;
  int64_t last_at;
};

struct BlameTable;

Size BlameBytes();
void AttachBlame(void *area, bool fresh);

// Notes that this transaction has changed rows of the relation, in the way that the trigger's data tells. Called for
// every row; all but the first of a statement cost a few comparisons.
void NoteRowChange(const TriggerData *data);

// Notes a change of another kind: TRUNCATE, DDL.
void NoteWideChange(Oid relation);

// Counts that a result of the function was found changed by this writer; kNoXid: unknown.
void CountInvalidation(const Definition *definition, Xid writer);

// Copies the counts of this database; returns how many. REQUIRES: room for aggcache.max_blames.
int CopyBlames(BlameCount *counts);

void ResetBlames();

}  // namespace aggcache

#endif
