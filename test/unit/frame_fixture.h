// What tests of frames share: results to be written, and what reads frames and compares.

#ifndef AGGCACHE_TEST_FRAME_FIXTURE_H
#define AGGCACHE_TEST_FRAME_FIXTURE_H

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "frame_bytes.h"
#include "redis/frame.h"

namespace aggcache {
namespace redis {

// So that a failed comparison says which code.
inline void PrintTo(FrameCode code, std::ostream *to) {
  static const char *const kNames[] = {"kOk",        "kTruncated", "kOtherVersion", "kAltered",
                                       "kMalformed", "kOtherBoot", "kOtherRowType", "kOtherKey",
                                       "kTooLarge",  "kNoMemory",  "kCount"};
  *to << kNames[static_cast<int>(code)];
}

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

inline Stamp StampOf(uint32_t slot, uint64_t version, bool immediate = false, bool alternative = false) {
  Stamp stamp;
  stamp.slot = slot;
  stamp.version = version;
  stamp.immediate = immediate;
  stamp.alternative = alternative;
  return stamp;
}

inline Result Small() {
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

inline uint32_t NumberAt(const Bytes &frame, size_t at) {
  uint32_t number;
  memcpy(&number, frame.data() + at, sizeof(number));
  return number;
}

}  // namespace redis
}  // namespace aggcache

#endif
