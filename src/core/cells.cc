#include "core/cells.h"

namespace aggcache {

namespace {

// Covers with cells of `lowest` and higher levels. Returns how many, or kMostCells + 1 if they are too many.
int CoverFrom(int64_t low, int64_t high, int lowest, int levels, Cell cells[kMostCells]) noexcept {
  constexpr int64_t kSiblings = (1 << kCellBits) - 1;
  int count = 0;
  int64_t first = CellIndex(low, lowest), last = CellIndex(high, lowest);
  for (int level = lowest;; level++) {
    // What does not fill a cell of the next level: a few cells at either end; at the highest level, everything.
    const bool highest = level == levels - 1;
    while (first <= last && (highest || (first & kSiblings) != 0)) {
      if (count == kMostCells) return kMostCells + 1;
      cells[count++] = {level, first++};
    }
    while (first <= last && (last & kSiblings) != kSiblings) {
      if (count == kMostCells) return kMostCells + 1;
      cells[count++] = {level, last--};
    }
    if (first > last) return count;
    first >>= kCellBits;
    last >>= kCellBits;
  }
}

}  // namespace

int CoverRange(int64_t low, int64_t high, int levels, Cell cells[kMostCells]) noexcept {
  if (low > high) return 0;
  low = ClampUnit(low, levels);
  high = ClampUnit(high, levels);
  for (int lowest = 0;; lowest++) {
    const int count = CoverFrom(low, high, lowest, levels, cells);
    if (count <= kMostCells) return count;
  }
}

}  // namespace aggcache
