// Contributions: numbers of one, two and four words and bits, by groups; adding in any order; room; bytes that are no
// contribution.

#include "core/contribution.h"

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace aggcache {
namespace {

constexpr FieldKind kFields[] = {FieldKind::kOneWord, FieldKind::kTwoWords, FieldKind::kFourWords, FieldKind::kBits};
constexpr ContributionShape kShape = {kFields, 4};
constexpr uint32_t kWords = 8;

struct Bytes {
  alignas(8) unsigned char data[4096];
  uint32_t size;

  Bytes() : size(EmptyContribution(kShape, data, sizeof(data))) {}

  uint64_t *Words(const std::string &key) {
    return FindGroup(kShape, data, &size, sizeof(data), reinterpret_cast<const unsigned char *>(key.data()),
                     static_cast<uint32_t>(key.size()), nullptr);
  }

  // A row, or `sign` -1: one that goes.
  void Add(const std::string &key, int64_t number, int64_t sign = 1) {
    uint64_t *words = Words(key);
    AddSigned(words, 1, sign);
    AddSigned(words + 1, 2, sign * number);
    AddSigned(words + 3, 4, sign * number);
    words[7] ^= static_cast<uint64_t>(number);
  }

  bool AddTo(Bytes *sum) const {
    return AddContribution(nullptr, sum->data, &sum->size, sizeof(sum->data), data, size);
  }

  std::map<std::string, std::vector<uint64_t>> Groups() {
    std::map<std::string, std::vector<uint64_t>> groups;
    uint32_t at = 0;
    ContributionGroup group;
    while (NextGroup(kShape, data, size, &at, &group))
      groups[std::string(reinterpret_cast<const char *>(group.key), group.key_size)] =
          std::vector<uint64_t>(group.words, group.words + kWords);
    return groups;
  }
};

TEST(Contribution, NumbersOfAnyWidthAreSigned) {
  Bytes bytes;
  bytes.Add("a", -5);
  const std::vector<uint64_t> words = bytes.Groups()["a"];
  const uint64_t minus_five = static_cast<uint64_t>(-5), ones = ~uint64_t{0};
  EXPECT_EQ(words, (std::vector<uint64_t>{1, minus_five, ones, minus_five, ones, ones, ones, minus_five}));
}

TEST(Contribution, CarriesGoFromWordToWord) {
  uint64_t to[4] = {~uint64_t{0}, ~uint64_t{0}, 7, 0};
  const uint64_t one[4] = {1, 0, 0, 0};
  AddWords(to, one, 4, false);
  EXPECT_EQ(to[0], 0U);
  EXPECT_EQ(to[1], 0U);
  EXPECT_EQ(to[2], 8U);
  AddWords(to, one, 4, true);
  EXPECT_EQ(to[0], ~uint64_t{0});
  EXPECT_EQ(to[1], ~uint64_t{0});
  EXPECT_EQ(to[2], 7U);
}

TEST(Contribution, GroupsThatComeToNothingGo) {
  Bytes sum, add, take;
  add.Add("a", 3);
  add.Add("bb", 4);
  add.Add("", 5);
  take.Add("bb", 4, -1);
  ASSERT_TRUE(add.AddTo(&sum));
  EXPECT_EQ(sum.Groups().size(), 3U);
  ASSERT_TRUE(take.AddTo(&sum));
  EXPECT_EQ(sum.Groups().size(), 2U);
  EXPECT_EQ(sum.Groups().count("bb"), 0U);
  EXPECT_EQ(sum.Groups().count(""), 1U);
}

TEST(Contribution, AGroupWithoutRowsStaysWhileItsNumbersDo) {
  Bytes sum, change;
  change.Add("a", 3, -1);
  change.Add("a", 10);
  ASSERT_TRUE(change.AddTo(&sum));
  EXPECT_EQ(sum.Groups()["a"][0], 0U);
  EXPECT_EQ(sum.Groups()["a"][1], 7U);
}

TEST(Contribution, AnEmptySumTakesTheShape) {
  Bytes add, sum;
  add.Add("a", 1);
  sum.size = 0;
  ASSERT_TRUE(add.AddTo(&sum));
  EXPECT_EQ(sum.Groups(), add.Groups());
}

TEST(Contribution, OrderMakesNoDifference) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; round++) {
    std::vector<Bytes> parts(6);
    for (Bytes &part : parts)
      for (int i = 0; i < 4; i++)
        part.Add(std::string(random() % 4, 'k'), static_cast<int64_t>(random()) - (1 << 30), random() % 2 ? 1 : -1);
    Bytes forward, backward;
    for (const Bytes &part : parts) ASSERT_TRUE(part.AddTo(&forward));
    for (size_t i = parts.size(); i > 0; i--) ASSERT_TRUE(parts[i - 1].AddTo(&backward));
    EXPECT_EQ(forward.Groups(), backward.Groups());
  }
}

TEST(Contribution, TheIndexFindsWhatASearchFinds) {
  std::vector<uint32_t> places(GroupIndex::kPlaces, 99);
  GroupIndex index(places.data());
  std::vector<uint64_t> memory(65536 / 8);
  auto *bytes = reinterpret_cast<unsigned char *>(memory.data());
  uint32_t size = EmptyContribution(kShape, bytes, 65536);
  std::mt19937 random(11);
  int added = 0;
  for (int i = 0; i < 3000; i++) {
    const std::string key = std::to_string(random() % 600);
    const auto *begin = reinterpret_cast<const unsigned char *>(key.data());
    uint64_t *words = FindGroup(kShape, bytes, &size, 65536, begin, static_cast<uint32_t>(key.size()), &index);
    ASSERT_NE(words, nullptr);
    EXPECT_EQ(words, FindGroup(kShape, bytes, &size, 65536, begin, static_cast<uint32_t>(key.size()), nullptr));
    words[0]++;
    added++;
  }
  uint32_t at = 0;
  ContributionGroup group;
  while (NextGroup(kShape, bytes, size, &at, &group)) added -= static_cast<int>(group.words[0]);
  EXPECT_EQ(added, 0);
}

TEST(Contribution, WithoutRoomNothingIsAdded) {
  Bytes add, sum;
  add.Add("a", 1);
  uint32_t size = sum.size;
  EXPECT_FALSE(AddContribution(nullptr, sum.data, &size, sum.size + 40, add.data, add.size));
  unsigned char small[4];
  EXPECT_EQ(EmptyContribution(kShape, small, sizeof(small)), 0U);
}

TEST(Contribution, BytesThatAreNoContributionAreRefused) {
  Bytes add, sum;
  add.Add("a", 1);
  EXPECT_FALSE(AddContribution(nullptr, sum.data, &sum.size, sizeof(sum.data), add.data, add.size - 1));
  EXPECT_FALSE(AddContribution(nullptr, sum.data, &sum.size, sizeof(sum.data), add.data, 3));
  Bytes other = add;
  other.data[1] = 3;  // no kind
  EXPECT_FALSE(AddContribution(nullptr, sum.data, &sum.size, sizeof(sum.data), other.data, other.size));
  other = add;
  other.data[2] = 1;  // another shape
  Bytes fresh;
  EXPECT_FALSE(AddContribution(nullptr, fresh.data, &fresh.size, sizeof(fresh.data), other.data, other.size));
  other = add;
  const uint32_t longer = 5000;
  memcpy(other.data + 8, &longer, sizeof(longer));  // the key's size
  EXPECT_FALSE(AddContribution(nullptr, fresh.data, &fresh.size, sizeof(fresh.data), other.data, other.size));
}

}  // namespace
}  // namespace aggcache
