// Tests of tags: equal sets of changes have equal tags, and sets that differ in any part have different ones.

#include "core/tag.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace aggcache {
namespace {

TEST(Tag, EveryPartCounts) {
  std::set<uint64_t> tags;
  int made = 0;
  auto add = [&](uint64_t tag) {
    tags.insert(tag);
    made++;
  };
  for (uint32_t database : {1u, 2u, 0xffffffffu})
    for (uint32_t relation : {1u, 2u, 0xffffffffu}) {
      add(WideTag(database, relation));
      add(TableTag(database, relation));
      add(SubtreeTag(database, relation));
      for (uint64_t watch : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
        const uint64_t key = WatchTag(database, relation, watch);
        add(key);
        for (int16_t attribute : {1, 2, 1600}) {
          add(WithNull(key, attribute));
          add(WithChange(key, attribute));
          for (uint32_t hash : {0u, 1u, 0xffffffffu}) add(WithColumn(key, attribute, hash));
        }
        add(WithChange(key, 0));
        for (int level : {0, 1, 9, 15})
          for (int64_t index : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{1} << 58, INT64_MAX})
            add(WithCell(key, level, index));
      }
    }
  EXPECT_EQ(tags.size(), static_cast<size_t>(made));
}

TEST(Tag, ColumnsAreOrdered) {
  const uint64_t key = WatchTag(1, 2, 3);
  EXPECT_NE(WithColumn(WithColumn(key, 1, 5), 2, 6), WithColumn(WithColumn(key, 1, 6), 2, 5));
  EXPECT_EQ(WithColumn(WithColumn(key, 1, 5), 2, 6), WithColumn(WithColumn(WatchTag(1, 2, 3), 1, 5), 2, 6));
}

TEST(Tag, LowBitsAreSpread) {
  // slots are chosen by the low bits; consecutive values must not share them
  std::set<uint64_t> slots;
  for (uint32_t value = 0; value < 1000; value++) slots.insert(WithColumn(WatchTag(1, 2, 3), 1, value) & 0xfffff);
  EXPECT_GT(slots.size(), 990u);
}

}  // namespace
}  // namespace aggcache
