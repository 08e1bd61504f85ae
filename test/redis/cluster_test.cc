// The client and a Redis Cluster of three masters and three replicas: the map, slots that move, a master that is killed.

#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness.h"
#include "redis/slots.h"

namespace aggcache {
namespace redis {
namespace {

constexpr int kMasters = 3;

// One for all tests, which leave it whole. A node that is only slow is not down for the others: they would have to wait
// for longer than any test takes, and who takes over from a killed master is told so.
class ClusterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    for (int i = 0; i < 2 * kMasters; i++) {
      nodes_.push_back(std::make_unique<RedisServer>(
          std::vector<std::string>{"--cluster-enabled", "yes", "--cluster-node-timeout", "600000",
                                   "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"},
          true));
    }
    for (int i = 0; i < kMasters; i++) {
      const int first = kSlots * i / kMasters, last = kSlots * (i + 1) / kMasters - 1;
      Command(i, {"CLUSTER", "ADDSLOTSRANGE", std::to_string(first), std::to_string(last)});
      Command(i, {"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    }
    // each meets each: with so long a timeout news of others are slow
    for (int i = 0; i < 2 * kMasters; i++) {
      for (int j = 0; j < i; j++) Command(i, {"CLUSTER", "MEET", "127.0.0.1", std::to_string(Port(j))});
    }
    for (int i = 0; i < 2 * kMasters; i++) WaitFor(i, {"CLUSTER", "INFO"}, "cluster_known_nodes:6");
    for (const char *text : {"cluster_state:ok", "cluster_slots_assigned:16384"}) {
      for (int i = 0; i < 2 * kMasters; i++) WaitFor(i, {"CLUSTER", "INFO"}, text);
    }
    for (int i = 0; i < kMasters; i++) {
      WaitFor(kMasters + i, {"CLUSTER", "REPLICATE", Id(i)}, "OK");
      WaitFor(i, {"CLUSTER", "NODES"}, "slave " + Id(i));
      WaitFor(i, {"INFO", "replication"}, "state=online");
    }
  }
  static void TearDownTestSuite() { nodes_.clear(); }

  static std::string Command(int node, const std::vector<std::string> &words) {
    return nodes_[static_cast<size_t>(node)]->Command(words);
  }
  static int Port(int node) { return nodes_[static_cast<size_t>(node)]->Port(); }
  static std::string Id(int node) {
    const std::string reply = Command(node, {"CLUSTER", "MYID"});
    return reply.substr(reply.find('\n') + 1, 40);
  }
  static void WaitFor(int node, const std::vector<std::string> &words, const std::string &text) {
    nodes_[static_cast<size_t>(node)]->WaitFor(words, text);
  }
  // Until all know how far the others have counted: whoever takes slots then counts on from there, and is believed.
  static void WaitForOneEpoch() {
    const auto epoch = [](int node) {
      const std::string info = Command(node, {"CLUSTER", "INFO"});
      const size_t at = info.find("cluster_current_epoch:");
      return at == std::string::npos ? "" : info.substr(at, info.find('\r', at) - at);
    };
    for (int i = 1; i < 2 * kMasters; i++) {
      const int64_t give_up = Now() + kLong;
      while (epoch(i).empty() || epoch(i) != epoch(0)) {
        ASSERT_LT(Now(), give_up) << epoch(i);
        usleep(5000);
        i = 1;  // from the beginning: another one may have counted on
      }
    }
  }
  static std::string Url(int node = 0) { return "redis-cluster://127.0.0.1:" + std::to_string(Port(node)); }

  // A key of the slots that a master began with.
  static std::string KeyOf(int master, const std::string &stem = "k") {
    for (int i = 0;; i++) {
      const std::string key = stem + std::to_string(i);
      if (SlotOfKey(key.data(), key.size()) * kMasters / kSlots == master) return key;
    }
  }

  static std::vector<std::unique_ptr<RedisServer>> nodes_;
};

std::vector<std::unique_ptr<RedisServer>> ClusterTest::nodes_;

TEST_F(ClusterTest, SlotsAreTheServers) {
  for (const char *key : {"", "a", "foo{", "{}x", "{a}b", "a{b}{c}", "{{a}}", "\xff\x01"}) {
    EXPECT_EQ(Command(0, {"CLUSTER", "KEYSLOT", key}), ":" + std::to_string(SlotOfKey(key, strlen(key))) + "\r\n");
  }
}

TEST_F(ClusterTest, KeysGoToTheirMasters) {
  // a replica is as good a seed as any, and the first one is down
  Driver driver("redis-cluster://127.0.0.1:1,127.0.0.1:" + std::to_string(Port(4)), kLong, kLong);
  EXPECT_EQ(driver->MasterCount(), 0);
  std::vector<Ticket> tickets;
  for (int i = 0; i < 300; i++) driver->Forget(driver.Submit({"SET", "n" + std::to_string(i), std::to_string(i)}));
  for (int i = 0; i < 300; i++) tickets.push_back(driver.Submit({"GET", "n" + std::to_string(i)}));
  for (int i = 0; i < 300; i++) EXPECT_EQ(driver.Take(tickets[static_cast<size_t>(i)]), std::to_string(i));
  EXPECT_TRUE(driver.failures.empty());
  EXPECT_EQ(driver.answers, 600);
  ASSERT_EQ(driver->MasterCount(), kMasters);
  Interest interests[8];
  for (int i = 0; i < 3; i++) tickets.push_back(driver.Submit({"GET", KeyOf(i)}));
  EXPECT_EQ(driver->Interests(interests, 8), 3);
  EXPECT_EQ(driver->Interests(interests, 2), 2);
  driver->ForgetAll();
  driver.Until([&] { return driver->IsIdle(); });
  // all keys, from all masters
  std::set<std::string> found;
  for (int master = 0; master < kMasters; master++) {
    std::string cursor = "0";
    do {
      const Ticket ticket = driver.Submit({"SCAN", cursor, "MATCH", "n*", "COUNT", "50"}, master);
      driver.Until([&] { return driver->IsDone(ticket); });
      ASSERT_EQ(driver->FailureOf(ticket), Failure::kNone);
      const Reply &reply = driver->ReplyOf(ticket);
      ASSERT_EQ(reply.element_count, 2u);
      cursor = TextOf(reply.elements[0]);
      for (size_t i = 0; i < reply.elements[1].element_count; i++) found.insert(TextOf(reply.elements[1].elements[i]));
      driver->Forget(ticket);
    } while (cursor != "0");
  }
  EXPECT_EQ(found.size(), 300u);
  for (int i = 0; i < 300; i++) EXPECT_EQ(driver.Ask({"UNLINK", "n" + std::to_string(i)}), "(integer) 1");
}

TEST_F(ClusterTest, OneMasterIsAskedBeforeTheMapIsKnown) {
  Driver driver(Url(), kLong, kLong);
  EXPECT_EQ(driver.Take(driver.Submit({"PING"}, 2)), "PONG");
  EXPECT_EQ(driver->MasterCount(), kMasters);
  EXPECT_EQ(driver.Take(driver.Submit({"PING"}, kMasters)), "!cluster");
}

// The whole way of a slot from one master to another, with keys on both sides.
TEST_F(ClusterTest, FollowsAMovingSlot) {
  Driver driver(Url(), kLong, kLong), other(Url(1), kLong, kLong);
  const std::string tag = "{" + KeyOf(0, "moving") + "}", stays = tag + "stays", moves = tag + "moves",
                    comes = tag + "c";
  const std::string slot = std::to_string(SlotOfKey(tag.data(), tag.size()));
  WaitForOneEpoch();
  EXPECT_EQ(driver.Ask({"SET", stays, "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", moves, "2"}), "OK");
  EXPECT_EQ(other.Ask({"GET", moves}), "2");
  Command(1, {"CLUSTER", "SETSLOT", slot, "IMPORTING", Id(0)});
  Command(0, {"CLUSTER", "SETSLOT", slot, "MIGRATING", Id(1)});
  Command(0, {"MIGRATE", "127.0.0.1", std::to_string(Port(1)), moves, "0", "5000"});
  // ASK: each from where it is
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(driver.Ask({"GET", stays}), "1");
    EXPECT_EQ(driver.Ask({"GET", moves}), "2");
  }
  EXPECT_EQ(driver.Ask({"SET", comes, "3", "PX", "100000"}), "OK");
  EXPECT_NE(Command(0, {"GET", comes}).find("-ASK"), std::string::npos);
  std::vector<Ticket> tickets;
  for (int i = 0; i < 100; i++) tickets.push_back(driver.Submit({"GET", i % 2 == 0 ? stays : comes}));
  for (size_t i = 0; i < 100; i++) EXPECT_EQ(driver.Take(tickets[i]), i % 2 == 0 ? "1" : "3");
  // some keys here and some there, in one command
  EXPECT_EQ(driver.Ask({"MGET", stays, moves}), "!loading");
  Command(0, {"MIGRATE", "127.0.0.1", std::to_string(Port(1)), stays, "0", "5000"});
  for (int node = kMasters - 1; node >= 0; node--) Command(node, {"CLUSTER", "SETSLOT", slot, "NODE", Id(1)});
  // MOVED
  EXPECT_EQ(driver.Ask({"MGET", stays, moves, comes}), "[1 2 3]");
  EXPECT_EQ(other.Ask({"GET", stays}), "1");
  EXPECT_EQ(driver.failures.size(), 1u);  // of the half MGET
  EXPECT_TRUE(other.failures.empty());
  // and back; now a client has it wrong the other way round
  WaitForOneEpoch();
  Command(0, {"CLUSTER", "SETSLOT", slot, "IMPORTING", Id(1)});
  Command(1, {"CLUSTER", "SETSLOT", slot, "MIGRATING", Id(0)});
  for (const std::string &key : {stays, moves, comes}) {
    Command(1, {"MIGRATE", "127.0.0.1", std::to_string(Port(0)), key, "0", "5000"});
  }
  for (int node = 0; node < kMasters; node++) Command(node, {"CLUSTER", "SETSLOT", slot, "NODE", Id(0)});
  EXPECT_EQ(driver.Ask({"GET", stays}), "1");
  EXPECT_EQ(other.Ask({"MGET", stays, moves}), "[1 2]");
  EXPECT_TRUE(other.failures.empty());
}

// The other masters' keys go on, and in the end its own do.
TEST_F(ClusterTest, SurvivesAKilledMaster) {
  Driver driver(Url(), kLong, kLong);
  for (int i = 0; i < kMasters; i++) EXPECT_EQ(driver.Ask({"SET", KeyOf(i), std::to_string(i)}), "OK");
  WaitFor(kMasters + 1, {"CLUSTER", "GETKEYSINSLOT", std::to_string(SlotOfKey(KeyOf(1).data(), KeyOf(1).size())), "10"},
          KeyOf(1));
  WaitForOneEpoch();
  nodes_[1]->Kill();
  const int64_t give_up = Now() + kLong;
  std::string answer = driver.Ask({"GET", KeyOf(1)});
  for (int tries = 0; tries < 10 || answer != "1"; tries++) {
    ASSERT_TRUE(answer == "!connect" || answer == "!cluster" || (tries > 5 && answer == "1")) << answer;
    EXPECT_EQ(driver.Ask({"GET", KeyOf(0)}), "0");
    EXPECT_EQ(driver.Ask({"GET", KeyOf(2)}), "2");
    if (tries == 5) {
      EXPECT_EQ(Command(kMasters + 1, {"CLUSTER", "FAILOVER", "TAKEOVER"}), "+OK\r\n");
    }
    ASSERT_LT(Now(), give_up);
    usleep(10000);
    answer = driver.Ask({"GET", KeyOf(1)});
  }
  EXPECT_EQ(driver.Ask({"SET", KeyOf(1), "new"}), "OK");
  // who was the master comes back as a replica, and sends us to the new one
  nodes_[1]->Start();
  WaitFor(1, {"ROLE"}, "slave");
  WaitFor(1, {"INFO", "replication"}, "master_link_status:up");
  Driver late(Url(1), kLong, kLong);
  EXPECT_EQ(late.Ask({"GET", KeyOf(1)}), "new");
  EXPECT_EQ(late->MasterCount(), kMasters);
  EXPECT_TRUE(late.failures.empty());
  // as it was for the other tests
  WaitForOneEpoch();
  EXPECT_EQ(Command(1, {"CLUSTER", "FAILOVER", "TAKEOVER"}), "+OK\r\n");
  WaitFor(kMasters + 1, {"INFO", "replication"}, "master_link_status:up");
  for (int i = 0; i < kMasters; i++) WaitFor(i, {"CLUSTER", "NODES"}, "slave " + Id(1));
  WaitFor(1, {"INFO", "replication"}, "state=online");
}

TEST_F(ClusterTest, ClosesAndOpens) {
  Driver driver(Url(), kLong, kLong);
  const Ticket ticket = driver.Submit({"GET", KeyOf(0)});
  driver->Close();  // while it asks for the map
  EXPECT_EQ(driver->FailureOf(ticket), Failure::kConnect);
  EXPECT_TRUE(driver->IsIdle());
  EXPECT_EQ(driver.Ask({"SET", KeyOf(0), "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", KeyOf(2), "1"}), "OK");
  driver.Submit({"GET", KeyOf(0)});
  driver->Close();
  EXPECT_EQ(driver.Ask({"GET", KeyOf(2)}), "1");
  driver->ShutdownSockets();
  EXPECT_EQ(driver.Ask({"GET", KeyOf(2)}), "1");
  EXPECT_TRUE(driver.failures.empty());
}

// Two nodes that send everybody to each other.
TEST(ClustersTest, RedirectionsEnd) {
  std::string first, second;
  const auto serve = [&](const std::string *to) {
    return [&first, &second, to](int socket) {
      for (std::vector<std::string> request; !(request = ReadRequest(socket)).empty();) {
        std::string reply = "+OK\r\n";
        const std::string port = first.substr(first.find(':') + 1);
        if (request[0] == "CLUSTER") reply = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:" + port + "\r\n";
        if (request[0] == "GET") reply = "-MOVED 1 " + *to + "\r\n";
        SendText(socket, reply);
      }
    };
  };
  FakeServer one(serve(&second), true), other(serve(&first), true);
  first = one.Address();
  second = other.Address();
  Driver driver("redis-cluster://" + first, kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!cluster");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].text, "redirected too often");
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
}

TEST(ClustersTest, NotACluster) {
  RedisServer server({}, true);
  Driver driver("redis-cluster://" + server.Address(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!reply");  // ERR This instance has cluster support disabled
  EXPECT_EQ(driver.Take(driver.Submit({"SCAN", "0"}, 0)), "!reply");
  EXPECT_EQ(driver.failures.size(), 2u);
  // a node that serves nothing
  RedisServer empty({"--cluster-enabled", "yes"}, true);
  Driver other("redis-cluster://" + empty.Address(), kLong, kLong);
  EXPECT_EQ(other.Ask({"GET", "a"}), "!cluster");
  // a node of a cluster that is taken for a single server
  Driver single("redis://" + empty.Address(), kLong, kLong);
  EXPECT_EQ(single.Ask({"GET", "a"}), "!cluster");
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
