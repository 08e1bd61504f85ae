// Frames: what is read is what was written, and what cannot be had is an answer.

#include "redis/frame.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "frame_fixture.h"

// Memory that cannot be had is an answer, not the end of the test, under sanitizers too.
extern "C" const char *__asan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=1024"; }
extern "C" const char *__tsan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=1024"; }

namespace aggcache {
namespace redis {
namespace {

// --- what fits ---

TEST_F(FrameTest, WhatWasWrittenIsRead) {
  const Result result = Small();
  const Bytes frame = result.Encode();
  ASSERT_EQ(Decode(frame, result), FrameCode::kOk);
  ExpectContents(result);
}

TEST_F(FrameTest, NothingAtAllIsAResult) {
  Result empty;
  empty.key.clear();
  empty.rest.snapshot.xmin = empty.rest.snapshot.xmax = 5;
  const Bytes frame = empty.Encode(0);
  EXPECT_EQ(frame.size(), kFrameHeader + kFrameChecksum);
  for (size_t offset : {0, 3}) {
    ASSERT_EQ(Decode(frame, empty, offset), FrameCode::kOk);
    ExpectContents(empty);
  }
}

TEST_F(FrameTest, RandomRoundTrips) {
  std::mt19937_64 random(20264);
  const auto below = [&random](uint64_t n) { return static_cast<uint32_t>(random() % n); };
  int compressed = 0;
  for (int round = 0; round < 3000; round++) {
    Result result;
    result.boot[0] = random();
    result.row_type = random();
    result.function = random();
    result.key.assign(below(64), static_cast<char>(random()));
    result.rest.snapshot.xmin = random() >> below(60);
    result.rest.snapshot.xmax = result.rest.snapshot.xmin + below(100);
    const Xid span = result.rest.snapshot.xmax - result.rest.snapshot.xmin;
    if (span > 0)
      for (uint32_t i = below(8) == 0 ? kMaxRunning : below(8); i > 0; i--)
        result.running.push_back(result.rest.snapshot.xmin + random() % span);
    for (uint32_t i = below(8) == 0 ? 1000 : below(10); i > 0; i--)
      result.stamps.push_back(StampOf(below(kSlots), random(), below(2) == 0, !result.stamps.empty() && below(2) == 0));
    const uint32_t repeats = 1 + below(4) * 50;  // one: noise, which cannot be compressed
    for (uint32_t i = below(below(10) == 0 ? 5000 : 50); i > 0; i--)
      result.value.append(repeats, static_cast<char>(random()));
    result.rest.stored_at = static_cast<int64_t>(random());
    result.rest.expires_at = static_cast<int64_t>(random());
    const Bytes frame = result.Encode(below(2) == 0 ? 0 : 200);
    compressed += NumberAt(frame, kFlagsAt) & 1;
    ASSERT_EQ(Decode(frame, result, below(9), result.value.size()), FrameCode::kOk) << round;
    ExpectContents(result);
    if (HasFailure()) return;
  }
  EXPECT_GT(compressed, 500);
  EXPECT_LT(compressed, 2500);
}

TEST_F(FrameTest, AlignedFramesStayInPlace) {
  Result result = Small();
  for (size_t key_size = 0; key_size < 16; key_size++) {
    result.key.assign(key_size, 'k');
    const Bytes frame = result.Encode();
    ASSERT_EQ(Decode(frame, result), FrameCode::kOk);
    EXPECT_EQ(static_cast<const unsigned char *>(contents_.value) + result.value.size() + kFrameChecksum,
              at_ + frame.size());
    EXPECT_EQ(scratch_.size, result.stamps.size() * sizeof(Stamp));
    ASSERT_EQ(Decode(frame, result, 4), FrameCode::kOk);
    EXPECT_GE(static_cast<const unsigned char *>(contents_.value), scratch_.bytes);
    ExpectContents(result);
  }
}

TEST_F(FrameTest, CompressesWhatPays) {
  Result result = Small();
  result.value.assign(1000, 'x');
  EXPECT_LT(result.Encode(1000).size(), 300u);
  EXPECT_GT(result.Encode(1001).size(), 1000u);
  // Of n bytes of noise and zeros besides, about the noise is left; a quarter must be saved.
  std::mt19937 random(1);
  for (size_t noise : {0, 400, 720, 770, 1000}) {
    result.value.assign(1000, 'x');
    for (size_t i = 0; i < noise; i++) result.value[i] = static_cast<char>(random());
    const Bytes frame = result.Encode(0);
    EXPECT_EQ(NumberAt(frame, kFlagsAt), noise < 750 ? 1u : 0u) << noise;
    if (noise < 750) {
      EXPECT_LE(NumberAt(frame, kStoredSizeAt), 750u);
    }
    ASSERT_EQ(Decode(frame, result), FrameCode::kOk);
    ExpectContents(result);
  }
}

TEST_F(FrameTest, FramesFollowEachOtherInABuffer) {
  Buffer out;
  std::vector<std::pair<size_t, Result>> written;
  for (int i = 0; i < 100; i++) {
    Result result = Small();
    result.value.assign(static_cast<size_t>(i), static_cast<char>(i));
    written.emplace_back(out.size, result);
    ASSERT_EQ(EncodeFrame(result.Identity(), result.Contents(), 20, &out), FrameCode::kOk);
    ASSERT_LE(out.size, out.capacity);
  }
  written.emplace_back(out.size, Result());
  for (size_t i = 0; i + 1 < written.size(); i++) {
    const Bytes frame(out.bytes + written[i].first, out.bytes + written[i + 1].first);
    ASSERT_EQ(Decode(frame, written[i].second), FrameCode::kOk);
    ExpectContents(written[i].second);
  }
  out.Free();
  EXPECT_EQ(out.bytes, nullptr);
  EXPECT_EQ(out.size + out.capacity, 0u);
}

// --- what cannot be had ---

TEST_F(FrameTest, EncodingWhatNoFrameHolds) {
  Result result = Small();
  FrameContents contents = result.Contents();
  contents.value_size = uint64_t{UINT32_MAX} + 1;
  Buffer out;
  EXPECT_EQ(EncodeFrame(result.Identity(), contents, 0, &out), FrameCode::kTooLarge);
  out.size = out.capacity = SIZE_MAX - 10;
  EXPECT_EQ(EncodeFrame(result.Identity(), result.Contents(), 0, &out), FrameCode::kTooLarge);
}

TEST_F(FrameTest, NoMemoryIsAnAnswer) {
  const Result result = Small();
  Buffer out;
  out.size = out.capacity = SIZE_MAX / 2;
  EXPECT_EQ(EncodeFrame(result.Identity(), result.Contents(), 0, &out), FrameCode::kNoMemory);
  EXPECT_EQ(out.size, SIZE_MAX / 2);
  EXPECT_EQ(out.capacity, SIZE_MAX / 2);
  EXPECT_EQ(out.bytes, nullptr);

  // A frame that claims two gigabytes, and is large enough to.
  Result large = Small();
  large.value.assign(size_t{9} << 20, 'v');
  Bytes frame = large.Encode();
  frame = With(frame, kFlagsAt, uint32_t{1});
  EXPECT_EQ(Decode(With(frame, kValueSizeAt, uint32_t{0x7e000001}), large, 0, UINT64_MAX), FrameCode::kMalformed);
  frame = With(frame, kValueSizeAt, uint32_t{0x7e000000});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit less = {rlim_t{1} << 30, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &less), 0);
#endif
  EXPECT_EQ(Decode(frame, large, 0, UINT64_MAX), FrameCode::kNoMemory);
  EXPECT_EQ(Decode(large.Encode(), large, 0, UINT64_MAX), FrameCode::kOk);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
#endif
}

TEST(BufferTest, ReserveKeepsWhatIsUsed) {
  Buffer buffer;
  ASSERT_TRUE(buffer.Reserve(0));
  EXPECT_EQ(buffer.bytes, nullptr);
  for (size_t i = 0; i < 10000; i++) {
    ASSERT_TRUE(buffer.Reserve(i + 1));
    ASSERT_GE(buffer.capacity, i + 1);
    buffer.bytes[buffer.size++] = static_cast<unsigned char>(i * 7);
  }
  EXPECT_LT(buffer.capacity, 20000u);
  EXPECT_FALSE(buffer.Reserve(SIZE_MAX));
  for (size_t i = 0; i < 10000; i++) ASSERT_EQ(buffer.bytes[i], static_cast<unsigned char>(i * 7));
  buffer.Free();
  buffer.Free();
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
