// The client and Sentinels: a real failover, and Sentinels that are down, silent, ignorant or wrong.

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>

#include "harness.h"

namespace aggcache {
namespace redis {
namespace {

// Sends one command again until it is answered so; what fails meanwhile may fail.
void AskUntil(Driver *driver, const std::vector<std::string> &words, const std::string &answer) {
  const int64_t give_up = Now() + kLong;
  while (driver->Ask(words) != answer) {
    ASSERT_LT(Now(), give_up) << words[0];
    usleep(5000);
  }
}

// A master, its replica and one Sentinel, which decides alone. A master that is only slow is not down for it.
class SentinelTest : public testing::Test {
 protected:
  void SetUp() override {
    master_ = std::make_unique<RedisServer>(std::vector<std::string>{}, true);
    replica_ = std::make_unique<RedisServer>(
        std::vector<std::string>{"--replicaof", "127.0.0.1", std::to_string(master_->Port())}, true);
    replica_->WaitFor({"ROLE"}, "connected");
    const std::string file = directory_.Path() + "/sentinel.conf";
    std::ofstream(file) << "sentinel monitor main 127.0.0.1 " << master_->Port() << " 1\n"
                        << "sentinel down-after-milliseconds main 600000\nsentinel failover-timeout main 2000\n";
    sentinel_ = std::make_unique<RedisServer>(std::vector<std::string>{"--sentinel", file}, true);
    sentinel_->WaitFor({"SENTINEL", "REPLICAS", "main"}, "slave-priority");
  }

  std::string Url(const std::string &before = "") const {
    return "redis-sentinel://" + before + sentinel_->Address() + "/main";
  }

