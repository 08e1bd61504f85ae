// Frames: writing and reading. See frame.h for the contract.

#include "redis/frame.h"

#include <lz4.h>

#include <cstdlib>
#include <cstring>

// All of XXH3 is in the header, so nothing is linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/packed_stamp.h"

namespace aggcache {
namespace redis {

namespace {

constexpr uint32_t kMagic = 0x46434741;  // "AGCF" in memory, where the low byte comes first
constexpr uint32_t kVersion = 1;
constexpr uint32_t kCompressed = 1;  // the only flag

//      0       4         8       12         16            20              24            28           32
//     | magic | version | flags | key size | stamp count | running count | stored size | value size | boot (16 bytes) |
//      48         56         64     72     80          88           96     104
//     | row type | function | xmin | xmax | stored_at | expires_at | cost | key | stamps | padding | running ids |
//
//     | value | checksum |
//
// Stored size is what the value takes in the frame, value size what it is. Stamps are 12 bytes each and follow the key
// at once; the padding of zeros is as short as it can be for the running ids, and so the value, to begin at a multiple
// of 8. The checksum, 8 bytes, is over everything before it.
struct Header {
  uint32_t magic;
  uint32_t version;
  uint32_t flags;
  uint32_t key_size;
  uint32_t stamp_count;
  uint32_t running_count;
  uint32_t stored_size;
  uint32_t value_size;
  uint64_t boot[2];
  uint64_t row_type;
  uint64_t function;
  Xid xmin;
  Xid xmax;
  int64_t stored_at;
  int64_t expires_at;
  uint64_t cost_ns;
};
static_assert(offsetof(Header, key_size) == 12 && offsetof(Header, value_size) == 28, "as drawn above");
static_assert(offsetof(Header, boot) == 32 && offsetof(Header, row_type) == 48, "as drawn above");
static_assert(offsetof(Header, function) == 56 && offsetof(Header, stored_at) == 80, "as drawn above");
static_assert(offsetof(Header, cost_ns) == 96 && sizeof(Header) == 104, "as drawn above, without padding of its own");

constexpr size_t kChecksumSize = sizeof(XXH64_hash_t);
static_assert(kChecksumSize == 8 && sizeof(Xid) == 8, "as drawn above");

// Where the parts of a frame are. 64 bits hold the sum of any 32-bit counts: nothing here can overflow.
struct Layout {
  explicit Layout(const Header &header) noexcept
      : stamps(sizeof(Header) + uint64_t{header.key_size}),
        padding(stamps + uint64_t{header.stamp_count} * sizeof(PackedStamp)),
        running((padding + 7) / 8 * 8),
        value(running + uint64_t{header.running_count} * sizeof(Xid)),
        checksum(value + header.stored_size),
        end(checksum + kChecksumSize) {}

