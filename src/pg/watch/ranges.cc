// All divisions round down, those of bounds too. Keeps no state.

#include "pg/base/server.h"

#include "pg/watch/ranges.h"

extern "C" {
#include "port/pg_bitutils.h"
}

#include <cmath>

namespace aggcache {

namespace {

// How many cells of a level make one of the next, as a power of 2. With more of them, fewer levels reach far and rows
// have fewer tags, and ranges are rounded more.
constexpr int kTimeBits = 3;
constexpr int kNumberBits = 4;

int64_t FloorDivide(int64_t value, int64_t width) {
  int64_t quotient = value / width;
  return value % width < 0 ? quotient - 1 : quotient;
}

int64_t IntegerOf(Oid type, Datum value) {
  switch (type) {
    case INT2OID: return DatumGetInt16(value);
    case INT4OID: return DatumGetInt32(value);
    default: return DatumGetInt64(value);
  }
}

// Rounding a numeric to a double never puts a greater one below a smaller one, so the unit does not decrease. Not a
// number is the greatest, as it is for numeric itself.
int64_t NumericUnit(Datum value, int64_t width) {
  double number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
  if (std::isnan(number)) return kLastUnit;
  double unit = std::floor(number / static_cast<double>(width));
  if (unit >= 9.0e18) return kLastUnit;
  if (unit <= -9.0e18) return kFirstUnit;
  return static_cast<int64_t>(unit);
}

// Of a text that is stored elsewhere, or compressed, no more is read than is needed.
int64_t TextUnit(Datum value) {
  auto *stored = reinterpret_cast<struct varlena *>(DatumGetPointer(value));
  const bool elsewhere = VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored);
  struct varlena *start = elsewhere ? detoast_attr_slice(stored, 0, kUnitBytes) : stored;
  int64_t unit = UnitOfBytes(VARDATA_ANY(start), VARSIZE_ANY_EXHDR(start), 0);
  if (elsewhere) pfree(start);
  return unit;
}

// A value of type `from` in the values of the column, rounded down; false if the two are compared in a way that this
// does not follow. Comparing a timestamp column with a timestamptz, for one, converts the column, and around a change
// of the clocks that is not in order.
bool ConvertBound(const RangeColumn &column, Oid from, Datum value, int64_t *converted) {
  switch (column.kind) {
    case RangeKind::kInteger:
      if (from != INT2OID && from != INT4OID && from != INT8OID) return false;
      *converted = IntegerOf(from, value);
      return true;
    case RangeKind::kDate:
      if (from == DATEOID) {
        *converted = DatumGetDateADT(value);
        return true;
      }
      if (from == TIMESTAMPOID) {
        Timestamp time = DatumGetTimestamp(value);
        if (TIMESTAMP_IS_NOBEGIN(time))
          *converted = DATEVAL_NOBEGIN;
        else if (TIMESTAMP_IS_NOEND(time))
          *converted = DATEVAL_NOEND;
        else
          *converted = FloorDivide(time, USECS_PER_DAY);
        return true;
      }
      return false;
    case RangeKind::kTimestamp:
      if (from == column.type) {
        *converted = DatumGetTimestamp(value);
        return true;
      }
      if (from == DATEOID) {
        int overflow;
        *converted = column.type == TIMESTAMPOID ? date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow)
                                                 : date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
        return true;
      }
      if (from == TIMESTAMPOID && column.type == TIMESTAMPTZOID) {
        int overflow;
        *converted = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
        return true;
      }
      return false;
    default: return false;
  }
}

// The cells of integers reach over all values of the type. Those of dates reach, from the year 2000, over 300 years,
// those of moments over 119, wider ones as much further; those of numerics over 9.2e18 times the width. What lies
// beyond shares cells.
CellGrid GridOf(RangeKind kind, int length, int64_t width) {
  int64_t reach;
  switch (kind) {
    case RangeKind::kDate: reach = int64_t{300} * 365; break;
    case RangeKind::kTimestamp: reach = int64_t{119} * 365 * USECS_PER_DAY; break;
    default: {
      const int digits = kind == RangeKind::kInteger ? length * 8 - pg_leftmost_one_pos64(width) : 64;
      return {Max(1, (digits + kNumberBits - 1) / kNumberBits), kNumberBits};
    }
  }
  const int64_t cells = reach / Min(width, DefaultCellWidth(kind));
  CellGrid grid = {1, kTimeBits};
  while (grid.levels < kMostCellLevels && ClampUnit(kLastUnit, grid) < cells) grid.levels++;
  return grid;
}

}  // namespace

