// A stamp as it is stored, in shared memory and in frames: 12 bytes instead of 16, at a multiple of 4 or anywhere.

#ifndef AGGCACHE_CORE_PACKED_STAMP_H
#define AGGCACHE_CORE_PACKED_STAMP_H

#include <cstdint>
#include <type_traits>

#include "core/stamp.h"

namespace aggcache {

// The slot with `immediate` and `alternative` as the upper bits (there are at most 2^30 slots), and the version.
struct PackedStamp {
  uint32_t slot;
  uint32_t version_low;
  uint32_t version_high;
};
static_assert(sizeof(PackedStamp) == 12 && std::is_trivially_copyable<PackedStamp>::value, "stamps are packed");
constexpr uint32_t kImmediateBit = 0x80000000;
constexpr uint32_t kAlternativeBit = 0x40000000;

inline PackedStamp Pack(const Stamp &stamp) noexcept {
  return {stamp.slot | (stamp.immediate ? kImmediateBit : 0) | (stamp.alternative ? kAlternativeBit : 0),
          static_cast<uint32_t>(stamp.version), static_cast<uint32_t>(stamp.version >> 32)};
}

inline Stamp Unpack(const PackedStamp &packed) noexcept {
  Stamp stamp;
  stamp.slot = packed.slot & ~(kImmediateBit | kAlternativeBit);
  stamp.immediate = (packed.slot & kImmediateBit) != 0;
  stamp.alternative = (packed.slot & kAlternativeBit) != 0;
  stamp.version = static_cast<uint64_t>(packed.version_high) << 32 | packed.version_low;
  return stamp;
}

}  // namespace aggcache

#endif
