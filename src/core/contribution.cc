// Keeps no state.

#include "core/contribution.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace aggcache {

namespace {

constexpr uint32_t kGroupHeader = 8;

uint32_t Padded(uint32_t size) { return (size + 7) & ~uint32_t{7}; }

uint32_t HeaderSize(uint32_t fields) { return Padded(1 + fields); }

uint32_t GroupSize(uint32_t key_size, uint32_t words) { return kGroupHeader + Padded(key_size) + 8 * words; }

uint32_t KeySizeAt(const unsigned char *group) {
  uint32_t size;
  memcpy(&size, group, sizeof(size));
  return size;
}

uint64_t *WordsAt(unsigned char *group, uint32_t key_size) {
  return reinterpret_cast<uint64_t *>(group + kGroupHeader + Padded(key_size));
}

// The shape that the bytes say they have; false if they say nothing that can be.
bool ReadShape(const unsigned char *bytes, uint32_t size, ContributionShape *shape) {
  if (size < 8 || bytes[0] == 0 || HeaderSize(bytes[0]) > size) return false;
  static_assert(sizeof(FieldKind) == 1, "kinds lie as they are");
  *shape = {reinterpret_cast<const FieldKind *>(bytes + 1), bytes[0]};
  for (uint32_t i = 0; i < shape->count; i++) {
    const int words = WordsOf(shape->fields[i]);
    if (words != 1 && words != 2 && words != 4) return false;
  }
  return true;
}

uint32_t HashOf(const unsigned char *key, uint32_t size) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (uint32_t i = 0; i < size; i++) hash = (hash ^ key[i]) * 0x100000001b3;
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

bool IsKey(const unsigned char *group, const unsigned char *key, uint32_t key_size) {
  return KeySizeAt(group) == key_size && memcmp(group + kGroupHeader, key, key_size) == 0;
}

bool AreZero(const uint64_t *words, uint32_t count) {
  return std::all_of(words, words + count, [](uint64_t word) { return word == 0; });
}

// Takes a group out; what follows moves up.
void RemoveGroup(unsigned char *sum, uint32_t *size, unsigned char *group, uint32_t group_size) {
  const uint32_t at = static_cast<uint32_t>(group - sum);
  memmove(group, group + group_size, *size - at - group_size);
  *size -= group_size;
}

}  // namespace

GroupIndex::GroupIndex(uint32_t *places) noexcept : places_(places) { std::fill(places, places + kPlaces, 0); }

uint32_t EmptyContribution(const ContributionShape &shape, unsigned char *out, uint32_t room) noexcept {
  assert(shape.count > 0 && shape.count <= kMaxFields);
  const uint32_t size = HeaderSize(shape.count);
  if (size > room) return 0;
  memset(out, 0, size);
  out[0] = static_cast<unsigned char>(shape.count);
  memcpy(out + 1, shape.fields, shape.count);
  return size;
}

uint64_t *FindGroup(const ContributionShape &shape, unsigned char *bytes, uint32_t *size, uint32_t room,
                    const unsigned char *key, uint32_t key_size, GroupIndex *index) noexcept {
  const uint32_t words = shape.Words();
  uint32_t place = 0;
  if (index) {
    place = HashOf(key, key_size) % GroupIndex::kPlaces;
    // there are fewer groups than places, as each takes 16 bytes or more
    for (; index->places_[place] != 0; place = (place + 1) % GroupIndex::kPlaces) {
      unsigned char *group = bytes + index->places_[place];
      if (IsKey(group, key, key_size)) return WordsAt(group, key_size);
    }
  } else {
    for (uint32_t at = HeaderSize(shape.count); at < *size; at += GroupSize(KeySizeAt(bytes + at), words))
      if (IsKey(bytes + at, key, key_size)) return WordsAt(bytes + at, key_size);
  }
  const uint64_t group_size = uint64_t{kGroupHeader} + key_size + 7 + 8 * uint64_t{words};
  if (group_size > room || *size + group_size > room || *size + group_size > kGroupHeader * GroupIndex::kPlaces)
    return nullptr;
  unsigned char *group = bytes + *size;
  memset(group, 0, GroupSize(key_size, words));
  memcpy(group, &key_size, sizeof(key_size));
  if (key_size > 0) memcpy(group + kGroupHeader, key, key_size);
  if (index) index->places_[place] = *size;
  *size += GroupSize(key_size, words);
  return WordsAt(group, key_size);
}

bool NextGroup(const ContributionShape &shape, unsigned char *bytes, uint32_t size, uint32_t *at,
               ContributionGroup *group) noexcept {
  ContributionShape said;
  if (!ReadShape(bytes, size, &said) || said.count != shape.count ||
      memcmp(said.fields, shape.fields, shape.count) != 0)
    return false;
  if (*at == 0) *at = HeaderSize(shape.count);
  if (*at + kGroupHeader > size) return false;
  unsigned char *here = bytes + *at;
  const uint32_t key_size = KeySizeAt(here);
  if (key_size > size || *at + uint64_t{GroupSize(key_size, shape.Words())} > size) return false;
  *group = {here + kGroupHeader, key_size, WordsAt(here, key_size)};
  *at += GroupSize(key_size, shape.Words());
  return true;
}

void AddWords(uint64_t *to, const uint64_t *from, int words, bool negative) noexcept {
  // minus x is its complement and one
  unsigned __int128 carry = negative ? 1 : 0;
  for (int i = 0; i < words; i++) {
    carry += static_cast<unsigned __int128>(to[i]) + (negative ? ~from[i] : from[i]);
    to[i] = static_cast<uint64_t>(carry);
    carry >>= 64;
  }
}

void AddSigned(uint64_t *to, int words, int64_t number) noexcept {
  uint64_t extended[4] = {static_cast<uint64_t>(number)};
  for (int i = 1; i < words; i++) extended[i] = number < 0 ? ~uint64_t{0} : 0;
  AddWords(to, extended, words, false);
}

bool AddContribution(void *, unsigned char *sum, uint32_t *size, uint32_t room, const unsigned char *contribution,
                     uint32_t contribution_size) noexcept {
  ContributionShape shape;
  if (!ReadShape(contribution, contribution_size, &shape)) return false;
  if (*size == 0) {
    *size = EmptyContribution(shape, sum, room);
    if (*size == 0) return false;
  }
  ContributionShape own;
  if (!ReadShape(sum, *size, &own) || own.count != shape.count || memcmp(own.fields, shape.fields, shape.count) != 0)
    return false;
  const uint32_t words = shape.Words();
  uint32_t at = 0;
  ContributionGroup group;
  // it is only read
  auto *bytes = const_cast<unsigned char *>(contribution);
  while (NextGroup(shape, bytes, contribution_size, &at, &group)) {
    uint64_t *to = FindGroup(own, sum, size, room, group.key, group.key_size, nullptr);
    if (to == nullptr) return false;
    const uint64_t *from = group.words;
    uint64_t *first = to;
    for (uint32_t i = 0; i < shape.count; i++) {
      const int count = WordsOf(shape.fields[i]);
      if (shape.fields[i] == FieldKind::kBits)
        *to ^= *from;
      else
        AddWords(to, from, count, false);
      to += count;
      from += count;
    }
    if (AreZero(first, words))
      RemoveGroup(sum, size, reinterpret_cast<unsigned char *>(first) - Padded(group.key_size) - kGroupHeader,
                  GroupSize(group.key_size, words));
  }
  return (at == 0 ? HeaderSize(shape.count) : at) == contribution_size;
}

}  // namespace aggcache
