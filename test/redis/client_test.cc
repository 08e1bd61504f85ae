// The client with one real server: commands, pipelines, logging in, restarts.

#include <gtest/gtest.h>

#include <signal.h>

#include <string>
#include <vector>

#include "harness.h"

namespace aggcache {
namespace redis {
namespace {

TEST(ClientTest, SetsAndGets) {
  RedisServer server;
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"GET", "a"}), "(nil)");
  EXPECT_EQ(driver.Ask({"SET", "a", "1", "PX", "100000"}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_EQ(driver.Ask({"MGET", "a", "b"}), "[1 (nil)]");
  EXPECT_EQ(driver.Ask({"EXISTS", "a"}), "(integer) 1");
  EXPECT_EQ(driver.Ask({"LPUSH", "a", "1"}), "!reply");
  const std::string binary("\0\r\n$-1\r\n\xff", 9);
  EXPECT_EQ(driver.Ask({"SET", binary, binary}), "OK");
  EXPECT_EQ(driver.Ask({"GET", binary}), binary);
  EXPECT_EQ(driver.Ask({"SET", "empty", ""}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "empty"}), "");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].text.substr(0, 9), "WRONGTYPE");
  EXPECT_EQ(driver.answers, 9);
  EXPECT_GT(driver.sent, 200u);
  EXPECT_GT(driver.received, 40u);
  EXPECT_TRUE(driver->IsIdle());
  EXPECT_EQ(driver->Deadline(), INT64_MAX);
  EXPECT_EQ(driver->MasterCount(), 1);
}

TEST(ClientTest, ConnectsOverTcp) {
  RedisServer server({}, true);
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_NE(server.Command({"CLIENT", "LIST"}).find("name=pg_aggcache"), std::string::npos);
}

TEST(ClientTest, LargeValues) {
  for (const bool tcp : {false, true}) {
    RedisServer server({}, tcp);
    Driver driver(server.Url());
    std::string large(8 << 20, 'x');
    for (size_t i = 0; i < large.size(); i += 977) large[i] = static_cast<char>(i);
    EXPECT_EQ(driver.Ask({"SET", "large", large}), "OK");
    EXPECT_EQ(driver.Ask({"SET", "small", "s"}), "OK");
    const Ticket first = driver.Submit({"GET", "large"}), second = driver.Submit({"GET", "small"}),
                 third = driver.Submit({"GET", "large"});
    EXPECT_TRUE(driver.Take(first) == large);
    EXPECT_EQ(driver.Take(second), "s");
    EXPECT_TRUE(driver.Take(third) == large);
    EXPECT_TRUE(driver.failures.empty()) << driver.failures[0].text;
  }
}

TEST(ClientTest, PipelinesKeepOrder) {
  RedisServer server;
  Driver driver(server.Url());
  std::vector<Ticket> tickets;
  for (int i = 0; i < 1000; i++) driver->Forget(driver.Submit({"SET", "k" + std::to_string(i), std::to_string(i * i)}));
  for (int i = 0; i < 1000; i++) tickets.push_back(driver.Submit({"GET", "k" + std::to_string(i)}));
  for (int i = 999; i >= 0; i--) EXPECT_EQ(driver.Take(tickets[static_cast<size_t>(i)]), std::to_string(i * i));
  EXPECT_TRUE(driver.failures.empty());
  EXPECT_EQ(driver.answers, 2000);
  EXPECT_TRUE(driver->IsIdle());
}

TEST(ClientTest, WhatIsHeldIsSentTogether) {
  RedisServer server;
  Driver driver(server.Url(), kLong, kLong, 4096, 10000);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  const uint64_t before = driver.sent;
  driver->Hold();
  std::vector<Ticket> tickets;
  for (int i = 0; i < 200; i++) tickets.push_back(driver.Submit({"GET", "a"}));
  EXPECT_EQ(driver.sent, before);
  Interest interest;
  ASSERT_EQ(driver->Interests(&interest, 1), 1);
  EXPECT_TRUE(interest.writable);
  for (const Ticket ticket : tickets) EXPECT_EQ(driver.Take(ticket), "1");
  // sent at once again
  const uint64_t then = driver.sent;
  const Ticket ticket = driver.Submit({"GET", "a"});
  EXPECT_GT(driver.sent, then);
  EXPECT_EQ(driver.Take(ticket), "1");
  driver->Hold();
  for (int i = 0; i < 1000 && driver.failures.empty(); i++) driver.Submit({"SET", "a", "1"});
  EXPECT_EQ(driver.failures.size(), 1u);  // too many bytes
}

