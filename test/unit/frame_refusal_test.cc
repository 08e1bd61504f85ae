// Frames that are refused: broken on the way, written for another, or made to mislead. Each for the right reason.

#include "redis/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "frame_fixture.h"

namespace aggcache {
namespace redis {
namespace {

// --- what does not fit ---

TEST_F(FrameTest, EveryTruncationIsNoticed) {
  for (uint64_t compress_from : {UINT64_MAX, uint64_t{0}}) {
    Result result = Small();
    result.value.assign(64, 'v');
    const Bytes frame = result.Encode(compress_from);
    for (size_t size = 0; size < frame.size(); size++)
      EXPECT_EQ(Decode(Bytes(frame.begin(), frame.begin() + static_cast<long>(size)), result), FrameCode::kTruncated)
          << size;
  }
}

TEST_F(FrameTest, WhatFollowsIsNoticed) {
  const Result result = Small();
  for (size_t more : {1, 8, 100}) {
    Bytes frame = result.Encode();
    frame.resize(frame.size() + more);
    EXPECT_EQ(Decode(frame, result), FrameCode::kAltered);
    Reseal(frame.data(), frame.size());
    EXPECT_EQ(Decode(frame, result), FrameCode::kMalformed);
  }
}

TEST_F(FrameTest, EveryFlippedBitIsNoticed) {
  for (uint64_t compress_from : {UINT64_MAX, uint64_t{0}}) {
    Result result = Small();
    result.value.assign(64, 'v');
    Bytes frame = result.Encode(compress_from);
    for (size_t bit = 0; bit < frame.size() * 8; bit++) {
      frame[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
      const FrameCode code = Decode(frame, result);
      if (bit / 8 < kFlagsAt)
        EXPECT_EQ(code, FrameCode::kOtherVersion) << bit;
      else if (bit / 8 < kKeySizeAt || bit / 8 >= kBootAt)
        EXPECT_EQ(code, FrameCode::kAltered) << bit;
      else
        EXPECT_TRUE(code == FrameCode::kAltered || code == FrameCode::kTruncated) << bit;
      frame[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
    }
    ASSERT_EQ(Decode(frame, result), FrameCode::kOk);
  }
}

TEST_F(FrameTest, NoiseIsNoFrame) {
  std::mt19937 random(3);
  for (size_t size = 0; size < 400; size++) {
    Bytes noise(size);
    for (unsigned char &byte : noise) byte = static_cast<unsigned char>(random());
    EXPECT_EQ(Decode(noise, Small()),
              size < kFrameHeader + kFrameChecksum ? FrameCode::kTruncated : FrameCode::kOtherVersion);
  }
}

TEST_F(FrameTest, AnotherIdentity) {
  const Result written = Small();
  const Bytes frame = written.Encode();
  Result other = written;
  other.boot[0]++;
  EXPECT_EQ(Decode(frame, other), FrameCode::kOtherBoot);
  other = written;
  other.boot[1]++;
  other.row_type++;
  EXPECT_EQ(Decode(frame, other), FrameCode::kOtherBoot);
  other = written;
  other.row_type++;
  other.key = "other";
  EXPECT_EQ(Decode(frame, other), FrameCode::kOtherRowType);
  other = written;
  other.function++;
  EXPECT_EQ(Decode(frame, other), FrameCode::kOtherKey);
  for (const char *key : {"", "a", "a kez", "b key", "a key and more"}) {
    other = written;
    other.key = key;
    EXPECT_EQ(Decode(frame, other), FrameCode::kOtherKey) << key;
  }
  EXPECT_EQ(Decode(With(frame, kVersionAt, uint32_t{2}), written), FrameCode::kOtherVersion);
  EXPECT_EQ(Decode(With(frame, kMagicAt, uint32_t{0}), written), FrameCode::kOtherVersion);
}

TEST_F(FrameTest, AnotherBootWithMoreSlotsIsAnotherBoot) {
  Result written = Small();
  written.stamps[0].slot = kSlots + 5;
  Result other = written;
  other.boot[0]++;
  EXPECT_EQ(Decode(written.Encode(), other), FrameCode::kOtherBoot);
  EXPECT_EQ(Decode(written.Encode(), written), FrameCode::kMalformed);
}

TEST_F(FrameTest, ValuesBeyondTheMostAreRefused) {
  Result result = Small();
  result.value.assign(5000, 'v');
  for (uint64_t compress_from : {UINT64_MAX, uint64_t{0}}) {
    const Bytes frame = result.Encode(compress_from);
    EXPECT_EQ(Decode(frame, result, 0, 4999), FrameCode::kTooLarge);
    EXPECT_EQ(Decode(frame, result, 0, 5000), FrameCode::kOk);
  }
}

// --- what was made to fit ---

TEST_F(FrameTest, HostileSizes) {
  const Result result = Small();
  const Bytes frame = result.Encode();
  for (size_t at : {kKeySizeAt, kStampCountAt, kRunningCountAt, kStoredSizeAt, kValueSizeAt}) {
    const uint32_t was = NumberAt(frame, at);
    for (uint32_t hostile : {0u, 1u, was - 1, was + 1, was + 8, 0x7fffffffu, 0x80000000u, 0xfffffff8u, 0xffffffffu}) {
      const FrameCode code = Decode(With(frame, at, hostile), result);
      // The padding may make up for a byte of the key.
      EXPECT_TRUE(code == FrameCode::kTruncated || code == FrameCode::kMalformed ||
                  (at == kKeySizeAt && code == FrameCode::kOtherKey))
          << at << " " << hostile;
    }
  }
  Bytes all = frame;
  for (size_t at : {kKeySizeAt, kStampCountAt, kRunningCountAt, kStoredSizeAt, kValueSizeAt})
    all = With(all, at, UINT32_MAX);
  EXPECT_EQ(Decode(all, result), FrameCode::kTruncated);
  // Sizes that add up to the same: what is whose has changed.
  EXPECT_EQ(Decode(With(With(frame, kKeySizeAt, uint32_t{5 + 12}), kStampCountAt, uint32_t{2}), result),
            FrameCode::kOtherKey);
}

TEST_F(FrameTest, HostileFields) {
  Result result = Small();
  const Bytes frame = result.Encode();
  const size_t stamps = kFrameHeader + result.key.size();
  const size_t padding = stamps + 12 * result.stamps.size();
  const size_t running = (padding + 7) / 8 * 8;
  ASSERT_NE(padding, running);
  EXPECT_EQ(Decode(With(frame, kFlagsAt, uint32_t{2}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, kFlagsAt, uint32_t{0x80000000}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, padding, uint8_t{1}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, stamps, uint32_t{kSlots - 1}), result), FrameCode::kOk);
  EXPECT_EQ(Decode(With(frame, stamps, uint32_t{kSlots}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, stamps, uint32_t{0x3fffffff}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, stamps, uint32_t{0x40000001}), result), FrameCode::kMalformed)
      << "alternative to nothing";
  EXPECT_EQ(Decode(With(frame, running, Xid{99}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, running, Xid{200}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, kXminAt, Xid{201}), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, kXmaxAt, Xid{199}), result), FrameCode::kMalformed);
  result.running.clear();
  const Bytes without = result.Encode();
  EXPECT_EQ(Decode(With(without, kXminAt, Xid{200}), result), FrameCode::kOk);
  EXPECT_EQ(Decode(With(without, kXminAt, Xid{201}), result), FrameCode::kMalformed);
}

TEST_F(FrameTest, MoreIdsThanAllowed) {
  Result result = Small();
  result.running.assign(kMaxRunning, 100);
  Bytes frame = result.Encode();
  EXPECT_EQ(Decode(frame, result), FrameCode::kOk);
  result.running.push_back(100);
  Buffer out;
  EXPECT_EQ(EncodeFrame(result.Identity(), result.Contents(), 0, &out), FrameCode::kTooLarge);
  EXPECT_EQ(out.size, 0u);
  // as it would be written: one more of the same ids, before the others
  const size_t running = (kFrameHeader + result.key.size() + 12 * result.stamps.size() + 7) / 8 * 8;
  const Bytes id(frame.begin() + static_cast<long>(running), frame.begin() + static_cast<long>(running) + 8);
  frame.insert(frame.begin() + static_cast<long>(running), id.begin(), id.end());
  frame = With(frame, kRunningCountAt, uint32_t{kMaxRunning + 1});
  EXPECT_EQ(Decode(frame, result), FrameCode::kMalformed);
}

TEST_F(FrameTest, HostileCompression) {
  Result result = Small();
  result.value.assign(2000, 'v');
  const Bytes frame = result.Encode(0);
  ASSERT_EQ(NumberAt(frame, kFlagsAt), 1u);
  const uint32_t stored = NumberAt(frame, kStoredSizeAt);
  for (uint32_t size : {0u, stored - 1, stored, stored + 1, 1999u, 2001u, 255 * stored, 255 * stored + 255, 1u << 20})
    EXPECT_EQ(Decode(With(frame, kValueSizeAt, size), result), FrameCode::kMalformed) << size;
  EXPECT_EQ(Decode(With(frame, kValueSizeAt, 0xffffffffu), result, 0, UINT64_MAX), FrameCode::kMalformed);
  EXPECT_LT(scratch_.capacity, 100000u) << "memory for what the compressed bytes cannot give";
  EXPECT_EQ(Decode(With(frame, kFlagsAt, 0u), result), FrameCode::kMalformed);
  EXPECT_EQ(Decode(With(frame, kVersionAt, 1u), result), FrameCode::kOk);
  // Any byte of what is compressed: refused, or other bytes of the right size.
  for (size_t at = frame.size() - kFrameChecksum - stored; at < frame.size() - kFrameChecksum; at++)
    for (int byte = 0; byte < 256; byte++) {
      const FrameCode code = Decode(With(frame, at, static_cast<uint8_t>(byte)), result);
      ASSERT_TRUE(code == FrameCode::kMalformed || code == FrameCode::kOk);
      if (code == FrameCode::kOk) {
        EXPECT_EQ(contents_.value_size, 2000u);
      }
    }
}

// What is right for LZ4 but more than the value is nothing that EncodeFrame writes.
TEST_F(FrameTest, CompressedToMoreThanItWas) {
  Result result = Small();
  result.value =
      "\x30"
      "abc";
  Bytes frame = result.Encode();
  frame = With(frame, kFlagsAt, uint32_t{1});
  EXPECT_EQ(Decode(With(frame, kValueSizeAt, uint32_t{3}), result), FrameCode::kMalformed);
}

// Every flipped bit with a checksum that fits: what is still read keeps what the header promises.
TEST_F(FrameTest, ResealedBitsKeepTheContract) {
  for (uint64_t compress_from : {UINT64_MAX, uint64_t{0}}) {
    Result result = Small();
    result.value.assign(64, 'v');
    Bytes frame = result.Encode(compress_from);
    for (size_t bit = 0; bit < (frame.size() - kFrameChecksum) * 8; bit++) {
      const size_t byte = bit / 8;
      Bytes altered = frame;
      altered[byte] ^= static_cast<unsigned char>(1 << bit % 8);
      Reseal(altered.data(), altered.size());
      const FrameCode code = Decode(altered, result, bit % 3);
      if (byte < kBootAt) {
        EXPECT_NE(code, FrameCode::kOk) << bit;
      } else if (byte < kRowTypeAt) {
        EXPECT_EQ(code, FrameCode::kOtherBoot) << bit;
      } else if (byte < kFunctionAt) {
        EXPECT_EQ(code, FrameCode::kOtherRowType) << bit;
      } else if (byte < kXminAt || (byte >= kFrameHeader && byte < kFrameHeader + result.key.size())) {
        EXPECT_EQ(code, FrameCode::kOtherKey) << bit;
      } else if (byte >= kStoredAtAt && byte < kFrameHeader) {
        EXPECT_EQ(code, FrameCode::kOk) << bit;
      }
      if (code != FrameCode::kOk) continue;
      EXPECT_LE(contents_.snapshot.xmin, contents_.snapshot.xmax);
      EXPECT_EQ(contents_.value_size, 64u);
      for (uint32_t i = 0; i < contents_.stamp_count; i++) EXPECT_LT(contents_.stamps[i].slot, kSlots);
    }
  }
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