  TemporaryDirectory directory_;
  std::unique_ptr<RedisServer> master_, replica_, sentinel_;
};

TEST_F(SentinelTest, FollowsAFailover) {
  Driver driver(Url("127.0.0.1:1,"));  // the first one is down
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_NE(master_->Command({"GET", "a"}).find("1"), std::string::npos);
  EXPECT_TRUE(driver.failures.empty());
  const Ticket ticket = driver.Submit({"GET", "a"});
  EXPECT_EQ(driver.Take(ticket), "1");
  master_->Kill();
  sentinel_->Command({"SENTINEL", "SET", "main", "down-after-milliseconds", "200"});
  AskUntil(&driver, {"SET", "b", "2"}, "OK");
  EXPECT_EQ(driver.Ask({"GET", "b"}), "2");
  EXPECT_NE(replica_->Command({"GET", "b"}).find("2"), std::string::npos);
  EXPECT_NE(replica_->Command({"ROLE"}).find("master"), std::string::npos);
}

// A master that becomes a replica while it runs: nothing fails.
TEST_F(SentinelTest, FollowsADemotion) {
  Driver driver(Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  sentinel_->WaitFor({"SENTINEL", "FAILOVER", "main"}, "OK");
  const int64_t give_up = Now() + kLong;
  for (int i = 0;
       sentinel_->Command({"SENTINEL", "get-master-addr-by-name", "main"}).find(std::to_string(replica_->Port())) ==
       std::string::npos;
       i++) {
    const std::string answer = driver.Ask({"SET", "n", std::to_string(i)});
    // while both are replicas, or the other one is not known yet
    EXPECT_TRUE(answer == "OK" || answer == "!readonly" || answer == "!cluster" || answer == "!connect") << answer;
    ASSERT_LT(Now(), give_up);
  }
  AskUntil(&driver, {"SET", "after", "1"}, "OK");
  EXPECT_NE(replica_->Command({"GET", "after"}).find("1"), std::string::npos);
}

std::string AddressReply(int port) {
  const std::string digits = std::to_string(port);
  return "*2\r\n$9\r\n127.0.0.1\r\n$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n";
}

// A Sentinel that says one thing to everybody.
std::function<void(int)> Says(const std::string &reply) {
  return [reply](int socket) {
    for (std::vector<std::string> request; !(request = ReadRequest(socket)).empty();) {
      SendText(socket, request[0] == "SENTINEL" ? reply : "+OK\r\n");
    }
  };
}

TEST(SentinelsTest, AsksUntilOneKnows) {
  RedisServer master({}, true), replica({"--replicaof", "127.0.0.1", std::to_string(master.Port())}, true);
  FakeServer knows(Says(AddressReply(master.Port())), true), ignorant(Says("*-1\r\n"), true),
      outdated(Says(AddressReply(replica.Port())), true), wrong(Says(AddressReply(1)), true),
      garbled(Says("*2\r\n:1\r\n:2\r\n"), true), error(Says("-IDONTKNOW\r\n"), true);
  const std::string urls[] = {ignorant.Address(), outdated.Address(), wrong.Address(), garbled.Address(),
                              error.Address()};
  for (const std::string &first : urls) {
    Driver driver("redis-sentinel://" + first + "," + knows.Address() + "/main", kLong, kLong);
    EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK") << first;
    EXPECT_TRUE(driver.failures.empty());
    Driver alone("redis-sentinel://" + first + "/main", kLong, kLong);
    const Ticket one = alone.Submit({"GET", "a"}), other = alone.Submit({"GET", "a"});
    EXPECT_EQ(alone.Take(one).substr(0, 1), "!");
    EXPECT_EQ(alone.Take(other).substr(0, 1), "!");
    EXPECT_EQ(alone.failures.size(), 2u);
    EXPECT_TRUE(alone->IsIdle());
  }
  Driver all("redis-sentinel://" + urls[0] + "," + urls[1] + "," + urls[2] + "," + urls[3] + "," + urls[4] + "," +
                 knows.Address() + "/main",
             kLong, kLong);
  EXPECT_EQ(all.Ask({"GET", "a"}), "1");
}

// A silent Sentinel costs its share of the connect timeout, and is not asked first the next time.
TEST(SentinelsTest, ASilentOne) {
  RedisServer master({}, true);
  FakeServer silent([](int socket) { ReadRequest(socket), ReadRequest(socket), ReadRequest(socket); }, true),
      knows(Says(AddressReply(master.Port())), true);
  Driver driver("redis-sentinel://" + silent.Address() + "," + knows.Address() + "/main", kLong, kLong);
  const Ticket ticket = driver.Submit({"SET", "a", "1"});
  while (silent.Connections() == 0) usleep(1000);
  driver.LetPass(kLong / 2);
  EXPECT_EQ(driver.Take(ticket), "OK");
  driver->Close();
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_EQ(silent.Connections(), 1);
  Driver alone("redis-sentinel://" + silent.Address() + "/main", 50000, kLong);
  EXPECT_EQ(alone.Ask({"GET", "a"}), "!timeout");
}

// READONLY is the first sign of a failover when the old master lives on: who is the master now gets the command.
TEST(SentinelsTest, ReadOnlyMeansAskAgain) {
  RedisServer first({}, true), second({}, true);
  std::atomic<int> port{first.Port()};
  FakeServer sentinel([&port](int socket) { Says(AddressReply(port))(socket); }, true);
  Driver driver("redis-sentinel://" + sentinel.Address() + "/main", kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  first.Command({"REPLICAOF", "127.0.0.1", std::to_string(second.Port())});
  port = second.Port();
  const Ticket set = driver.Submit({"SET", "a", "2"}), get = driver.Submit({"GET", "a"});
  EXPECT_EQ(driver.Take(set), "OK");
  EXPECT_EQ(driver.Take(get), "2");
  EXPECT_TRUE(driver.failures.empty());
  EXPECT_NE(second.Command({"GET", "a"}).find("2"), std::string::npos);
  // and if it is one still, that is what went wrong
  second.Command({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(driver.Ask({"SET", "a", "3"}), "!cluster");
}

TEST(SentinelsTest, OneThatWantsThePassword) {
  RedisServer master({"--requirepass", "secret"}, true);
  const std::string address = AddressReply(master.Port());
  std::atomic<int> refused{0};
  FakeServer sentinel(
      [&](int socket) {
        bool in = false;
        for (std::vector<std::string> request; !(request = ReadRequest(socket)).empty();) {
          if (request[0] == "AUTH") in = request[1] == "secret";
          if (!in) refused++;
          SendText(socket, !in                        ? "-NOAUTH Authentication required.\r\n"
                           : request[0] == "SENTINEL" ? address
                                                      : "+OK\r\n");
        }
      },
      true);
  Driver driver("redis-sentinel://:secret@" + sentinel.Address() + "/main", kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(refused, 1);
  EXPECT_TRUE(driver.failures.empty());
}

TEST(SentinelsTest, ClosingWhileItAsks) {
  FakeServer silent([](int socket) { ReadRequest(socket), ReadRequest(socket), ReadRequest(socket); }, true);
  Driver driver("redis-sentinel://" + silent.Address() + "/main", kLong, kLong);
  const Ticket ticket = driver.Submit({"GET", "a"});
  driver.Submit({"GET", "b"});
  driver->Close();
  EXPECT_TRUE(driver->IsIdle());
  EXPECT_EQ(driver->FailureOf(ticket), Failure::kConnect);
  EXPECT_EQ(driver->Deadline(), INT64_MAX);
  driver.Submit({"GET", "a"});
  EXPECT_FALSE(driver->IsIdle());
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
