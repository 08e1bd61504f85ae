// Tests of cells: a cover holds exactly the cells of the units it should, at few cells.

#include "core/cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace aggcache {
namespace {

// Those of numbers of 8, 4 and 2 bytes, of timestamps and dates, and some that no column has.
constexpr CellGrid kGrids[] = {{16, 4}, {8, 4}, {4, 4}, {7, 3}, {6, 3}, {1, 3}, {13, 5}, {12, 5}, {16, 1}, {11, 4}};

bool Covers(const Cell *cells, int count, int64_t unit, CellGrid grid) {
  int found = 0;
  for (int i = 0; i < count; i++)
    if (CellIndex(ClampUnit(unit, grid), cells[i].level, grid) == cells[i].index) found++;
  EXPECT_LE(found, 1) << "cells overlap at " << unit;
  return found > 0;
}

// What a cover fills: from the first unit of one of its cells to the last unit of another.
struct Extent {
  int64_t first, last;
  uint64_t units;  // in all cells together, modulo 2^64
};

Extent ExtentOf(const Cell *cells, int count, CellGrid grid) {
  Extent extent = {kLastUnit, kFirstUnit, 0};
  for (int i = 0; i < count; i++) {
    const int shift = grid.bits * cells[i].level;
    const int64_t first = static_cast<int64_t>(static_cast<uint64_t>(cells[i].index) << shift);
    extent.first = std::min(extent.first, first);
    extent.last = std::max(extent.last, first | ((int64_t{1} << shift) - 1));
    extent.units += uint64_t{1} << shift;
  }
  return extent;
}

// Modulo 2^64.
uint64_t Units(int64_t first, int64_t last) { return static_cast<uint64_t>(last) - static_cast<uint64_t>(first) + 1; }

// A unit of any size; often an extreme one.
int64_t AnyUnit(std::mt19937_64 &random) {
  const int64_t unit = static_cast<int64_t>(random()) >> (random() % 64);
  switch (random() % 16) {
    case 0: return kFirstUnit;
    case 1: return kLastUnit;
    case 2: return kFirstUnit + static_cast<int64_t>(random() % 100);
    case 3: return kLastUnit - static_cast<int64_t>(random() % 100);
    case 4: return unit & ~int64_t{0xffff};
    default: return unit;
  }
}

TEST(Cells, EverySmallRangeIsCoveredExactly) {
  for (CellGrid grid : {CellGrid{3, 3}, CellGrid{2, 4}}) {
    const int64_t limit = int64_t{1} << (grid.levels * grid.bits - 1);
    Cell cells[kMostCells];
    for (int64_t low = -limit; low < limit; low += 3)
      for (int64_t high = low; high < limit; high += 5) {
        const int count = CoverRange(low, high, grid, kMostCells, cells);
        ASSERT_GT(count, 0);
        for (int64_t unit = -limit; unit < limit; unit++)
          ASSERT_EQ(Covers(cells, count, unit, grid), unit >= low && unit <= high)
              << unit << " in " << low << ".." << high;
      }
  }
}

// The cells of a row meet those of a range if, and only if, the unit lies in what the range was rounded to.
TEST(Cells, ARowMeetsTheRoundedRangeOnly) {
  std::mt19937_64 random(7);
  Cell cells[kMostCells];
  for (int round = 0; round < 200000; round++) {
    const CellGrid grid = kGrids[random() % std::size(kGrids)];
    const int64_t low = AnyUnit(random), high = AnyUnit(random);
    const int count = CoverRange(low, high, grid, kMostCells, cells);
    if (low > high) {
      ASSERT_EQ(count, 0);
      continue;
    }
    ASSERT_GE(count, 1);
    ASSERT_LE(count, kMostCells);
    const Extent extent = ExtentOf(cells, count, grid);
    ASSERT_EQ(extent.units, Units(extent.first, extent.last)) << "a gap in " << low << ".." << high;
    ASSERT_LE(extent.first, ClampUnit(low, grid));
    ASSERT_GE(extent.last, ClampUnit(high, grid));
    const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    const int64_t between = static_cast<int64_t>(static_cast<uint64_t>(low) + (span ? random() % span : 0));
    const int64_t units[] = {low, high, between, extent.first, extent.last, kFirstUnit, kLastUnit, AnyUnit(random)};
    for (int64_t unit : units) {
      const int64_t clamped = ClampUnit(unit, grid);
      ASSERT_EQ(Covers(cells, count, unit, grid), clamped >= extent.first && clamped <= extent.last)
          << unit << " in " << low << ".." << high << ", " << grid.levels << " levels";
    }
    ASSERT_FALSE(extent.first != ClampUnit(kFirstUnit, grid) && Covers(cells, count, extent.first - 1, grid));
    ASSERT_FALSE(extent.last != ClampUnit(kLastUnit, grid) && Covers(cells, count, extent.last + 1, grid));
  }
}

TEST(Cells, ARangeOfFewUnitsIsNotRounded) {
  std::mt19937_64 random(8);
  Cell cells[kMostCells];
  for (CellGrid grid : {kGrids[0], kGrids[3], kGrids[6]})
    for (int round = 0; round < 20000; round++) {
      const int64_t low = ClampUnit(AnyUnit(random), grid), length = static_cast<int64_t>(random() % kMostCells);
      if (low > ClampUnit(kLastUnit, grid) - length) continue;
      const Extent extent = ExtentOf(cells, CoverRange(low, low + length, grid, kMostCells, cells), grid);
      ASSERT_EQ(extent.first, low);
      ASSERT_EQ(extent.last, low + length);
    }
}

TEST(Cells, LongRangesAreRoundedByLittle) {
  Cell cells[kMostCells];
  auto worst_of = [&](CellGrid grid) {
    double worst = 1;
    auto look = [&](int64_t low, int64_t high) {
      const Extent extent = ExtentOf(cells, CoverRange(low, high, grid, kMostCells, cells), grid);
      const double units = static_cast<double>(Units(extent.first, extent.last) - 1) + 1;
      worst = std::max(worst, units / static_cast<double>(Units(low, high)));
    };
    for (int64_t low = -700; low < 700; low++)
      for (int64_t length = kMostCells; length < 1200; length += 1 + length / 64) look(low, low + length);
    std::mt19937_64 random(9);
    for (int round = 0; round < 100000; round++) {
      const int64_t low = ClampUnit(AnyUnit(random), grid), high = ClampUnit(AnyUnit(random), grid);
      if (low < high && Units(low, high) > kMostCells) look(low, high);
    }
    return worst;
  };
  EXPECT_LT(worst_of({16, 4}), 1.02);
  EXPECT_LT(worst_of({8, 4}), 1.02);
  EXPECT_LT(worst_of({7, 3}), 1.001);
  EXPECT_LT(worst_of({13, 5}), 1.25);
}

// How many cells fill a range, counted from the other side: a cell is needed if it lies within and that above does not.
int CellsThatFill(int64_t low, int64_t high, CellGrid grid) {
  int count = 0;
  for (int level = 0; level < grid.levels; level++) {
    const int64_t size = int64_t{1} << (grid.bits * level), above = size << grid.bits;
    for (int64_t first = low & ~(size - 1); first <= high; first += size) {
      const int64_t parent = first & ~(above - 1);
      const bool within = first >= low && first + size - 1 <= high;
      const bool with_parent = level + 1 < grid.levels && parent >= low && parent + above - 1 <= high;
      count += within && !with_parent;
    }
  }
  return count;
}

TEST(Cells, TheEndsAreRoundedNoFurtherThanNeeded) {
  constexpr CellGrid kGrid = {2, 5};
  std::mt19937_64 random(10);
  Cell cells[kMostCells];
  int rounded = 0;
  for (int round = 0; round < 2000; round++) {
    const int64_t low = static_cast<int64_t>(random() % 1000) - 500, high = low + static_cast<int64_t>(random() % 200);
    if (high > 511) continue;
    const Extent extent = ExtentOf(cells, CoverRange(low, high, kGrid, kMostCells, cells), kGrid);
    int64_t shortest = INT64_MAX;
    for (int64_t first = std::max<int64_t>(-512, low - 32); first <= low; first++)
      for (int64_t last = high; last <= std::min<int64_t>(511, high + 32) && last - first < shortest; last++)
        if (CellsThatFill(first, last, kGrid) <= kMostCells) shortest = last - first;
    ASSERT_EQ(extent.last - extent.first, shortest) << low << ".." << high;
    rounded += extent.units > Units(low, high);
  }
  EXPECT_GT(rounded, 50);
}

TEST(Cells, FewerCellsAreRoundedFurther) {
  std::mt19937_64 random(11);
  Cell cells[kMostCells];
  for (int round = 0; round < 100000; round++) {
    const CellGrid grid = kGrids[random() % std::size(kGrids)];
    const int64_t low = AnyUnit(random), high = AnyUnit(random);
    if (low > high) continue;
    const int most = 1 + static_cast<int>(random() % kMostCells);
    const int count = CoverRange(low, high, grid, most, cells);
    ASSERT_LE(count, most + 1);
    if (count > most) {
      Cell more[kMostCells];
      const int shift = grid.bits * (grid.levels - 1);
      ASSERT_GT((ClampUnit(high, grid) >> shift) - (ClampUnit(low, grid) >> shift) + 1, most);
      ASSERT_GT(CoverRange(low, high, grid, kMostCells, more), most);
      continue;
    }
    const Extent extent = ExtentOf(cells, count, grid);
    ASSERT_EQ(extent.units, Units(extent.first, extent.last));
    ASSERT_LE(extent.first, ClampUnit(low, grid));
    ASSERT_GE(extent.last, ClampUnit(high, grid));
  }
}

TEST(Cells, AGridOf64BitsReachesOverAll) {
  constexpr CellGrid kGrid = {16, 4};
  Cell cells[kMostCells];
  EXPECT_EQ(CoverRange(kFirstUnit, kLastUnit, kGrid, kMostCells, cells), 16);
  EXPECT_EQ(CoverRange(0, kLastUnit, kGrid, kMostCells, cells), 8);
  for (int64_t unit : {kFirstUnit, kFirstUnit + 1, int64_t{-1}, int64_t{0}, kLastUnit - 1, kLastUnit}) {
    ASSERT_EQ(ClampUnit(unit, kGrid), unit);
    ASSERT_EQ(CoverRange(unit, unit, kGrid, kMostCells, cells), 1);
    EXPECT_EQ(cells[0].level, 0);
    EXPECT_EQ(cells[0].index, unit);
  }
  const int count = CoverRange(kLastUnit - 2, kLastUnit, kGrid, kMostCells, cells);
  EXPECT_EQ(count, 3);
  EXPECT_FALSE(Covers(cells, count, kLastUnit - 3, kGrid));
  EXPECT_FALSE(Covers(cells, count, kFirstUnit, kGrid));
}

TEST(Cells, WhatLiesOutsideTheHighestLevelCountsToItsEnds) {
  constexpr CellGrid kGrid = {4, 3};
  Cell cells[kMostCells];
  const int count = CoverRange(kFirstUnit, -1, kGrid, kMostCells, cells);
  EXPECT_EQ(count, 4);  // half of the highest level
  EXPECT_TRUE(Covers(cells, count, INT64_MIN, kGrid));
  EXPECT_FALSE(Covers(cells, count, 0, kGrid));
  EXPECT_FALSE(Covers(cells, count, INT64_MAX, kGrid));
  EXPECT_EQ(CoverRange(kFirstUnit, kLastUnit, kGrid, kMostCells, cells), 8);
}

TEST(Cells, AnIndexNeverDecreases) {
  for (CellGrid grid : kGrids)
    for (int level = 0; level < grid.levels; level++) {
      auto index = [&](int64_t unit) { return CellIndex(ClampUnit(unit, grid), level, grid); };
      for (int64_t unit = -3000; unit < 3000; unit++) ASSERT_LE(index(unit), index(unit + 1));
      for (int64_t step = 0; step < 3000; step++) {
        ASSERT_LE(index(kFirstUnit + step), index(kFirstUnit + step + 1));
        ASSERT_LE(index(kLastUnit - step - 1), index(kLastUnit - step));
      }
    }
}

}  // namespace
}  // namespace aggcache
