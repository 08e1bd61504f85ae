// Snapshot and the ids in it.

#include "core/snapshot.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace aggcache {
namespace {

constexpr Xid kEpoch = Xid{1} << 32;

TEST(WidenXid, IsTheIdWithin31BitsOfNext) {
  for (Xid next : {Xid{1000}, kEpoch / 2, kEpoch - 1, kEpoch, kEpoch + 3, 7 * kEpoch + kEpoch / 2, 7 * kEpoch - 2})
    for (Xid age : {Xid{0}, Xid{1}, Xid{2}, Xid{900}, kEpoch / 4, kEpoch / 2 - 1, kEpoch / 2}) {
      if (age >= next) continue;
      const Xid xid = next - age;
      EXPECT_EQ(WidenXid(static_cast<uint32_t>(xid), next), xid) << next << " - " << age;
      if (age == kEpoch / 2) continue;
      EXPECT_EQ(WidenXid(static_cast<uint32_t>(next + age), next), next + age);
    }
}

TEST(WidenXid, AcrossTheBoundary) {
  EXPECT_EQ(WidenXid(0xfffffff0U, 5 * kEpoch + 10), 4 * kEpoch + 0xfffffff0U);
  EXPECT_EQ(WidenXid(5, 5 * kEpoch + 10), 5 * kEpoch + 5);
  EXPECT_EQ(WidenXid(10, 5 * kEpoch + 10), 5 * kEpoch + 10);
}

// What a transaction that sat without a snapshot would get from what it read at its beginning: another id.
TEST(WidenXid, WithWhatWasReadLongAgo) {
  const Xid xid = 5 * kEpoch + 100;
  for (Xid passed : {kEpoch / 2 + 1, kEpoch, kEpoch + kEpoch / 2, 3 * kEpoch}) {
    EXPECT_EQ(WidenXid(static_cast<uint32_t>(xid), xid + 1), xid);
    EXPECT_NE(WidenXid(static_cast<uint32_t>(xid), xid - passed), xid);
  }
}

}  // namespace
}  // namespace aggcache
