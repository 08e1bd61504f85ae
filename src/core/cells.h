// Cells: how the values of an ordered column are grouped, so that a range of them is named by few tags.
//
// Values are mapped to whole units by a function that never decreases (pg/watch/ranges.h). A hierarchy of cells lies
// over the units: a cell of level k holds 8^k of them and eight cells of level k - 1. A row registers under its cell of
// every level; a range [low, high] is covered by the fewest cells that fill it, at most seven at each side of each
// level.
//
// Units beyond the eight cells of the highest level, which lie around zero, count to its first or last cell. So a range
// without an end costs no more than others, and far away values share cells: coarser, never wrong.

#ifndef AGGCACHE_CORE_CELLS_H
#define AGGCACHE_CORE_CELLS_H

#include <cstdint>

namespace aggcache {

constexpr int kCellBits = 3;  // log2 of how many cells of a level make one of the next
constexpr int kMostCellLevels = 12;
// What one range may be covered by; always enough for the highest level alone.
constexpr int kMostCells = 48;

// For the ends of ranges that have none.
constexpr int64_t kFirstUnit = INT64_MIN;
constexpr int64_t kLastUnit = INT64_MAX;

struct Cell {
  int level;
  int64_t index;
};

// The unit, moved into the highest level's eight cells.
constexpr int64_t ClampUnit(int64_t unit, int levels) noexcept {
  const int64_t limit = int64_t{1} << (kCellBits * levels - 1);
  return unit < -limit ? -limit : unit >= limit ? limit - 1 : unit;
}

// The index of the cell of `level` that the unit lies in. REQUIRES: the unit is clamped.
constexpr int64_t CellIndex(int64_t unit, int level) noexcept { return unit >> (kCellBits * level); }

// Covers all units from low to high, both included, by at most kMostCells disjoint cells; where the exact cells are
// more, the ends are rounded outwards. Returns how many; 0 if low > high. REQUIRES: 1 <= levels <= kMostCellLevels.
int CoverRange(int64_t low, int64_t high, int levels, Cell cells[kMostCells]) noexcept;

}  // namespace aggcache

#endif
