// The tags by which results are ended wherever they are kept.

#include "core/endings.h"

#include <gtest/gtest.h>

#include <vector>

#include "stamp_fixture.h"

namespace aggcache {
namespace {

constexpr uint32_t kDatabase = 5;
constexpr uint32_t kFunction = 16384;
constexpr uint64_t kHash = 0x123456789abcdef0u;

// With so many slots no two tags of these tests share one.
constexpr uint32_t kManySlots = 1 << 16;

class EndingsTest : public StampTest {
 protected:
  EndingsTest() : slots_(kManySlots), table_(slots_.data(), kManySlots, &start_) {}

  // Stamps of a stored result that rests on one tag besides.
  std::vector<Stamp> Settled() {
    std::vector<Stamp> stamps(2 + Endings::kStamps);
    table_.MakeStamps(TableTag(kDatabase, 7), false, stamps.data());
    uint32_t count = 2;
    Endings::Append(table_, kDatabase, kFunction, kHash, stamps.data(), &count);
    EXPECT_EQ(count, 2 + Endings::kStamps);
    const OwnedSnapshot snapshot(110, 110, {});
    EXPECT_EQ(table_.SettleAll(stamps.data(), &count, snapshot.Get(), As(kNoXid)), StampCheck::kValid);
    stamps.resize(count);
    return stamps;
  }

  bool AreOver(const std::vector<Stamp> &stamps) {
    return Endings::AreOver(table_, stamps.data(), static_cast<uint32_t>(stamps.size()));
  }

  std::vector<StampSlot> slots_;
  StampTable table_;
};

TEST_F(EndingsTest, AreNotOverAtFirstNorAfterWrites) {
  const std::vector<Stamp> stamps = Settled();
  EXPECT_FALSE(AreOver(stamps));
  EXPECT_TRUE(table_.Register(stamps[0].slot, As(120)));
  EXPECT_FALSE(AreOver(stamps));
}

TEST_F(EndingsTest, EachTagEndsTheResult) {
  for (uint64_t tag :
       {DatabaseTag(kDatabase), FunctionTag(kDatabase, kFunction), CallTag(kDatabase, kFunction, kHash)}) {
    const std::vector<Stamp> stamps = Settled();
    ASSERT_TRUE(table_.Expire(tag));
    EXPECT_TRUE(AreOver(stamps));
    EXPECT_FALSE(AreOver(Settled())) << "one that is stored afterwards";
  }
}

TEST_F(EndingsTest, OtherTagsDoNot) {
  const std::vector<Stamp> stamps = Settled();
  ASSERT_TRUE(table_.Expire(TableTag(kDatabase, 7)));
  ASSERT_TRUE(table_.Expire(CallTag(kDatabase, kFunction, kHash + 1)));
  EXPECT_FALSE(AreOver(stamps));
}

TEST_F(EndingsTest, OneStampOfATagIsEnough) {
  std::vector<Stamp> stamps = Settled();
  stamps.erase(stamps.end() - 1);
  EXPECT_FALSE(AreOver(stamps));
  ASSERT_TRUE(table_.Expire(CallTag(kDatabase, kFunction, kHash)));
  EXPECT_TRUE(AreOver(stamps));
}

TEST_F(EndingsTest, WhatHasTooFewStampsIsOver) {
  const std::vector<Stamp> stamps = Settled();
  EXPECT_TRUE(Endings::AreOver(table_, stamps.data() + 6, 2));
  EXPECT_TRUE(Endings::AreOver(table_, nullptr, 0));
}

}  // namespace
}  // namespace aggcache