  uint64_t stamps;
  uint64_t padding;
  uint64_t running;
  uint64_t value;
  uint64_t checksum;
  uint64_t end;
};
static_assert(sizeof(Header) + uint64_t{UINT32_MAX} * (1 + sizeof(PackedStamp) + sizeof(Xid) + 1) < UINT64_MAX / 2,
              "no sum of parts overflows");

// Copies; the C library wants no null pointer even for no bytes. Returns `to`.
unsigned char *Copy(unsigned char *to, const void *from, size_t size) noexcept {
  if (size > 0) memcpy(to, from, size);
  return to;
}

// Compresses into at most three quarters of the value's size at `to`. Returns how many bytes; 0: it takes more.
uint32_t Compress(const void *value, uint32_t size, unsigned char *to) noexcept {
  if (size > LZ4_MAX_INPUT_SIZE) return 0;
  const int limit = static_cast<int>(size - (size + 3) / 4);
  return static_cast<uint32_t>(LZ4_compress_default(static_cast<const char *>(value), reinterpret_cast<char *>(to),
                                                    static_cast<int>(size), limit));
}

// Whether the sizes are such as EncodeFrame writes. LZ4 makes at most 255 bytes of one, so no small frame can claim,
// and be given, much memory.
bool SizesFit(const Header &header) noexcept {
  if (header.running_count > kMaxRunning) return false;
  if ((header.flags & ~kCompressed) != 0) return false;
  if ((header.flags & kCompressed) == 0) return header.stored_size == header.value_size;
  return header.stored_size < header.value_size && header.value_size <= LZ4_MAX_INPUT_SIZE &&
         header.value_size / 255 <= header.stored_size;
}

bool IsZero(const unsigned char *bytes, uint64_t size) noexcept {
  for (uint64_t i = 0; i < size; i++)
    if (bytes[i] != 0) return false;
  return true;
}

// Whether what was read is what the hit rule may be asked about.
bool UnpackStamps(const unsigned char *packed, uint32_t count, uint32_t slot_count, Stamp *stamps) noexcept {
  for (uint32_t i = 0; i < count; i++, packed += sizeof(PackedStamp)) {
    PackedStamp stamp;
    memcpy(&stamp, packed, sizeof(stamp));
    stamps[i] = Unpack(stamp);
    if (stamps[i].slot >= slot_count) return false;
  }
  return count == 0 || !stamps[0].alternative;
}

bool IsSnapshot(const Snapshot &snapshot) noexcept {
  if (snapshot.xmin > snapshot.xmax) return false;
  for (uint32_t i = 0; i < snapshot.running_count; i++)
    if (snapshot.running[i] < snapshot.xmin || snapshot.running[i] >= snapshot.xmax) return false;
  return true;
}

}  // namespace

bool Buffer::Reserve(size_t wanted) noexcept {
  if (wanted <= capacity) return true;
  // Half as much again, so that many small frames in a row are not copied over and over.
  size_t larger = capacity <= SIZE_MAX / 3 ? capacity + capacity / 2 : wanted;
  if (larger < wanted) larger = wanted;
  auto *moved = static_cast<unsigned char *>(malloc(larger));
  if (moved == nullptr && larger > wanted) moved = static_cast<unsigned char *>(malloc(larger = wanted));
  if (moved == nullptr) return false;
  Copy(moved, bytes, size);
  free(bytes);
  bytes = moved;
  capacity = larger;
  return true;
}

void Buffer::Free() noexcept {
  free(bytes);
  *this = Buffer();
}

FrameCode EncodeFrame(const FrameIdentity &identity, const FrameContents &contents, uint64_t compress_from,
                      Buffer *out) noexcept {
  if (contents.value_size > UINT32_MAX || contents.snapshot.running_count > kMaxRunning) return FrameCode::kTooLarge;
  Header header;
  header.magic = kMagic;
  header.version = kVersion;
  header.flags = 0;
  header.key_size = identity.key_size;
  header.stamp_count = contents.stamp_count;
  header.running_count = contents.snapshot.running_count;
  header.stored_size = header.value_size = static_cast<uint32_t>(contents.value_size);
  header.boot[0] = identity.boot[0];
  header.boot[1] = identity.boot[1];
  header.row_type = identity.row_type;
  header.function = identity.function;
  header.xmin = contents.snapshot.xmin;
  header.xmax = contents.snapshot.xmax;
  header.stored_at = contents.stored_at;
  header.expires_at = contents.expires_at;
  header.cost_ns = contents.cost_ns;

  const Layout layout(header);
  if (layout.end > SIZE_MAX - out->size) return FrameCode::kTooLarge;
  if (!out->Reserve(out->size + static_cast<size_t>(layout.end))) return FrameCode::kNoMemory;
  unsigned char *frame = out->bytes + out->size;

  Copy(frame + sizeof(header), identity.key, identity.key_size);
  unsigned char *at = frame + layout.stamps;
  for (uint32_t i = 0; i < contents.stamp_count; i++, at += sizeof(PackedStamp)) {
    const PackedStamp packed = Pack(contents.stamps[i]);
    memcpy(at, &packed, sizeof(packed));
  }
  memset(at, 0, layout.running - layout.padding);
  Copy(frame + layout.running, contents.snapshot.running, header.running_count * sizeof(Xid));
  if (header.value_size > 0 && header.value_size >= compress_from) {
    const uint32_t compressed = Compress(contents.value, header.value_size, frame + layout.value);
    if (compressed > 0) {
      header.flags |= kCompressed;
      header.stored_size = compressed;
    }
  }
  if ((header.flags & kCompressed) == 0) Copy(frame + layout.value, contents.value, header.value_size);
  memcpy(frame, &header, sizeof(header));
  const size_t summed = static_cast<size_t>(layout.value) + header.stored_size;
  const XXH64_hash_t checksum = XXH3_64bits(frame, summed);
  memcpy(frame + summed, &checksum, kChecksumSize);
  out->size += summed + kChecksumSize;
  return FrameCode::kOk;
}

FrameCode DecodeFrame(const void *bytes, size_t size, const FrameIdentity &identity, uint32_t slot_count, uint64_t most,
                      Buffer *scratch, FrameContents *contents) noexcept {
  if (size < sizeof(Header) + kChecksumSize) return FrameCode::kTruncated;
  const auto *frame = static_cast<const unsigned char *>(bytes);
  Header header;
  memcpy(&header, frame, sizeof(header));
  if (header.magic != kMagic || header.version != kVersion) return FrameCode::kOtherVersion;
  const Layout layout(header);
  if (layout.end > size) return FrameCode::kTruncated;
  XXH64_hash_t checksum;
  memcpy(&checksum, frame + size - kChecksumSize, kChecksumSize);
  if (XXH3_64bits(frame, size - kChecksumSize) != checksum) return FrameCode::kAltered;

  if (layout.end != size || !SizesFit(header) || !IsZero(frame + layout.padding, layout.running - layout.padding))
    return FrameCode::kMalformed;
  if (header.boot[0] != identity.boot[0] || header.boot[1] != identity.boot[1]) return FrameCode::kOtherBoot;
  if (header.row_type != identity.row_type) return FrameCode::kOtherRowType;
  if (header.function != identity.function || header.key_size != identity.key_size ||
      (header.key_size > 0 && memcmp(frame + sizeof(Header), identity.key, header.key_size) != 0))
    return FrameCode::kOtherKey;
  if (header.value_size > most) return FrameCode::kTooLarge;

  // Scratch: the stamps, then what cannot stay where it is of the running ids and the value, each aligned. In the frame
  // ids and value begin at a multiple of 8: they are aligned if the frame is.
  const bool is_aligned = reinterpret_cast<uintptr_t>(frame) % 8 == 0;
  const bool is_compressed = (header.flags & kCompressed) != 0;
  static_assert(sizeof(Stamp) % 8 == 0 && alignof(Stamp) <= 8, "ids can follow stamps");
  const uint64_t ids_at = uint64_t{header.stamp_count} * sizeof(Stamp);
  const uint64_t value_at = ids_at + (is_aligned ? 0 : uint64_t{header.running_count} * sizeof(Xid));
  const uint64_t wanted = value_at + (is_aligned && !is_compressed ? 0 : header.value_size);
  scratch->size = 0;
  if (wanted > SIZE_MAX || !scratch->Reserve(static_cast<size_t>(wanted))) return FrameCode::kNoMemory;
  scratch->size = static_cast<size_t>(wanted);

  FrameContents read;
  auto *stamps = reinterpret_cast<Stamp *>(scratch->bytes);
  if (!UnpackStamps(frame + layout.stamps, header.stamp_count, slot_count, stamps)) return FrameCode::kMalformed;
  read.stamps = stamps;
  read.stamp_count = header.stamp_count;

  const unsigned char *running = frame + layout.running;
  if (!is_aligned) running = Copy(scratch->bytes + ids_at, running, header.running_count * sizeof(Xid));
  read.snapshot.xmin = header.xmin;
  read.snapshot.xmax = header.xmax;
  read.snapshot.running = reinterpret_cast<const Xid *>(running);
  read.snapshot.running_count = header.running_count;
  if (!IsSnapshot(read.snapshot)) return FrameCode::kMalformed;

  const unsigned char *value = frame + layout.value;
  if (is_compressed) {
    // Reads no further than stored_size, writes no further than value_size, whatever the bytes.
    unsigned char *to = scratch->bytes + value_at;
    if (LZ4_decompress_safe(reinterpret_cast<const char *>(value), reinterpret_cast<char *>(to),
                            static_cast<int>(header.stored_size),
                            static_cast<int>(header.value_size)) != static_cast<int>(header.value_size))
      return FrameCode::kMalformed;
    value = to;
  } else if (!is_aligned) {
    value = Copy(scratch->bytes + value_at, value, header.value_size);
  }
  read.value = value;
  read.value_size = header.value_size;
  read.stored_at = header.stored_at;
  read.expires_at = header.expires_at;
  read.cost_ns = header.cost_ns;
  *contents = read;
  return FrameCode::kOk;
}

}  // namespace redis
}  // namespace aggcache
