// The reader's half; row_tags.cc has the writer's. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/changed_columns.h"

#include "core/tag.h"

namespace aggcache {

namespace {

// Without those whose changes move a row to other tags.
Bitmapset *ColumnsThatStay(const Watch &watch, const Bitmapset *columns) {
  Bitmapset *result = bms_copy(columns);
  for (int i = 0; i < watch.key_count; i++) result = bms_del_member(result, watch.keys[i]);
  return watch.range_column ? bms_del_member(result, watch.range_column) : result;
}

Watch *Narrowed(const Watch &watch, bool all_columns, const Bitmapset *columns) {
  auto *result = static_cast<Watch *>(palloc(sizeof(Watch)));
  *result = watch;
  result->apart = false;
  result->all_columns = all_columns;
  result->columns = all_columns ? nullptr : bms_copy(columns);
  return result;
}

}  // namespace

void AddColumnTags(RelationDependency *item, const Bitmapset *used, bool all, int most) {
  const Watch &watch = *item->watch;
  if (!watch.apart) return;
  const Bitmapset *columns = ColumnsThatStay(watch, used);
  const int count = bms_num_members(columns);
  // One tag for any column is no more than one for the only one.
  const bool any = all || (count > 1 && item->tag_count * (1 + count) > most);
  auto *tags = static_cast<uint64_t *>(palloc(sizeof(uint64_t) * item->tag_count * (any ? 2 : 1 + count)));
  int added = 0;
  for (int i = 0; i < item->tag_count; i++) {
    tags[added++] = item->tags[i];
    if (any) tags[added++] = WithChange(item->tags[i], 0);
    int column = -1;
    while (!any && (column = bms_next_member(columns, column)) >= 0)
      tags[added++] = WithChange(item->tags[i], static_cast<AttrNumber>(column));
  }
  item->tags = tags;
  item->tag_count = added;
  item->any_column = any && !all;
  item->watch = Narrowed(watch, any && watch.all_columns, any ? watch.columns : used);
}

Watch AsServes(const Watch &watch, const Watch &wanted) {
  return watch.apart ? *Narrowed(watch, wanted.all_columns, wanted.columns) : watch;
}

}  // namespace aggcache