RangeKind RangeKindOf(Oid type) {
  switch (getBaseType(type)) {
    case INT2OID:
    case INT4OID:
    case INT8OID: return RangeKind::kInteger;
    case NUMERICOID: return RangeKind::kNumeric;
    case DATEOID: return RangeKind::kDate;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID: return RangeKind::kTimestamp;
    default: return RangeKind::kNone;
  }
}

int64_t DefaultCellWidth(RangeKind kind) { return kind == RangeKind::kTimestamp ? USECS_PER_HOUR : 1; }

const char *CellWidthUnit(RangeKind kind) {
  switch (kind) {
    case RangeKind::kDate: return "days";
    case RangeKind::kTimestamp: return "microseconds";
    default: return "whole numbers";
  }
}

bool IsTextType(Oid type) {
  type = getBaseType(type);
  return type == TEXTOID || type == VARCHAROID;
}

int64_t UnitOfBytes(const char *bytes, int length, unsigned char rest) {
  uint64_t unit = 0;
  for (int i = 0; i < kUnitBytes; i++) unit = unit << 8 | (i < length ? static_cast<unsigned char>(bytes[i]) : rest);
  return static_cast<int64_t>(unit ^ uint64_t{1} << 63);
}

bool IsTrustedOrder(Oid operation) { return operation < FirstNormalObjectId; }

bool DescribeRangeColumn(Relation relation, AttrNumber attribute, int64_t width, RangeColumn *column) {
  TupleDesc descriptor = RelationGetDescr(relation);
  if (attribute < 1 || attribute > descriptor->natts || width < 1) return false;
  Form_pg_attribute form = TupleDescAttr(descriptor, attribute - 1);
  if (form->attisdropped) return false;
  column->attribute = attribute;
  column->type = getBaseType(form->atttypid);
  column->kind = IsTextType(column->type) ? RangeKind::kText : RangeKindOf(column->type);
  column->width = width;
  if (column->kind == RangeKind::kNone) return false;
  column->grid = GridOf(column->kind, form->attlen, width);
  return true;
}

int64_t UnitOf(const RangeColumn &column, Datum value) {
  switch (column.kind) {
    case RangeKind::kInteger: return FloorDivide(IntegerOf(column.type, value), column.width);
    case RangeKind::kNumeric: return NumericUnit(value, column.width);
    case RangeKind::kDate: return FloorDivide(DatumGetDateADT(value), column.width);
    case RangeKind::kText: return TextUnit(value);
    default: return FloorDivide(DatumGetTimestamp(value), column.width);
  }
}

int64_t UnitOfRaw(const RangeColumn &column, int64_t value) {
  return value == kFirstUnit || value == kLastUnit ? value : FloorDivide(value, column.width);
}

bool NarrowRange(const RangeColumn &column, Oid operation, Oid value_type, Datum value, UnitRange *range) {
  TypeCacheEntry *type = lookup_type_cache(column.type, TYPECACHE_BTREE_OPFAMILY);
  int strategy;
  Oid left, right;
  if (!IsTrustedOrder(operation)) return false;
  if (!OidIsValid(type->btree_opf) || !op_in_opfamily(operation, type->btree_opf)) return false;
  get_op_opfamily_properties(operation, type->btree_opf, false, &strategy, &left, &right);
  if (left != column.type) return false;
  int64_t low, high;
  value_type = getBaseType(value_type);
  if (column.kind == RangeKind::kNumeric) {
    if (value_type != NUMERICOID) return false;
    // Rounded, the values just below the bound may have the bound's own unit.
    low = high = NumericUnit(value, column.width);
  } else {
    int64_t bound;
    if (!ConvertBound(column, value_type, value, &bound)) return false;
    low = high = FloorDivide(bound, column.width);
    // Of a bound rounded down, values of the column below the bound are still at most the rounded one.
    bool exact = value_type == column.type || column.kind == RangeKind::kInteger ||
                 (column.kind == RangeKind::kTimestamp && bound > PG_INT64_MIN);
    if (strategy == BTLessStrategyNumber && exact && bound > PG_INT64_MIN) high = FloorDivide(bound - 1, column.width);
    if (strategy == BTGreaterStrategyNumber && exact && bound < PG_INT64_MAX)
      low = FloorDivide(bound + 1, column.width);
  }
  if (strategy == BTEqualStrategyNumber || strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber)
    range->high = Min(range->high, high);
  if (strategy == BTEqualStrategyNumber || strategy == BTGreaterStrategyNumber ||
      strategy == BTGreaterEqualStrategyNumber)
    range->low = Max(range->low, low);
  return true;
}

}  // namespace aggcache
