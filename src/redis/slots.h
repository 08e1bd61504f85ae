// What a cluster says about its slots, read from replies and errors.

#ifndef AGGCACHE_REDIS_SLOTS_H
#define AGGCACHE_REDIS_SLOTS_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"

namespace aggcache {
namespace redis {

constexpr int kSlots = 16384;

// The slot of a key: CRC16 (XMODEM) of the key, or of what stands in its first braces if that is something.
int32_t SlotOfKey(const void *key, size_t size) noexcept;

// Host and port, which may be a number or its digits. False: they are none.
bool ReadEndpoint(const Reply &host, const Reply &port, Endpoint *endpoint) noexcept;

// One line of CLUSTER SLOTS. A node without host has that of `asked`, who was asked. False: it is no such line.
bool ReadSlots(const Reply &line, const Endpoint &asked, int *first, int *last, Endpoint *master) noexcept;

// "MOVED 3999 127.0.0.1:6381" or "ASK …", said by a node at `from`. False: it is not.
bool ReadRedirection(const char *text, const Endpoint &from, bool *asks, int *slot, Endpoint *to) noexcept;

bool IsSame(const Endpoint &a, const Endpoint &b) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
