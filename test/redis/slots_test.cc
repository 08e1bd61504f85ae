// Slots of keys, and what replies and errors say about them.

#include "redis/slots.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace aggcache {
namespace redis {
namespace {

int Slot(const std::string &key) { return SlotOfKey(key.data(), key.size()); }

// Expected numbers are what CLUSTER KEYSLOT of a real server answers.
TEST(SlotsTest, OfKeys) {
  EXPECT_EQ(Slot("123456789"), 12739);  // the CRC's own test: 0x31c3
  EXPECT_EQ(Slot("foo"), 12182);
  EXPECT_EQ(Slot("bar"), 5061);
  EXPECT_EQ(Slot(""), 0);
  EXPECT_EQ(Slot("{foo}bar"), Slot("foo"));
  EXPECT_EQ(Slot("a{foo}{bar}"), Slot("foo"));
  EXPECT_EQ(Slot("{{foo}}"), Slot("{foo"));
  EXPECT_NE(Slot("{}foo"), Slot("foo"));
  EXPECT_NE(Slot("{foo"), Slot("foo"));
}

struct Said {
  bool is_redirection, asks;
  int slot;
  std::string to;
};

Said Read(const char *text) {
  const Endpoint from{"10.0.0.9", 7000};
  Said said{};
  Endpoint to{};
  said.is_redirection = ReadRedirection(text, from, &said.asks, &said.slot, &to);
  if (said.is_redirection) said.to = std::string(to.host) + " " + std::to_string(to.port);
  return said;
}

TEST(SlotsTest, Redirections) {
  EXPECT_EQ(Read("MOVED 3999 127.0.0.1:6381").to, "127.0.0.1 6381");
  EXPECT_EQ(Read("MOVED 3999 127.0.0.1:6381").slot, 3999);
  EXPECT_FALSE(Read("MOVED 3999 127.0.0.1:6381").asks);
  EXPECT_TRUE(Read("ASK 3999 127.0.0.1:6381").asks);
  EXPECT_EQ(Read("MOVED 0 ::1:6381").to, "::1 6381");
  EXPECT_EQ(Read("MOVED 1 :6381").to, "10.0.0.9 6381");
  for (const char *text : {"", "MOVED", "MOVED 1", "MOVED 1 ", "MOVED 1 a", "MOVED 1 a:", "MOVED 1 a:0",
                           "MOVED 1 a:70000", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED x a:1", "MOVED 1 a:1x",
                           "ASKED 1 a:1", "CLUSTERDOWN The cluster is down"}) {
    EXPECT_FALSE(Read(text).is_redirection) << text;
  }
  EXPECT_FALSE(Read(("MOVED 1 " + std::string(300, 'h') + ":1").c_str()).is_redirection);
}

Reply Integer(int64_t value) { return Reply{Reply::Type::kInteger, value, nullptr, 0, nullptr, 0}; }
Reply String(const char *text) { return Reply{Reply::Type::kString, 0, text, strlen(text), nullptr, 0}; }
Reply Array(const Reply *elements, size_t count) { return Reply{Reply::Type::kArray, 0, nullptr, 0, elements, count}; }

TEST(SlotsTest, LinesOfTheMap) {
  const Endpoint asked{"10.0.0.9", 7000};
  int first, last;
  Endpoint master;
  const auto reads = [&](int64_t from, int64_t to, const Reply &host, const Reply &port) {
    const Reply node[] = {host, port, String("id")};
    const Reply line[] = {Integer(from), Integer(to), Array(node, 3)};
    return ReadSlots(Array(line, 3), asked, &first, &last, &master);
  };
  EXPECT_TRUE(reads(5, 16383, String("10.0.0.1"), Integer(7001)));
  EXPECT_EQ(first, 5);
  EXPECT_EQ(last, 16383);
  EXPECT_STREQ(master.host, "10.0.0.1");
  EXPECT_EQ(master.port, 7001);
  EXPECT_TRUE(reads(0, 0, String(""), Integer(7002)));
  EXPECT_STREQ(master.host, "10.0.0.9");
  EXPECT_EQ(master.port, 7002);
  EXPECT_TRUE(reads(0, 0, Reply{}, Integer(7003)));
  EXPECT_STREQ(master.host, "10.0.0.9");
  EXPECT_FALSE(reads(-1, 5, String("h"), Integer(1)));
  EXPECT_FALSE(reads(6, 5, String("h"), Integer(1)));
  EXPECT_FALSE(reads(6, 16384, String("h"), Integer(1)));
  EXPECT_FALSE(reads(0, 1, String("h"), Integer(0)));
  EXPECT_FALSE(reads(0, 1, String("h"), Integer(65536)));
  EXPECT_FALSE(reads(0, 1, Integer(1), Integer(1)));
  EXPECT_FALSE(reads(0, 1, String("h"), Reply{}));
  EXPECT_FALSE(reads(0, 1, String(std::string(256, 'h').c_str()), Integer(1)));
  EXPECT_FALSE(ReadSlots(Integer(1), asked, &first, &last, &master));
  EXPECT_FALSE(ReadSlots(Array(nullptr, 0), asked, &first, &last, &master));
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
