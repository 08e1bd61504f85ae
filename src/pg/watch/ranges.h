// Ordered columns: how values of dates, times, numbers and texts become the units that cells (core/cells.h) are made
// of.
//
// The map from values to units never decreases, and a reader's bound is mapped so that every value within the bound
// lies within the mapped one. What cannot be mapped so is no bound: the range is taken as open there.

#ifndef AGGCACHE_PG_WATCH_RANGES_H
#define AGGCACHE_PG_WATCH_RANGES_H

#include "pg/base/server.h"

#include "core/cells.h"

namespace aggcache {

enum class RangeKind : uint8_t { kNone, kInteger, kNumeric, kDate, kTimestamp, kText };

// A column by whose ranges changes can be told apart.
struct RangeColumn {
  AttrNumber attribute;  // 0: none
  RangeKind kind;
  CellGrid grid;
  int64_t width;  // of the smallest cell: days, microseconds, or whole numbers
  Oid type;       // base type
};

// The kind of a type that is ordered in one way only; kNone where ranges of it are not followed, or only some (texts).
RangeKind RangeKindOf(Oid type);
// The width that a kind has unless the user sets another.
int64_t DefaultCellWidth(RangeKind kind);
// What a width counts, in words.
const char *CellWidthUnit(RangeKind kind);

// Whether the type is one whose values can be put in the order of their bytes: text, varchar, or a domain of them.
// Others that hold text have equalities of their own.
bool IsTextType(Oid type);

// Whether an operator of the family by which a type is ordered does order: others than PostgreSQL's own can be added.
bool IsTrustedOrder(Oid operation);

// Describes a column of the relation for ranges with that width of cells; false if its type has none.
bool DescribeRangeColumn(Relation relation, AttrNumber attribute, int64_t width, RangeColumn *column);

// The unit of a value of the column, for writers.
int64_t UnitOf(const RangeColumn &column, Datum value);

// The unit of a text: of its first bytes, most significant first; what is missing of them is `rest`.
constexpr int kUnitBytes = 8;
int64_t UnitOfBytes(const char *bytes, int length, unsigned char rest);
// The same of a value that is a whole number as it is kept; kFirstUnit and kLastUnit stay what they are.
int64_t UnitOfRaw(const RangeColumn &column, int64_t value);

// An interval of units, both ends included.
struct UnitRange {
  int64_t low, high;
};

// Narrows *range by "column operation value"; false if the clause tells nothing. REQUIRES: value is not null.
bool NarrowRange(const RangeColumn &column, Oid operation, Oid value_type, Datum value, UnitRange *range);

}  // namespace aggcache

#endif
