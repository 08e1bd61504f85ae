// The counts are PostgreSQL's own, read where it keeps them until the transaction ends. State of this transaction: what
// triggers had reported when each savepoint came to report, in an array that grows.

#include "pg/base/server.h"

#include "pg/write/counted_writes.h"

extern "C" {
#include "utils/pgstat_internal.h"
}

namespace aggcache {

namespace {

// What a relation had when the first event of a savepoint came. Those of deeper savepoints lie above.
struct Mark {
  ReportedRows *reported;
  ReportedRows before;
  int level;
};

Mark *marks = nullptr;  // in TopMemoryContext
int mark_count = 0;
int mark_limit = 0;
bool uncounted = false;

void AddMark(ReportedRows *reported, int level) {
  if (mark_count == mark_limit) {
    int limit = Max(64, mark_limit * 2);
    Size size = sizeof(Mark) * limit;
    marks = static_cast<Mark *>(marks ? repalloc(marks, size) : MemoryContextAlloc(TopMemoryContext, size));
    mark_limit = limit;
  }
  marks[mark_count++] = {reported, *reported, level};
}

// Whether the savepoint has its mark among the first `count`.
bool IsMarkedAt(const ReportedRows *reported, int level, int count) {
  for (int i = count - 1; i >= 0 && marks[i].level >= level; i--)
    if (marks[i].level == level && marks[i].reported == reported) return true;
  return false;
}

}  // namespace

void CountReported(const TriggerData *data, ReportedRows *reported) {
  const int level = GetCurrentTransactionNestLevel();
  if (reported->level != level) {
    AddMark(reported, level);
    reported->level = level;
  }
  if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
    reported->counts.inserted++;
  else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
    reported->counts.updated++;
  else
    reported->counts.deleted++;
}

void EndReportedLevel(int level, bool commits) {
  int first = mark_count;
  while (first > 0 && marks[first - 1].level >= level) first--;
  if (!commits) {
    while (mark_count > first) {
      const Mark &mark = marks[--mark_count];
      *mark.reported = mark.before;
    }
    return;
  }
  // The savepoint's events become those of the one around it.
  const int ended = mark_count;
  mark_count = first;
  for (int i = first; i < ended; i++) {
    Mark mark = marks[i];
    mark.reported->level = level - 1;
    if (IsMarkedAt(mark.reported, level - 1, mark_count)) continue;
    mark.level = level - 1;
    marks[mark_count++] = mark;
  }
}

void ForgetReported() {
  mark_count = 0;
  uncounted = false;
}

bool VisitCounts(CountVisitor visit, void *context) {
  for (PgStat_SubXactStatus *level = pgstat_get_xact_stack_level(GetCurrentTransactionNestLevel()); level != nullptr;
       level = level->prev)
    for (PgStat_TableXactStatus *entry = level->first; entry != nullptr; entry = entry->next) {
      RowCounts counts = {entry->tuples_inserted, entry->tuples_updated, entry->tuples_deleted};
      if (counts.inserted == 0 && counts.updated == 0 && counts.deleted == 0) continue;
      if (visit(context, compat::CountedRelation(entry->parent), entry->parent->relation, counts)) return true;
    }
  return false;
}

void NoteWhetherCounted() { uncounted |= !pgstat_track_counts; }

bool SomeIsUncounted() { return uncounted || !pgstat_track_counts; }

}  // namespace aggcache
