#include "redis/lineage.h"

namespace aggcache {
namespace redis {

namespace {

// The finaliser of splitmix64.
uint64_t Mix(uint64_t number) noexcept {
  number += 0x9e3779b97f4a7c15U;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9U;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebU;
  return number ^ (number >> 31);
}

}  // namespace

bool Follow(Lineage *lineage, uint64_t place, int64_t clock_distance, uint64_t random) noexcept {
  if (lineage->place.load(std::memory_order_relaxed) == place && !IsClockSet(*lineage, clock_distance)) return false;
  // First the identity: who finds place and clock as they are must not go on with the old one.
  uint64_t before = lineage->generation.load(std::memory_order_relaxed);
  uint64_t after;
  do {
    after = Mix(before ^ Mix(place ^ Mix(static_cast<uint64_t>(clock_distance) ^ random)));
    if (after == 0) after = 1;
  } while (!lineage->generation.compare_exchange_weak(before, after, std::memory_order_acq_rel));
  lineage->place.store(place, std::memory_order_release);
  lineage->clock_distance.store(clock_distance, std::memory_order_release);
  return true;
}

void IdentityOf(const Lineage &lineage, uint64_t identity[2]) noexcept {
  const uint64_t generation = lineage.generation.load(std::memory_order_acquire);
  for (int i = 0; i < 2; i++)
    identity[i] = generation == 0 ? lineage.boot[i] : Mix(lineage.boot[i] ^ Mix(generation + static_cast<uint64_t>(i)));
}

}  // namespace redis
}  // namespace aggcache
