// Any bytes as a frame: DecodeFrame must hold what its header promises of them, and look at nothing else.
//
// The first byte of an input says how the rest is read (see Plan); so half of what the fuzzer makes up gets a checksum
// that fits, and half of that an identity that does, else it would never come to what lies behind.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fuzz.h"
#include "redis/frame.h"
#include "../unit/frame_bytes.h"

namespace {

using namespace aggcache;
using namespace aggcache::redis;

constexpr uint32_t kSlots = 1024;
constexpr char kKey[] = "key of the fuzzer";

struct Plan {
  explicit Plan(uint8_t byte)
      : reseals((byte & 1) != 0),
        claims((byte & 2) != 0),
        offset(byte >> 2 & 7),
        most((byte & 32) != 0 ? 64 : 1 << 20) {}
  bool reseals;     // makes the checksum right
  bool claims;      // asks for what the frame says it is
  unsigned offset;  // of the frame from a multiple of 8
  uint64_t most;
};

FrameIdentity IdentityFor(const Plan &plan, const unsigned char *frame, size_t size) {
  FrameIdentity identity = {{1, 2}, 3, 4, kKey, sizeof(kKey) - 1};
  if (!plan.claims || size < kFrameHeader) return identity;
  memcpy(&identity.boot, frame + kBootAt, sizeof(identity.boot));
  memcpy(&identity.row_type, frame + kRowTypeAt, sizeof(identity.row_type));
  memcpy(&identity.function, frame + kFunctionAt, sizeof(identity.function));
  uint32_t key_size;
  memcpy(&key_size, frame + kKeySizeAt, sizeof(key_size));
  if (key_size > size - kFrameHeader) return identity;
  identity.key = frame + kFrameHeader;
  identity.key_size = key_size;
  return identity;
}

void ExpectPromises(const FrameContents &contents, uint64_t most) {
  const Snapshot &snapshot = contents.snapshot;
  EXPECT(snapshot.xmin <= snapshot.xmax && snapshot.running_count <= kMaxRunning);
  for (uint32_t i = 0; i < snapshot.running_count; i++)
    EXPECT(snapshot.running[i] >= snapshot.xmin && snapshot.running[i] < snapshot.xmax);
  for (uint32_t i = 0; i < contents.stamp_count; i++) EXPECT(contents.stamps[i].slot < kSlots);
  EXPECT(contents.stamp_count == 0 || !contents.stamps[0].alternative);
  EXPECT(contents.value_size <= most);
  EXPECT(reinterpret_cast<uintptr_t>(contents.value) % 8 == 0);
}

void ExpectSame(const FrameContents &a, const FrameContents &b) {
  EXPECT(a.snapshot.xmin == b.snapshot.xmin && a.snapshot.xmax == b.snapshot.xmax);
  EXPECT(a.snapshot.running_count == b.snapshot.running_count);
  EXPECT(SameBytes(a.snapshot.running, b.snapshot.running, a.snapshot.running_count * sizeof(Xid)));
  EXPECT(a.stamp_count == b.stamp_count);
  for (uint32_t i = 0; i < a.stamp_count; i++)
    EXPECT(a.stamps[i].slot == b.stamps[i].slot && a.stamps[i].version == b.stamps[i].version &&
           a.stamps[i].immediate == b.stamps[i].immediate && a.stamps[i].alternative == b.stamps[i].alternative);
  EXPECT(a.stored_at == b.stored_at && a.expires_at == b.expires_at && a.cost_ns == b.cost_ns);
  EXPECT(a.value_size == b.value_size && SameBytes(a.value, b.value, a.value_size));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_size) {
  if (input_size == 0) return 0;
  const Plan plan(input[0]);
  const size_t size = input_size - 1;
  // Memory that ends with the frame, so that a look beyond is seen.
  auto *memory = static_cast<unsigned char *>(malloc(size + plan.offset + (size + plan.offset == 0)));
  unsigned char *frame = memory + plan.offset;
  if (size > 0) memcpy(frame, input + 1, size);
  if (plan.reseals) Reseal(frame, size);

  const FrameIdentity identity = IdentityFor(plan, frame, size);
  Buffer scratch;
  FrameContents contents;
  contents.cost_ns = 987654321;
  const FrameCode code = DecodeFrame(frame, size, identity, kSlots, plan.most, &scratch, &contents);
  EXPECT(code < FrameCode::kCount && code != FrameCode::kNoMemory);
  if (code != FrameCode::kOk) {
    EXPECT(contents.cost_ns == 987654321 && contents.value == nullptr);
  } else {
    ExpectPromises(contents, plan.most);
    // Written anew it is the same, byte for byte unless it was compressed.
    Buffer again, second_scratch;
    EXPECT(EncodeFrame(identity, contents, UINT64_MAX, &again) == FrameCode::kOk);
    uint32_t flags;
    memcpy(&flags, frame + kFlagsAt, sizeof(flags));
    if (flags == 0) EXPECT(again.size == size && SameBytes(again.bytes, frame, size));
    FrameContents second;
    EXPECT(DecodeFrame(again.bytes, again.size, identity, kSlots, plan.most, &second_scratch, &second) ==
           FrameCode::kOk);
    ExpectSame(contents, second);
    again.size = 0;
    EXPECT(EncodeFrame(identity, contents, 0, &again) == FrameCode::kOk);
    EXPECT(DecodeFrame(again.bytes, again.size, identity, kSlots, plan.most, &second_scratch, &second) ==
           FrameCode::kOk);
    ExpectSame(contents, second);
    again.Free();
    second_scratch.Free();
  }
  scratch.Free();
  free(memory);
  return 0;
}
