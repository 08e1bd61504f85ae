// Contributions: what rows add to an aggregate, as bytes that can be added up in any order (Adding of ledger.h).
//
//   fields   how many, and of each its kind; padded to 8 bytes. The same in all contributions of a ledger.
//   groups   for each: the size of its key (4 bytes) and 4 bytes of nothing, the key padded to 8 bytes, its words
//
// A field is a whole number of so many 64-bit words, the lowest first, in two's complement; or a word of bits that is
// added by exclusive or. Numbers wrap around: what is taken away later comes out right all the same. A group all of
// whose words are zero is left out. Functions are bounded, and neither fail nor allocate but where they say so.

#ifndef AGGCACHE_CORE_CONTRIBUTION_H
#define AGGCACHE_CORE_CONTRIBUTION_H

#include <cstddef>
#include <cstdint>

namespace aggcache {

enum class FieldKind : uint8_t { kOneWord = 1, kTwoWords = 2, kFourWords = 4, kBits = 0x81 };

constexpr uint32_t kMaxFields = 255;
constexpr int WordsOf(FieldKind kind) { return static_cast<int>(kind) & 0x7f; }

// How contributions of one kind are laid out.
struct ContributionShape {
  const FieldKind *fields = nullptr;
  uint32_t count = 0;

  uint32_t Words() const noexcept {
    uint32_t words = 0;
    for (uint32_t i = 0; i < count; i++) words += static_cast<uint32_t>(WordsOf(fields[i]));
    return words;
  }
};

// One group of a contribution: its key, and where its words are.
struct ContributionGroup {
  const unsigned char *key = nullptr;
  uint32_t key_size = 0;
  uint64_t *words = nullptr;
};

// Finds groups of one contribution by hash, so that adding many rows does not compare them with every group. In memory
// of the caller's, which it leaves as it is.
class GroupIndex {
 public:
  static constexpr uint32_t kPlaces = 16384;  // 64 kB
  // `places` has kPlaces. No group is known at first.
  explicit GroupIndex(uint32_t *places) noexcept;

 private:
  friend uint64_t *FindGroup(const ContributionShape &, unsigned char *, uint32_t *, uint32_t, const unsigned char *,
                             uint32_t, GroupIndex *) noexcept;
  uint32_t *places_;  // offset of a group; 0: none
};

// Writes a contribution without groups to `out`. Returns its size, or 0 if there is no room.
// REQUIRES: out lies at a multiple of 8, as all contributions do; 0 < shape.count <= kMaxFields.
uint32_t EmptyContribution(const ContributionShape &shape, unsigned char *out, uint32_t room) noexcept;

// Finds the words of a group in a contribution of *size bytes, and puts a group with words of zero at its end if there
// is none. NULL if there is no room for it. Without an index it looks at every group.
uint64_t *FindGroup(const ContributionShape &shape, unsigned char *bytes, uint32_t *size, uint32_t room,
                    const unsigned char *key, uint32_t key_size, GroupIndex *index) noexcept;

// Goes through the groups: *at is 0 at first. False at the end, and if the bytes are no contribution of that shape.
bool NextGroup(const ContributionShape &shape, unsigned char *bytes, uint32_t size, uint32_t *at,
               ContributionGroup *group) noexcept;

// Adds two's complement numbers of so many words; `from` negated if `negative`.
void AddWords(uint64_t *to, const uint64_t *from, int words, bool negative) noexcept;
// Adds one word as a signed number.
void AddSigned(uint64_t *to, int words, int64_t number) noexcept;

// Adding::add of ledger.h for contributions; `context` is not looked at.
bool AddContribution(void *context, unsigned char *sum, uint32_t *size, uint32_t room,
                     const unsigned char *contribution, uint32_t contribution_size) noexcept;

}  // namespace aggcache

#endif
