// Frames: what is read is what was written, or it is refused for the right reason.

#include "redis/frame.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "frame_bytes.h"

// Memory that cannot be had is an answer, not the end of the test, under sanitizers too.
extern "C" const char *__asan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=1024"; }
extern "C" const char *__tsan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=1024"; }

namespace aggcache {
namespace redis {

// So that a failed comparison says which code.
void PrintTo(FrameCode code, std::ostream *to) {
  static const char *const kNames[] = {"kOk",        "kTruncated", "kOtherVersion", "kAltered",
                                       "kMalformed", "kOtherBoot", "kOtherRowType", "kOtherKey",
                                       "kTooLarge",  "kNoMemory",  "kCount"};
  *to << kNames[static_cast<int>(code)];
}

namespace {

constexpr uint32_t kSlots = 1024;
constexpr uint64_t kMost = 1 << 20;

using Bytes = std::vector<unsigned char>;

// A result with the memory that it points to.
struct Result {
  uint64_t boot[2] = {0x1111, 0x2222};
  uint64_t row_type = 0x3333;
  uint64_t function = 0x4444;
  std::string key = "a key";
  std::vector<Stamp> stamps;
  std::vector<Xid> running;
  std::string value;
  FrameContents rest;  // what points nowhere

  Result() {
    rest.snapshot.xmin = 100;
    rest.snapshot.xmax = 200;
    rest.stored_at = 1;
    rest.expires_at = 2;
    rest.cost_ns = 3;
  }

  FrameIdentity Identity() const {
    return {{boot[0], boot[1]}, row_type, function, key.data(), static_cast<uint32_t>(key.size())};
  }
  FrameContents Contents() const {
    FrameContents contents = rest;
    contents.snapshot.running = running.data();
    contents.snapshot.running_count = static_cast<uint32_t>(running.size());
    contents.stamps = stamps.data();
    contents.stamp_count = static_cast<uint32_t>(stamps.size());
    contents.value = value.data();
    contents.value_size = value.size();
    return contents;
  }
  Bytes Encode(uint64_t compress_from = UINT64_MAX) const {
    Buffer out;
    EXPECT_EQ(EncodeFrame(Identity(), Contents(), compress_from, &out), FrameCode::kOk);
    Bytes frame(out.bytes, out.bytes + out.size);
    out.Free();
    return frame;
  }
};

Stamp StampOf(uint32_t slot, uint64_t version, bool immediate = false, bool alternative = false) {
  Stamp stamp;
  stamp.slot = slot;
  stamp.version = version;
  stamp.immediate = immediate;
  stamp.alternative = alternative;
  return stamp;
}

Result Small() {
  Result result;
  result.stamps = {StampOf(1, 10), StampOf(2, UINT64_MAX - 1, true, true), StampOf(kSlots - 1, 30)};
  result.running = {100, 150, 199};
  result.value = "value";
  return result;
}

// Decodes from memory that ends where the frame does, so that ASan sees a look beyond it.
class FrameTest : public ::testing::Test {
 protected:
  ~FrameTest() override { scratch_.Free(); }

  FrameCode Decode(const Bytes &frame, const Result &as, size_t offset = 0, uint64_t most = kMost) {
    memory_ = std::make_unique<unsigned char[]>(frame.size() + offset);
    at_ = memory_.get() + offset;
    if (!frame.empty()) memcpy(at_, frame.data(), frame.size());
    contents_ = FrameContents();
    contents_.cost_ns = 987654321;
    const FrameCode code = DecodeFrame(at_, frame.size(), as.Identity(), kSlots, most, &scratch_, &contents_);
    if (code != FrameCode::kOk) {
      EXPECT_EQ(contents_.cost_ns, 987654321u) << "contents of a frame that was refused";
    }
    return code;
  }

  void ExpectContents(const Result &expected) {
    const FrameContents wanted = expected.Contents();
    EXPECT_EQ(contents_.snapshot.xmin, wanted.snapshot.xmin);
    EXPECT_EQ(contents_.snapshot.xmax, wanted.snapshot.xmax);
    EXPECT_EQ(
        std::vector<Xid>(contents_.snapshot.running, contents_.snapshot.running + contents_.snapshot.running_count),
        expected.running);
    ASSERT_EQ(contents_.stamp_count, expected.stamps.size());
    for (uint32_t i = 0; i < contents_.stamp_count; i++) {
      EXPECT_EQ(contents_.stamps[i].slot, expected.stamps[i].slot);
      EXPECT_EQ(contents_.stamps[i].version, expected.stamps[i].version);
      EXPECT_EQ(contents_.stamps[i].immediate, expected.stamps[i].immediate);
      EXPECT_EQ(contents_.stamps[i].alternative, expected.stamps[i].alternative);
    }
    EXPECT_EQ(contents_.stored_at, wanted.stored_at);
    EXPECT_EQ(contents_.expires_at, wanted.expires_at);
    EXPECT_EQ(contents_.cost_ns, wanted.cost_ns);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(contents_.value) % 8, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(contents_.snapshot.running) % 8, 0u);
    EXPECT_EQ(std::string(static_cast<const char *>(contents_.value), contents_.value_size), expected.value);
  }

  Buffer scratch_;
  std::unique_ptr<unsigned char[]> memory_;
  unsigned char *at_ = nullptr;
  FrameContents contents_;
};

template <typename Number>
Bytes With(Bytes frame, size_t at, Number number) {
  memcpy(frame.data() + at, &number, sizeof(number));
  Reseal(frame.data(), frame.size());
  return frame;
}

uint32_t NumberAt(const Bytes &frame, size_t at) {
  uint32_t number;
  memcpy(&number, frame.data() + at, sizeof(number));
  return number;
}

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

// --- what does not ---

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
