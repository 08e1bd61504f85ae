// Frames as bytes, for tests that alter them: where the fields are, and a checksum that fits what was altered.

#ifndef AGGCACHE_TEST_FRAME_BYTES_H
#define AGGCACHE_TEST_FRAME_BYTES_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace aggcache {
namespace redis {

constexpr size_t kFrameHeader = 104;
constexpr size_t kFrameChecksum = 8;

constexpr size_t kMagicAt = 0, kVersionAt = 4, kFlagsAt = 8, kKeySizeAt = 12, kStampCountAt = 16, kRunningCountAt = 20,
                 kStoredSizeAt = 24, kValueSizeAt = 28, kBootAt = 32, kRowTypeAt = 48, kFunctionAt = 56, kXminAt = 64,
                 kXmaxAt = 72, kStoredAtAt = 80;

// Makes the checksum right. Does nothing to what is too short to have one.
inline void Reseal(unsigned char *frame, size_t size) {
  if (size < kFrameChecksum) return;
  const uint64_t checksum = XXH3_64bits(frame, size - kFrameChecksum);
  memcpy(frame + size - kFrameChecksum, &checksum, sizeof(checksum));
}

}  // namespace redis
}  // namespace aggcache

#endif