TEST(ClientTest, ForgottenRepliesAreDropped) {
  RedisServer server;
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", "b", "2"}), "OK");
  const Ticket forgotten = driver.Submit({"GET", "a"});
  driver->Forget(forgotten);
  EXPECT_EQ(driver.Ask({"GET", "b"}), "2");
  // its place is another's by now, its ticket nobody's
  const Ticket next = driver.Submit({"GET", "a"});
  EXPECT_NE(next, forgotten);
  driver->Forget(forgotten);
  driver->Forget(kNoTicket);
  EXPECT_EQ(driver.Take(next), "1");
  for (int i = 0; i < 10; i++) driver.Submit({"GET", "a"});
  driver->ForgetAll();
  EXPECT_EQ(driver.Ask({"GET", "b"}), "2");
  EXPECT_EQ(driver.answers, 16);
}

TEST(ClientTest, CommandsInFlightAreLimited) {
  RedisServer server;
  Driver driver(server.Url(), kLong, kLong, 10);
  std::vector<Ticket> tickets;
  for (int i = 0; i < 10; i++) tickets.push_back(driver.Submit({"PING"}));
  EXPECT_EQ(driver.Submit({"PING"}), kNoTicket);
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].failure, Failure::kLocal);
  for (const Ticket ticket : tickets) EXPECT_EQ(driver.Take(ticket), "PONG");
  EXPECT_EQ(driver.Ask({"PING"}), "PONG");
}

TEST(ClientTest, BytesInFlightAreLimited) {
  RedisServer server;
  Driver driver(server.Url(), kLong, kLong, 100, 1000);
  // not connected: nothing can be sent
  server.Stop(SIGSTOP);
  const std::string value(600, 'v'), large(5000, 'l');
  const Ticket first = driver.Submit({"SET", "a", large});
  EXPECT_NE(first, kNoTicket);
  EXPECT_EQ(driver.Submit({"SET", "b", value}), kNoTicket);
  server.Stop(SIGCONT);
  EXPECT_EQ(driver.Take(first), "OK");
  const Ticket second = driver.Submit({"SET", "b", value}), third = driver.Submit({"SET", "c", value});
  EXPECT_EQ(driver.Take(second), "OK");
  EXPECT_EQ(driver.Take(third), "OK");
}

TEST(ClientTest, PasswordAndDatabase) {
  RedisServer server({"--requirepass", "pa ss"});
  Driver right(server.Url(":pa%20ss", "?db=3"));
  EXPECT_EQ(right.Ask({"SET", "a", "1"}), "OK");
  Driver other(server.Url(":pa%20ss"));
  EXPECT_EQ(other.Ask({"GET", "a"}), "(nil)");
  Driver wrong(server.Url(":wrong"));
  EXPECT_EQ(wrong.Ask({"GET", "a"}), "!authentication");
  Driver none(server.Url());
  EXPECT_EQ(none.Ask({"GET", "a"}), "!authentication");
  Driver nowhere(server.Url(":pa%20ss", "?db=999"));
  EXPECT_EQ(nowhere.Ask({"GET", "a"}), "!reply");
  ASSERT_EQ(nowhere.failures.size(), 1u);
}

TEST(ClientTest, PasswordThatIsNotWanted) {
  RedisServer server;
  Driver driver(server.Url(":secret"));
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!authentication");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!authentication");
}

TEST(ClientTest, UsersOfAccessControlLists) {
  RedisServer server({"--user", "default", "off", "--user", "app", "on", ">secret", "~cache:*", "+get", "+set"}, true);
  Driver driver(server.Url("app:secret"));
  EXPECT_EQ(driver.Ask({"SET", "cache:a", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "cache:a"}), "1");
  EXPECT_EQ(driver.Ask({"GET", "other"}), "!authentication");
  EXPECT_EQ(driver.Ask({"DEL", "cache:a"}), "!authentication");
  EXPECT_EQ(driver.Ask({"GET", "cache:a"}), "1");
  Driver wrong(server.Url("app:wrong"));
  EXPECT_EQ(wrong.Ask({"GET", "cache:a"}), "!authentication");
  Driver unknown(server.Url("nobody:secret"));
  EXPECT_EQ(unknown.Ask({"GET", "cache:a"}), "!authentication");
}

