// ParseUrl and MaskUrl: what is accepted and what it means, what is refused.

#include "redis/url.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace aggcache {
namespace redis {
namespace {

Target Parsed(const std::string &url) {
  Target target;
  const char *problem = ParseUrl(url.c_str(), &target);
  EXPECT_EQ(problem, nullptr) << url << ": " << problem;
  return target;
}

std::string Refusal(const std::string &url) {
  Target target;
  const char *problem = ParseUrl(url.c_str(), &target);
  return problem != nullptr ? problem : "";
}

std::string Masked(const std::string &url) {
  char masked[512];
  return MaskUrl(url.c_str(), "***", masked, sizeof masked) ? masked : "does not fit";
}

TEST(RedisUrlTest, SingleServer) {
  Target target = Parsed("redis://cache.example");
  EXPECT_EQ(target.topology, Topology::kSingle);
  EXPECT_FALSE(target.tls);
  EXPECT_EQ(target.seed_count, 1);
  EXPECT_STREQ(target.seeds[0].host, "cache.example");
  EXPECT_EQ(target.seeds[0].port, 6379);
  EXPECT_EQ(target.database, 0);
  EXPECT_STREQ(target.user, "");
  EXPECT_STREQ(target.password, "");

  target = Parsed("rediss://app:s%40crEt%2F@10.0.0.1:7000/15");
  EXPECT_TRUE(target.tls);
  EXPECT_STREQ(target.seeds[0].host, "10.0.0.1");
  EXPECT_EQ(target.seeds[0].port, 7000);
  EXPECT_EQ(target.database, 15);
  EXPECT_STREQ(target.user, "app");
  EXPECT_STREQ(target.password, "s@crEt/");

  EXPECT_EQ(Parsed("redis://h/").database, 0);
}

TEST(RedisUrlTest, CredentialsMayBeHalf) {
  Target target = Parsed("redis://:secret@h");
  EXPECT_STREQ(target.user, "");
  EXPECT_STREQ(target.password, "secret");
  target = Parsed("redis://app:@h");
  EXPECT_STREQ(target.user, "app");
  EXPECT_STREQ(target.password, "");
  target = Parsed("redis://:a@b:c@h");
  EXPECT_STREQ(target.password, "a@b:c");
  EXPECT_NE(Refusal("redis://secret@h"), "");
}

TEST(RedisUrlTest, AddressesInBrackets) {
  Target target = Parsed("redis://[::1]:6380/2");
  EXPECT_STREQ(target.seeds[0].host, "::1");
  EXPECT_EQ(target.seeds[0].port, 6380);
  EXPECT_EQ(target.database, 2);
  EXPECT_EQ(Parsed("redis://[fe80::1%eth0]").seeds[0].port, 6379);
  EXPECT_NE(Refusal("redis://[::1"), "");
  EXPECT_NE(Refusal("redis://::1"), "");
  EXPECT_NE(Refusal("redis://[::1]6379"), "");
}

TEST(RedisUrlTest, UnixSocket) {
  Target target = Parsed("unix:///run/redis/redis.sock?db=3");
  EXPECT_EQ(target.topology, Topology::kSingle);
  EXPECT_STREQ(target.seeds[0].host, "/run/redis/redis.sock");
  EXPECT_EQ(target.seeds[0].port, 0);
  EXPECT_EQ(target.database, 3);
  target = Parsed("unix://app:pw@/tmp/with%20space%3F");
  EXPECT_STREQ(target.seeds[0].host, "/tmp/with space?");
  EXPECT_STREQ(target.user, "app");
  EXPECT_STREQ(target.password, "pw");
  EXPECT_STREQ(Parsed("unix:///tmp/a@b").seeds[0].host, "/tmp/a@b");
  EXPECT_NE(Refusal("unix://run/redis.sock"), "");
  EXPECT_NE(Refusal("unix:///s?db="), "");
  EXPECT_NE(Refusal("unix:///s?database=1"), "");
  EXPECT_NE(Refusal("unix:///" + std::string(107, 'x')), "");
}

TEST(RedisUrlTest, Sentinels) {
  Target target = Parsed("redis-sentinel://:pw@s1,s2:5000,[::1]:5001/main/4");
  EXPECT_EQ(target.topology, Topology::kSentinel);
  ASSERT_EQ(target.seed_count, 3);
  EXPECT_STREQ(target.seeds[0].host, "s1");
  EXPECT_EQ(target.seeds[0].port, 26379);
  EXPECT_STREQ(target.seeds[1].host, "s2");
  EXPECT_EQ(target.seeds[1].port, 5000);
  EXPECT_STREQ(target.seeds[2].host, "::1");
  EXPECT_EQ(target.seeds[2].port, 5001);
  EXPECT_STREQ(target.master, "main");
  EXPECT_EQ(target.database, 4);
  EXPECT_EQ(Parsed("rediss-sentinel://s/main").tls, true);
  EXPECT_NE(Refusal("redis-sentinel://s1,s2"), "");
  EXPECT_NE(Refusal("redis-sentinel://s1//3"), "");
}

TEST(RedisUrlTest, Cluster) {
  Target target = Parsed("redis-cluster://a,b:7001,c");
  EXPECT_EQ(target.topology, Topology::kCluster);
  ASSERT_EQ(target.seed_count, 3);
  EXPECT_EQ(target.seeds[0].port, 6379);
  EXPECT_EQ(target.seeds[1].port, 7001);
  EXPECT_TRUE(Parsed("rediss-cluster://a/").tls);
  EXPECT_NE(Refusal("redis-cluster://a/0"), "");
  std::string many = "redis-cluster://a";
  for (int i = 0; i < 15; i++) many += ",a";
  EXPECT_EQ(Refusal(many), "");
  EXPECT_NE(Refusal(many + ",a"), "");
}

TEST(RedisUrlTest, Refusals) {
  for (const char *url : {"",
                          "redis",
                          "redis:",
                          "redis:/h",
                          "http://h",
                          "redis://",
                          "redis://:0",
                          "redis://h:",
                          "redis://h:0",
                          "redis://h:65536",
                          "redis://h:x",
                          "redis://h:1 ",
                          "redis://h/x",
                          "redis://h/-1",
                          "redis://h/65536",
                          "redis://h/1/2",
                          "redis://h?db=1",
                          "redis://h,i",
                          "redis://a b",
                          "redis://u:p%4@h",
                          "redis://u:p%00@h",
                          "redis://u:%zz@h",
                          "redis-cluster://a,",
                          "redis-cluster://,a",
                          "REDIS://h"}) {
    EXPECT_NE(Refusal(url), "") << url;
  }
  EXPECT_NE(Refusal("redis://" + std::string(256, 'h')), "");
  EXPECT_NE(Refusal("redis://" + std::string(128, 'u') + ":p@h"), "");
  EXPECT_NE(Refusal("redis://u:" + std::string(512, 'p') + "@h"), "");
  EXPECT_EQ(Refusal("redis://u:" + std::string(511, 'p') + "@h"), "");
}

// What is wrong is shown to whoever sets it, and logged.
TEST(RedisUrlTest, NoRefusalRepeatsThePassword) {
  for (const char *url : {"redis://u:hunter2@", "redis://u:hunter2%@h", "redis://hunter2@h", "redis://u:hunter2@h:x"}) {
    const std::string refusal = Refusal(url);
    EXPECT_NE(refusal, "") << url;
    EXPECT_EQ(refusal.find("hunter2"), std::string::npos) << refusal;
  }
}

TEST(RedisUrlTest, UnusedPartsAreZero) {
  Target first, second;
  memset(&first, 0xff, sizeof first);
  memset(&second, 0x11, sizeof second);
  ASSERT_EQ(ParseUrl("redis-sentinel://u:p@a,b/m/1", &first), nullptr);
  ASSERT_EQ(ParseUrl("redis-sentinel://u:p@a,b/m/1", &second), nullptr);
  EXPECT_EQ(memcmp(&first, &second, sizeof first), 0);
}

TEST(RedisUrlTest, Masks) {
  EXPECT_EQ(Masked("redis://u:secret@h:1/2"), "redis://u:***@h:1/2");
  EXPECT_EQ(Masked("redis://:se@cr:et@h"), "redis://:***@h");
  EXPECT_EQ(Masked("redis://h:1/2"), "redis://h:1/2");
  EXPECT_EQ(Masked("redis://u:@h"), "redis://u:@h");
  EXPECT_EQ(Masked("unix://:pw@/tmp/a@b?db=1"), "unix://:***@/tmp/a@b?db=1");
  EXPECT_EQ(Masked("redis-cluster://u:p@[::1]:7,b"), "redis-cluster://u:***@[::1]:7,b");
  char small[16];
  EXPECT_FALSE(MaskUrl("redis://u:p@h", "***", small, 15));
  EXPECT_TRUE(MaskUrl("redis://u:p@h", "***", small, 16));
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
