// The triggers on tracked tables.
//
//   rows       AFTER ROW triggers, enabled ALWAYS, register the transaction in the tags of the old and new row image
//   TRUNCATE   an AFTER STATEMENT trigger registers it in the table's wide tag

#include "pg/base/server.h"

#include "core/tag.h"
#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/keep/kept_writes.h"
#include "pg/write/blame.h"
#include "pg/write/counted_writes.h"
#include "pg/write/registration.h"
#include "pg/write/row_tags.h"
#include "pg/write/serializable.h"
#include "pg/write/written.h"

namespace aggcache {

namespace {

void RegisterOne(uint64_t tag) { RegisterTags(&tag, 1); }

// Gives up telling rows of the table apart for the rest of the transaction.
void Escalate(WrittenTable *table, const WatchedTable *watched, Oid relation) {
  RegisterOne(WideTag(MyDatabaseId, relation));
  const Oid *ancestors;
  int count = AncestorsOf(watched, &ancestors);
  for (int i = 0; i < count; i++) RegisterOne(SubtreeTag(MyDatabaseId, ancestors[i]));
  if (table == nullptr) return;
  table->escalated = true;
  TableStatistics *statistics = shared::StatisticsOfTable(relation, true);
  if (statistics) shared::Count(statistics->bulk);
}

// Whether the trigger reports every row of this kind of event, when the row changes.
bool ReportsAll(const Trigger &trigger, TriggerEvent event) {
  const int kind = TRIGGER_FIRED_BY_INSERT(event)   ? TRIGGER_TYPE_INSERT
                   : TRIGGER_FIRED_BY_UPDATE(event) ? TRIGGER_TYPE_UPDATE
                                                    : TRIGGER_TYPE_DELETE;
  return trigger.tgenabled == TRIGGER_FIRES_ALWAYS && trigger.tgqual == nullptr && trigger.tgnattr == 0 &&
         !trigger.tgdeferrable && TRIGGER_TYPE_MATCHES(trigger.tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER, kind);
}

// The first of the triggers that report all rows of the event, or NULL. A partition may have one of its own, and one
// from each table above it. What is registered may be registered again; what is added up is added once.
const Trigger *FirstToReport(const TriggerData *data) {
  const TriggerDesc *all = data->tg_relation->trigdesc;
  for (int i = 0; i < all->numtriggers; i++)
    if (all->triggers[i].tgfoid == data->tg_trigger->tgfoid && ReportsAll(all->triggers[i], data->tg_event))
      return &all->triggers[i];
  return nullptr;
}

// Keeps what a row adds to results that are kept current, or sees to it that they are not.
void KeepRow(const TriggerData *data, const uint64_t *tags, int count, TupleTableSlot *old_row,
             TupleTableSlot *new_row) {
  const Trigger *first = FirstToReport(data);
  if (first == nullptr)
    KeepNothing(tags, count);
  else if (first->tgoid == data->tg_trigger->tgoid)
    KeepChange(data->tg_relation, tags, count, old_row, new_row);
}

// A copy of the tags of watches, good until the next call: registering overwrites the list.
const uint64_t *CopyTags(const TagList &list) {
  static uint64_t *copy = nullptr;
  static int room = 0;
  const int count = list.count - list.table_tags;
  if (count > room) {
    if (copy) pfree(copy);
    copy = nullptr;
    room = 0;
    copy =
        static_cast<uint64_t *>(MemoryContextAlloc(TopMemoryContext, sizeof(uint64_t) * static_cast<Size>(2 * count)));
    room = 2 * count;
  }
  memcpy(copy, list.tags + list.table_tags, sizeof(uint64_t) * static_cast<Size>(count));
  return copy;
}

// Registers a changed row: in its tags, or for all of the table once those are too many.
void TrackRow(TriggerData *data) {
  Oid relation = RelationGetRelid(data->tg_relation);
  WrittenTable *table = NoteWritten(relation);
  if (table && table->escalated) {
    table->rows++;
    return;
  }
  WatchedTable *watched = WatchedTableOf(data->tg_relation);
  if (table == nullptr) {
    Escalate(nullptr, watched, relation);
    return;
  }
  table->rows++;
  CountReported(data, &table->reported);
  bool insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
  TupleTableSlot *old_row = insert ? nullptr : data->tg_trigslot;
  TupleTableSlot *new_row = insert                                    ? data->tg_trigslot
                            : TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newslot
                                                                      : nullptr;
  TagList list = TagsOfChange(watched, old_row, new_row, !table->table_tag);
  if (list.count == 0) {
    // no value has changed, but the row has another place
    if (!table->reordered) RegisterOrderOrDefer(relation);
    table->reordered = true;
    return;
  }
  const uint64_t *tags = CopyTags(list);
  // With the first change all are new.
  const int registered = RegisterNewTags(list.tags, list.count, !table->table_tag);
  table->table_tag = true;
  table->tags += registered - list.table_tags;
  KeepRow(data, tags, list.count - list.table_tags, old_row, new_row);
  if (table->tags > static_cast<uint32_t>(settings::bulk_threshold)) Escalate(table, watched, relation);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_track_row);
PGDLLEXPORT Datum aggcache_track_row(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" was not called by trigger manager", "aggcache.track_row")));
  auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
  if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) || !TRIGGER_FIRED_AFTER(data->tg_event))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" must be fired AFTER ROW", "aggcache.track_row")));
  if (aggcache::IsRecording()) {
    aggcache::ShowSerializableWrite(data->tg_relation);
    aggcache::NoteRowChange(data);
    aggcache::TrackRow(data);
  }
  return PointerGetDatum(nullptr);
}

PG_FUNCTION_INFO_V1(aggcache_track_truncate);
PGDLLEXPORT Datum aggcache_track_truncate(PG_FUNCTION_ARGS) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("function \"%s\" was not called by trigger manager", "aggcache.track_truncate")));
  auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
  if (aggcache::IsRecording()) aggcache::RegisterWide(RelationGetRelid(data->tg_relation));
  return PointerGetDatum(nullptr);
}
}
