// The tags by which results can be ended wherever copies of them are: those of the database, of the function, and of
// the one call (tag.h). Nothing registers in them; who ends results lets them expire (StampTable::Expire).
//
// A result that is kept outside of shared memory carries them as its last stamps. A copy that comes back shows by them
// whether it was ended meanwhile, which no staleness makes good.

#ifndef AGGCACHE_CORE_ENDINGS_H
#define AGGCACHE_CORE_ENDINGS_H

#include "core/stamp.h"
#include "core/stamp_list.h"
#include "core/tag.h"

namespace aggcache {

class Endings {
 public:
  // Stamps that Append adds.
  static constexpr uint32_t kStamps = 6;

  // Puts the stamps of a call's endings behind the first `count` ones. REQUIRES: room for kStamps more.
  static void Append(const StampTable &table, uint32_t database, uint32_t function, uint64_t key_hash, Stamp *stamps,
                     uint32_t *count) noexcept {
    const uint64_t tags[kTags] = {DatabaseTag(database), FunctionTag(database, function),
                                  CallTag(database, function, key_hash)};
    for (uint64_t tag : tags) {
      table.MakeStamps(tag, false, stamps + *count);
      *count += 2;
    }
  }

  // Whether a result with these stamps, the endings last, has been ended since it was stored. Settling may have left
  // one stamp of a tag. True if there are fewer stamps than endings have.
  static bool AreOver(const StampTable &table, const Stamp *stamps, uint32_t count) noexcept {
    uint32_t first = count;
    for (int tag = 0; tag < kTags; tag++) {
      do {
        if (first-- == 0) return true;
      } while (stamps[first].alternative);
    }
    ListIsDead dead(table);
    for (uint32_t i = first; i < count && dead.Next(stamps[i]); i++) {
    }
    return dead.Answer();
  }

 private:
  static constexpr int kTags = 3;
};

}  // namespace aggcache

#endif
