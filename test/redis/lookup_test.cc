// Hosts that are named: looked up by the hosts file and by DNS, while nobody waits.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness.h"
#include "redis/lookup.h"

namespace aggcache {
namespace redis {
namespace {

class LookupTest : public ::testing::Test {
 protected:
  Driver Connect(const std::string &url, int64_t connect_timeout = kLong) {
    return Driver(url, connect_timeout, kLong, 4096, 1 << 20, names_.Address());
  }
  std::string UrlOf(const std::string &host) { return "redis://" + host + ":" + std::to_string(server_.Port()); }

  RedisServer server_{{}, true};
  NameServer names_{{{"redis.example", {"127.0.0.1"}},
                     {"two.example", {"127.0.0.2", "127.0.0.1"}},
                     {"six.example", {"::1"}},
                     {"empty.example", {}}}};
};

TEST_F(LookupTest, AddressesInNumbersNeedNobody) {
  for (const char *host : {"127.0.0.1", "::1", "10.1.2.3", "2001:db8::5"}) EXPECT_TRUE(HostLookup::IsNumeric(host));
  for (const char *host : {"localhost", "redis.example", "127.0.0.1.example", ""})
    EXPECT_FALSE(HostLookup::IsNumeric(host)) << host;
  names_.SetSilent(true);
  Driver driver = Connect(UrlOf("127.0.0.1"));
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_TRUE(names_.Questions().empty());
}

TEST_F(LookupTest, AsksTheNameServer) {
  Driver driver = Connect(UrlOf("redis.example"));
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_EQ(names_.Questions(), std::vector<std::string>{"A redis.example"});
  EXPECT_TRUE(driver.failures.empty());
}

TEST_F(LookupTest, ReadsTheHostsFile) {
  names_.SetSilent(true);
  Driver driver = Connect(UrlOf("localhost"));
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_TRUE(names_.Questions().empty());
}

TEST_F(LookupTest, TriesOneAddressAfterTheOther) {
  Driver driver = Connect(UrlOf("two.example"));
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_TRUE(driver.failures.empty());
  server_.Kill();
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!connect");
  ASSERT_FALSE(driver.failures.empty());
  EXPECT_EQ(driver.failures.back().text, "Connection refused");
}

TEST_F(LookupTest, AsksForIpv6IfThereIsNoIpv4) {
  Driver driver = Connect(UrlOf("six.example"));
  driver.Ask({"SET", "a", "1"});  // whether it can be reached depends on the machine
  const std::vector<std::string> expected = {"A six.example", "AAAA six.example"};
  EXPECT_EQ(names_.Questions(), expected);
}

TEST_F(LookupTest, HostsThatAreNotThereFail) {
  for (const std::string host : {"nobody.example", "empty.example"}) {
    Driver driver = Connect(UrlOf(host));
    EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!connect");
    ASSERT_EQ(driver.failures.size(), 1u);
    EXPECT_EQ(driver.failures[0].text.find("could not look up host \"" + host + "\": "), 0u) << driver.failures[0].text;
    EXPECT_EQ(driver->Deadline(), INT64_MAX);
  }
}

TEST_F(LookupTest, NobodyWaitsForASilentNameServer) {
  names_.SetSilent(true);
  Driver driver = Connect(UrlOf("redis.example"), 300000);
  const Ticket ticket = driver.Submit({"SET", "a", "1"});
  EXPECT_FALSE(driver->IsDone(ticket));
  Interest interests[4];
  ASSERT_EQ(driver->Interests(interests, 4), 1);
  EXPECT_TRUE(interests[0].readable);
  EXPECT_LT(driver->Deadline(), Now() + kLong);
  EXPECT_EQ(driver.Take(ticket), "!timeout");
  EXPECT_EQ(driver->Interests(interests, 4), 0);
  EXPECT_EQ(driver->Deadline(), INT64_MAX);
  // asked again by the next command
  names_.SetSilent(false);
  driver->SetTimeouts(kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
}

TEST_F(LookupTest, ALookUpCanBeLeft) {
  names_.SetSilent(true);
  Driver driver = Connect(UrlOf("redis.example"));
  driver->Forget(driver.Submit({"SET", "a", "1"}));
  EXPECT_FALSE(driver->IsIdle());
  driver->Close();
  EXPECT_TRUE(driver->IsIdle());
  Interest interest;
  EXPECT_EQ(driver->Interests(&interest, 1), 0);
  driver->Advance(Now());
  names_.SetSilent(false);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "(nil)");
}

TEST_F(LookupTest, AClientCanEndInTheMiddle) {
  names_.SetSilent(true);
  Driver driver = Connect(UrlOf("redis.example"));
  driver.Submit({"SET", "a", "1"});
}

TEST_F(LookupTest, AsksTheNextNameServer) {
  // nothing listens where the first would be
  Driver driver(UrlOf("redis.example"), kLong, kLong, 4096, 1 << 20,
                "127.0.0.1:" + std::to_string(FreePort()) + "," + names_.Address());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
}

TEST_F(LookupTest, NodesOfAClusterMayBeNamed) {
  RedisServer node({"--cluster-enabled", "yes", "--cluster-announce-hostname", "redis.example",
                    "--cluster-preferred-endpoint-type", "hostname"},
                   true);
  ASSERT_EQ(node.Command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"}), "+OK\r\n");
  Driver driver = Connect("redis-cluster://two.example:" + std::to_string(node.Port()));
  std::string answer;
  driver.Until([&] { return (answer = driver.Ask({"SET", "a", "1"})) != "!cluster"; });
  EXPECT_EQ(answer, "OK");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_EQ(names_.Questions().back(), "A redis.example");
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