// Only the first says that nobody can be read from either.
TEST(ClientTest, ARefusedLoginIsNoRefusedWrite) {
  RedisServer server({"--user", "default", "off", "--user", "app", "on", ">secret", "~*", "+get"}, true);
  Driver stranger(server.Url("app:wrong"));
  EXPECT_EQ(stranger.Ask({"SET", "a", "1"}), "!authentication");
  ASSERT_EQ(stranger.failures.size(), 1u);
  EXPECT_EQ(stranger.failures[0].about, About::kServer);
  Driver reader(server.Url("app:secret"));
  EXPECT_EQ(reader.Ask({"SET", "a", "1"}), "!authentication");
  EXPECT_EQ(reader.Ask({"MGET", "a"}), "!authentication");
  ASSERT_EQ(reader.failures.size(), 2u);
  EXPECT_EQ(reader.failures[0].about, About::kWrites);
  EXPECT_EQ(reader.failures[1].about, About::kServer);
}

TEST(ClientTest, RestartBetweenCommandsIsNotNoticed) {
  for (const bool tcp : {false, true}) {
    RedisServer server({}, tcp);
    Driver driver(server.Url());
    EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
    server.Kill();
    server.Start();
    EXPECT_EQ(driver.Ask({"GET", "a"}), "(nil)");
    EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
    server.Kill();
    server.Start();
    driver->Advance(Now());  // sees the end of the connection
    EXPECT_EQ(driver.Ask({"GET", "a"}), "(nil)");
    EXPECT_TRUE(driver.failures.empty()) << driver.failures[0].text;
    server.Kill();
    EXPECT_EQ(driver.Ask({"GET", "a"}), "!connect");
    EXPECT_EQ(driver.failures.size(), 1u);
    server.Start();
    EXPECT_EQ(driver.Ask({"GET", "a"}), "(nil)");
  }
}

// What is not repeatable may have been done: it fails rather than be done twice.
TEST(ClientTest, OnlyWhatIsRepeatableIsRepeated) {
  RedisServer server({}, true);
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"INCR", "n"}), "(integer) 1");
  server.Kill();
  server.Start();
  EXPECT_EQ(driver.Ask({"INCR", "n"}), "!connect");
  EXPECT_EQ(driver.Ask({"INCR", "n"}), "(integer) 1");
}

TEST(ClientTest, NobodyThere) {
  TemporaryDirectory directory;
  Driver missing("unix://" + directory.Path() + "/s");
  EXPECT_EQ(missing.Ask({"GET", "a"}), "!connect");
  EXPECT_EQ(missing.failures.size(), 1u);
  Driver refused("redis://127.0.0.1:" + std::to_string(FreePort()));
  EXPECT_EQ(refused.Ask({"GET", "a"}), "!connect");
  EXPECT_EQ(refused.Ask({"GET", "a"}), "!connect");
  EXPECT_EQ(refused.failures.size(), 2u);
  Driver unknown("redis://no-such-host.invalid");
  EXPECT_EQ(unknown.Ask({"GET", "a"}), "!connect");
}

TEST(ClientTest, ErrorsOfTheServerAreToldApart) {
  RedisServer server;
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!memory");
  EXPECT_EQ(driver.Ask({"CONFIG", "SET", "maxmemory", "0"}), "OK");
  EXPECT_EQ(driver.Ask({"CONFIG", "SET", "min-replicas-to-write", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!readonly");
  EXPECT_EQ(driver.Ask({"REPLICAOF", "127.0.0.1", "1"}), "OK");
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!readonly");
  EXPECT_EQ(driver.Ask({"CONFIG", "SET", "replica-serve-stale-data", "no"}), "OK");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!loading");
  EXPECT_EQ(driver.Ask({"NOSUCHCOMMAND"}), "!reply");
}

TEST(ClientTest, ClosingAndOpeningAgain) {
  RedisServer server;
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  Interest before, after;
  Ticket ticket = driver.Submit({"GET", "a"});
  ASSERT_EQ(driver->Interests(&before, 1), 1);
  driver->Close();
  EXPECT_TRUE(driver->IsIdle());
  EXPECT_TRUE(driver->IsDone(ticket));
  EXPECT_EQ(driver->FailureOf(ticket), Failure::kConnect);
  EXPECT_EQ(driver->Interests(&after, 1), 0);
  EXPECT_TRUE(driver.failures.empty());
  driver->Forget(ticket);
  ticket = driver.Submit({"GET", "a"});
  ASSERT_EQ(driver->Interests(&after, 1), 1);
  EXPECT_NE(before.connection, after.connection);
  EXPECT_EQ(driver.Take(ticket), "1");
}

// As from a signal handler while the client waits.
TEST(ClientTest, ShutDownSockets) {
  RedisServer server;
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  driver->ShutdownSockets();
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  driver->ShutdownSockets();
  driver->Advance(Now());
  server.WaitFor({"CLIENT", "LIST"}, "name=pg_aggcache", false);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_TRUE(driver.failures.empty());
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
