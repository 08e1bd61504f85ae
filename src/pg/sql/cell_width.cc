// aggcache.set_cell_width(): how fine ranges of a column are told apart.

#include "pg/base/server.h"

#include "pg/sql/inspection.h"
#include "pg/watch/catalog.h"
#include "pg/watch/ranges.h"
#include "pg/watch/watches.h"
#include "pg/write/watch_uses.h"

namespace aggcache {

namespace {

void RefuseWidth(const char *text, const char *detail) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid width of cells: \"%s\"", text),
                  errdetail("%s", detail)));
}

// The width in the units of aggcache.cell_width.
int64_t ParseWidth(RangeKind kind, char *text) {
  int64_t width;
  if (kind != RangeKind::kDate && kind != RangeKind::kTimestamp) {
    width = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(text)));
  } else {
    Interval *interval = DatumGetIntervalP(
        DirectFunctionCall3(interval_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
    if (interval->month != 0) RefuseWidth(text, "Months and years differ in length.");
    if (kind == RangeKind::kDate && interval->time % USECS_PER_DAY != 0)
      RefuseWidth(text, "Of a column of type date it is a number of days.");
    if (kind == RangeKind::kDate)
      width = interval->day + interval->time / USECS_PER_DAY;
    else if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &width) ||
             pg_add_s64_overflow(width, interval->time, &width))
      width = 0;
  }
  if (width < 1) RefuseWidth(text, "It must be positive.");
  if (kind == RangeKind::kTimestamp && width < USECS_PER_SEC) RefuseWidth(text, "It must be at least one second.");
  return width;
}

void SetWidth(Oid relation_oid, Name column, text *width) {
  Relation relation = table_open(relation_oid, AccessShareLock);
  AttrNumber attribute = get_attnum(relation_oid, NameStr(*column));
  if (attribute <= 0)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" of relation \"%s\" does not exist",
                                                              NameStr(*column), RelationGetRelationName(relation))));
  Oid type = TupleDescAttr(RelationGetDescr(relation), attribute - 1)->atttypid;
  RangeKind kind = RangeKindOf(type);
  if (kind == RangeKind::kNone)
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("columns of type %s have no cells", format_type_be(type)),
             errhint("Dates, timestamps, integers and numeric have.")));
  int64_t parsed = width ? ParseWidth(kind, text_to_cstring(width)) : 0;
  table_close(relation, NoLock);
  SetCellWidth(relation_oid, column, parsed);
  CommandCounterIncrement();
  ResizeCells(relation_oid);
}

}  // namespace
}  // namespace aggcache

extern "C" {

PG_FUNCTION_INFO_V1(aggcache_set_cell_width);
PGDLLEXPORT Datum aggcache_set_cell_width(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  RequirePreloaded();
  PreventCommandDuringRecovery("aggcache.set_cell_width()");
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("relation and column must not be null")));
  RequireTableOwner(PG_GETARG_OID(0));
  SetWidth(PG_GETARG_OID(0), PG_GETARG_NAME(1), PG_ARGISNULL(2) ? nullptr : PG_GETARG_TEXT_PP(2));
  PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(aggcache_watches);
PGDLLEXPORT Datum aggcache_watches(PG_FUNCTION_ARGS) {
  using namespace aggcache;
  Relation relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
  if (relation == nullptr) PG_RETURN_NULL();
  List *lines = NIL;
  ListCell *cell;
  foreach (cell, ReadWatches(relation))
    lines = lappend(lines, makeString(DescribeWatch(relation, *static_cast<Watch *>(lfirst(cell)))));
  relation_close(relation, AccessShareLock);
  list_sort(lines, [](const ListCell *a, const ListCell *b) { return strcmp(strVal(lfirst(a)), strVal(lfirst(b))); });
  auto *texts = static_cast<Datum *>(palloc(sizeof(Datum) * Max(1, list_length(lines))));
  foreach (cell, lines) texts[foreach_current_index(cell)] = CStringGetTextDatum(strVal(lfirst(cell)));
  PG_RETURN_ARRAYTYPE_P(construct_array(texts, list_length(lines), TEXTOID, -1, false, TYPALIGN_INT));
}
}
