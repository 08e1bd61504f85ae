// Cells: how the values of an ordered column are grouped, so that a range of them is named by few tags.
//
// Values are mapped to whole units by a function that never decreases (pg/watch/ranges.h). A hierarchy of cells, the
// grid, lies over the units: a cell of level 0 holds one of them, a cell of a higher level 2^bits cells of the level
// below. A row registers under its cell of every level; a range [low, high] is covered by the fewest cells that fill
// it, at most 2^bits - 1 at each side of each level.
//
// The cells of the highest level lie around zero. Units beyond them count to the first or last one: coarser, never
// wrong. A grid of 64 bits or more leaves none out. A range without an end costs no more than others.

#ifndef AGGCACHE_CORE_CELLS_H
#define AGGCACHE_CORE_CELLS_H

#include <cstdint>

namespace aggcache {

constexpr int kMostCellLevels = 16;
// What one range may be covered by: enough for the highest level of any grid of up to 5 bits.
constexpr int kMostCells = 48;

// For the ends of ranges that have none.
constexpr int64_t kFirstUnit = INT64_MIN;
constexpr int64_t kLastUnit = INT64_MAX;

// REQUIRES: 1 <= levels <= kMostCellLevels, 1 <= bits <= 5, bits * (levels - 1) < 64.
struct CellGrid {
  int levels;
  int bits;  // log2 of how many cells of a level make one of the next
};

struct Cell {
  int level;
  int64_t index;
};

// The unit, moved into the cells of the highest level.
constexpr int64_t ClampUnit(int64_t unit, CellGrid grid) noexcept {
  const int unused = 64 - grid.levels * grid.bits;
  if (unused <= 0) return unit;
  const int64_t first = kFirstUnit >> unused, last = kLastUnit >> unused;
  return unit < first ? first : unit > last ? last : unit;
}

// The index of the cell of `level` that the unit lies in. REQUIRES: the unit is clamped.
constexpr int64_t CellIndex(int64_t unit, int level, CellGrid grid) noexcept { return unit >> (grid.bits * level); }

// Covers all units from low to high, both included, by at most `most` disjoint cells. Where the exact cells are more,
// each end is rounded outwards, both together by as little as makes them fit. Returns how many; 0 if low > high, and
// most + 1 if even those of the highest level are more. REQUIRES: 1 <= most <= kMostCells; there is room for so many.
int CoverRange(int64_t low, int64_t high, CellGrid grid, int most, Cell *cells) noexcept;

}  // namespace aggcache

#endif
