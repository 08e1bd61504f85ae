// Tests of cells: a cover holds exactly the cells of the units it should, at few cells.

#include "core/cells.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace aggcache {
namespace {

bool Covers(const Cell *cells, int count, int64_t unit, int levels) {
  int found = 0;
  for (int i = 0; i < count; i++)
    if (CellIndex(ClampUnit(unit, levels), cells[i].level) == cells[i].index) found++;
  EXPECT_LE(found, 1) << "cells overlap at " << unit;
  return found > 0;
}

TEST(Cells, EverySmallRangeIsCoveredExactly) {
  constexpr int kLevels = 3;
  const int64_t limit = 4 * 64;
  Cell cells[kMostCells];
  for (int64_t low = -limit; low < limit; low += 3)
    for (int64_t high = low; high < limit; high += 5) {
      const int count = CoverRange(low, high, kLevels, cells);
      ASSERT_GT(count, 0);
      for (int64_t unit = -limit; unit < limit; unit++)
        ASSERT_EQ(Covers(cells, count, unit, kLevels), unit >= low && unit <= high)
            << unit << " in " << low << ".." << high;
    }
}

TEST(Cells, ACoverNeverMissesAUnit) {
  std::mt19937_64 random(7);
  Cell cells[kMostCells];
  for (int round = 0; round < 200000; round++) {
    const int levels = 1 + static_cast<int>(random() % kMostCellLevels);
    const int shift = static_cast<int>(random() % 64);
    int64_t low = static_cast<int64_t>(random()) >> shift, high = static_cast<int64_t>(random()) >> shift;
    if (random() % 16 == 0) low = kFirstUnit;
    if (random() % 16 == 0) high = kLastUnit;
    const int count = CoverRange(low, high, levels, cells);
    if (low > high) {
      ASSERT_EQ(count, 0);
      continue;
    }
    ASSERT_LE(count, kMostCells);
    const uint64_t width = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    for (int i = 0; i < 4; i++) {
      const uint64_t step = width ? random() % width : 0;
      const int64_t unit = i == 0 ? low : i == 1 ? high : static_cast<int64_t>(static_cast<uint64_t>(low) + step);
      ASSERT_TRUE(Covers(cells, count, unit, levels)) << unit << " in " << low << ".." << high << ", " << levels;
    }
  }
}

TEST(Cells, WhatLiesOutsideTheHighestLevelCountsToItsEnds) {
  Cell cells[kMostCells];
  const int count = CoverRange(kFirstUnit, -1, 4, cells);
  EXPECT_EQ(count, 4);  // half of the highest level
  EXPECT_TRUE(Covers(cells, count, INT64_MIN, 4));
  EXPECT_FALSE(Covers(cells, count, 0, 4));
  EXPECT_FALSE(Covers(cells, count, INT64_MAX, 4));
  EXPECT_EQ(CoverRange(kFirstUnit, kLastUnit, 4, cells), 8);
}

TEST(Cells, TheEndsOfALongRangeAreRoundedByLittle) {
  // a month of hours, from an hour that no higher cell begins with: what lies a day beside it is not covered
  Cell cells[kMostCells];
  const int64_t low = 200001, high = low + 31 * 24 - 1;
  const int count = CoverRange(low, high, 7, cells);
  EXPECT_LE(count, kMostCells);
  EXPECT_FALSE(Covers(cells, count, high + 24, 7));
  EXPECT_FALSE(Covers(cells, count, low - 24, 7));
}

TEST(Cells, AnIndexNeverDecreases) {
  for (int level = 0; level < 5; level++)
    for (int64_t unit = -3000; unit < 3000; unit++)
      ASSERT_LE(CellIndex(ClampUnit(unit, 5), level), CellIndex(ClampUnit(unit + 1, 5), level));
}

}  // namespace
}  // namespace aggcache
