// A result as the value of a Redis key: framed so that whatever comes back can be told from what was sent.
//
//     | magic | version | flags | sizes | who and when | key | stamps | running ids | value | checksum |
//
// Redis only holds bytes. Whether a value may be used is decided by its stamps against this server's slots, so a frame
// names the slots' life (`boot`) and the full key, and both are compared. A frame that is cut, altered, of another
// version, key, boot or row type is not used, and the code says which of them.
//
// Numbers are in the order of the machine: a frame is read by the server that wrote it, or not at all.
//
// The checksum (XXH3, 64 bits) finds damage, not intent. Who can write to Redis can make it right; a secret and a MAC
// around the frame are for that (pg/redis/secret.h). Nothing here reads beyond the bytes given, whatever they are.

#ifndef AGGCACHE_REDIS_FRAME_H
#define AGGCACHE_REDIS_FRAME_H

#include <cstddef>
#include <cstdint>

#include "core/snapshot.h"
#include "core/stamp.h"

namespace aggcache {
namespace redis {

// A growing block of memory whose growth can fail. Zeroed is empty.
struct Buffer {
  unsigned char *bytes = nullptr;
  size_t size = 0;      // used
  size_t capacity = 0;  // allocated

  bool Reserve(size_t wanted) noexcept;  // capacity >= wanted afterwards, the used bytes kept; false: no memory
  void Free() noexcept;                  // empty and zeroed afterwards
};

// Which values are this server's, and of which call.
struct FrameIdentity {
  uint64_t boot[2];   // the life of the stamp slots
  uint64_t row_type;  // fingerprint of the result's type and of how values lie in memory
  uint64_t function;  // database << 32 | function oid
  const void *key;    // compared in full
  uint32_t key_size;
};

struct FrameContents {
  Snapshot snapshot;
  const Stamp *stamps = nullptr;
  uint32_t stamp_count = 0;
  int64_t stored_at = 0;
  int64_t expires_at = 0;
  uint64_t cost_ns = 0;
  const void *value = nullptr;  // after decoding aligned to 8 bytes
  uint64_t value_size = 0;
};

// In the order of the checks: the first that applies is the answer. Before the checksum fits nothing is looked at but
// the version and the sizes. What only makes sense for this boot and key (slots, ids, what the value decompresses to)
// is looked at last, and is kMalformed too.
enum class FrameCode : uint8_t {
  kOk,
  kTruncated,     // shorter than it says, or than any frame
  kOtherVersion,  // not a frame, or of another version
  kAltered,       // the checksum does not fit
  kMalformed,     // the checksum fits, but sizes or fields contradict each other
  kOtherBoot,
  kOtherRowType,
  kOtherKey,  // or another function
  kTooLarge,  // the value is more than `most` bytes
  kNoMemory,
  kCount
};

// Writes a frame to the end of *out, compressing (LZ4) a value of at least `compress_from` bytes if that saves a
// quarter of it: for less, decompressing takes longer than what it saves. kNoMemory: *out is as it was. kTooLarge: more
// than a frame can hold, which is less than 4 GB of value, and kMaxRunning ids. REQUIRES: the contents are such as
// DecodeFrame gives, else it will refuse them.
FrameCode EncodeFrame(const FrameIdentity &identity, const FrameContents &contents, uint64_t compress_from,
                      Buffer *out) noexcept;

// Reads one. If kOk, *contents points into `bytes` and *scratch, which is overwritten, and is good as long as both are;
// else *contents is as it was. What has been compressed, or does not lie as it should, goes to *scratch, the rest stays
// in place. Of stamps and ids every number is as it should be: slots below `slot_count`, an alternative only after its
// tag's first stamp, xmin <= xmax, at most kMaxRunning ids, all in [xmin, xmax). REQUIRES: nothing of the bytes.
FrameCode DecodeFrame(const void *bytes, size_t size, const FrameIdentity &identity, uint32_t slot_count, uint64_t most,
                      Buffer *scratch, FrameContents *contents) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
