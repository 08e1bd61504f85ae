#include "core/cells.h"

namespace aggcache {

namespace {

// Fills the range by the fewest cells. Returns how many, or most + 1 if they are more; *cells then holds anything.
int FillRange(int64_t low, int64_t high, CellGrid grid, int most, Cell *cells) noexcept {
  const int64_t siblings = (int64_t{1} << grid.bits) - 1;
  int count = 0;
  for (int level = 0;; level++) {
    // What does not fill a cell of the next level: a few cells at either end; at the highest level, everything.
    const bool highest = level == grid.levels - 1;
    while (highest || (low & siblings) != 0 || low == high) {
      if (count == most) return most + 1;
      cells[count++] = {level, low};
      if (low == high) return count;
      low++;
    }
    while ((high & siblings) != siblings) {
      if (count == most) return most + 1;
      cells[count++] = {level, high};
      if (low == high) return count;
      high--;
    }
    low >>= grid.bits;
    high >>= grid.bits;
  }
}

// The first and the last unit of the cell of the level that the unit lies in.
int64_t FirstOf(int64_t unit, int level, CellGrid grid) noexcept {
  return unit & ~((int64_t{1} << (grid.bits * level)) - 1);
}
int64_t LastOf(int64_t unit, int level, CellGrid grid) noexcept {
  return unit | ((int64_t{1} << (grid.bits * level)) - 1);
}

uint64_t Length(int64_t low, int64_t high) noexcept { return static_cast<uint64_t>(high) - static_cast<uint64_t>(low); }

}  // namespace

int CoverRange(int64_t low, int64_t high, CellGrid grid, int most, Cell *cells) noexcept {
  if (low > high) return 0;
  low = ClampUnit(low, grid);
  high = ClampUnit(high, grid);
  // The first level to which both ends can be rounded. As long as two ends lie in different cells of a level, rounding
  // one of them to it adds none. So where one end stays finer than this, the other cannot.
  int both = 0;
  int64_t best_low = low, best_high = high;
  while (FillRange(best_low, best_high, grid, most, cells) > most) {
    if (++both == grid.levels) return most + 1;
    best_low = FirstOf(low, both, grid);
    best_high = LastOf(high, both, grid);
  }
  auto improve = [&](int left, int right) {
    const int64_t first = FirstOf(low, left, grid), last = LastOf(high, right, grid);
    if (Length(first, last) >= Length(best_low, best_high)) return true;
    if (FillRange(first, last, grid, most, cells) > most) return false;
    best_low = first;
    best_high = last;
    return true;
  };
  for (int finer = 0; finer < both; finer++) {
    for (int coarser = both; coarser < grid.levels && !improve(finer, coarser); coarser++) {
    }
    for (int coarser = both; coarser < grid.levels && !improve(coarser, finer); coarser++) {
    }
  }
  return FillRange(best_low, best_high, grid, most, cells);
}

}  // namespace aggcache
