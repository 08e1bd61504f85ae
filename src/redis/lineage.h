// The life of the stamp slots that results in Redis refer to, as long as memory has not been copied.
//
// A random number made with the slots tells one start of a server from another. A copy of a running machine, with its
// memory, has the same number, and both go on from there: what one stores is nothing to the other. So the identity also
// rests on what such a copy is likely to change: `place`, a hash of what the system says of the machine, the kernel and
// the containers that the server runs in, and the distance between the clock of the day and the clock since the boot,
// which only jumps when somebody sets the clock, as is done after a machine was resumed.
//
// All atomics, in shared memory. Whoever finds something changed makes another identity; several at once make several,
// which costs misses.

#ifndef AGGCACHE_REDIS_LINEAGE_H
#define AGGCACHE_REDIS_LINEAGE_H

#include <atomic>
#include <cstdint>

namespace aggcache {
namespace redis {

struct Lineage {
  uint64_t boot[2];                  // random, written once before anyone reads it
  std::atomic<uint64_t> generation;  // grows into another one with each change
  std::atomic<uint64_t> place;
  std::atomic<int64_t> clock_distance;  // microseconds
};

constexpr int64_t kLargestDrift = 500000;

// Whether the clock has been set since the identity was made.
inline bool IsClockSet(const Lineage &lineage, int64_t clock_distance) noexcept {
  const int64_t moved = clock_distance - lineage.clock_distance.load(std::memory_order_relaxed);
  return moved > kLargestDrift || moved < -kLargestDrift;
}

// Makes another identity if the place or the clock is another one. `random` is new. Returns whether it did.
bool Follow(Lineage *lineage, uint64_t place, int64_t clock_distance, uint64_t random) noexcept;

// The identity of now.
void IdentityOf(const Lineage &lineage, uint64_t identity[2]) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
