// Large values, and values that come slowly: a command may take as long as it makes progress, within bounds, and what
// fails for its size is the value's failure, not the server's.

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "harness.h"

namespace aggcache {
namespace redis {
namespace {

// What a server that misbehaves waits for.
class Permits {
 public:
  void Give(int count = 1) { given_ += count; }
  // False: there will be none.
  bool Take() {
    while (given_ == taken_ && !ended_) usleep(500);
    if (given_ == taken_) return false;
    taken_++;
    return true;
  }
  int Taken() const { return taken_; }
  void End() { ended_ = true; }

 private:
  std::atomic<int> given_{0}, taken_{0};
  std::atomic<bool> ended_{false};
};

// Reads so many bytes.
void ReadBytes(int socket, size_t size) {
  std::vector<char> bytes(1 << 20);
  while (size > 0) {
    const ssize_t got = read(socket, bytes.data(), size < bytes.size() ? size : bytes.size());
    if (got <= 0) return;
    size -= static_cast<size_t>(got);
  }
}

// Answers the login; the next request has not been read.
void GreetOnly(int socket) {
  ReadRequest(socket);
  SendText(socket, "+OK\r\n");
}

constexpr size_t kMegabyte = 1 << 20;

std::vector<std::string> Large(size_t size) { return {"SET", "large", std::string(size, 'x')}; }

// A deadline belongs to progress: it takes six times the timeout, of which no byte waits as long.
TEST(LargeValuesTest, LargeRequestsTakeTheirTime) {
  Permits permits;
  FakeServer server([&](int socket) {
    GreetOnly(socket);
    size_t left = 10 * kMegabyte;
    for (; permits.Take(); left -= kMegabyte) ReadBytes(socket, kMegabyte);
    ReadBytes(socket, left);
    SendText(socket, "+OK\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket ticket = driver.Submit(Large(10 * kMegabyte));
  for (int i = 1; i <= 8; i++) {
    permits.Give();
    driver.Until([&] { return driver.sent > i * kMegabyte || driver->IsDone(ticket); });
    EXPECT_FALSE(driver->IsSent(ticket)) << i;
    driver.LetPass(kLong * 3 / 4);
  }
  permits.End();
  EXPECT_EQ(driver.Take(ticket), "OK");
  EXPECT_TRUE(driver.failures.empty());
}

// So does one that the system has taken whole, and delivers bit by bit.
TEST(LargeValuesTest, WhatTheSystemHoldsIsProgress) {
  constexpr size_t kSize = 128 * 1024, kStep = 40 * 1024;
  Permits permits, done;
  FakeServer server([&](int socket) {
    const int room = 4 << 20;
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    GreetOnly(socket);
    for (size_t left = kSize; left > 0 && permits.Take(); left -= left < kStep ? left : kStep) {
      ReadBytes(socket, left < kStep ? left : kStep);
      done.Give();
    }
    SendText(socket, "+OK\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket ticket = driver.Submit(Large(kSize));
  driver.Until([&] { return driver->IsSent(ticket) || driver.sent > kSize / 2; });
  for (int i = 0; i < 3; i++) {
    permits.Give();
    done.Take();
    driver.LetPass(kLong * 9 / 10);
    driver->Advance(Now());
    ASSERT_FALSE(driver->IsDone(ticket)) << i;
  }
  permits.Give();
  EXPECT_EQ(driver.Take(ticket), "OK");
}

TEST(LargeValuesTest, LargeRepliesTakeTheirTime) {
  Permits permits;
  FakeServer server([&](int socket) {
    Greet(socket);
    SendText(socket, "$8388608\r\n");
    for (int i = 0; i < 8 && permits.Take(); i++) SendText(socket, std::string(kMegabyte, 'x'));
    SendText(socket, "\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket ticket = driver.Submit({"GET", "large"});
  for (int i = 1; i <= 7; i++) {
    permits.Give();
    driver.Until([&] { return driver.received > i * kMegabyte || driver->IsDone(ticket); });
    ASSERT_FALSE(driver->IsDone(ticket)) << i;
    driver.LetPass(kLong * 3 / 4);
  }
  permits.Give();
  EXPECT_EQ(driver.Take(ticket).size(), 8 * kMegabyte);
}

// A server that takes no more is given up after one timeout. That is the value's failure, not the server's, and the
// command behind it goes another way.
TEST(LargeValuesTest, LargeRequestsThatStall) {
  std::atomic<int> times{0};
  std::atomic<bool> ends{false};
  FakeServer server([&](int socket) {
    if (times++ == 0) {
      GreetOnly(socket);
      ReadBytes(socket, kMegabyte);
      while (!ends) usleep(500);
      return;
    }
    Greet(socket);
    SendText(socket, "$1\r\n1\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong, 4096, 100 * kMegabyte);
  const Ticket large = driver.Submit(Large(10 * kMegabyte));
  const Ticket small = driver.Submit({"GET", "small"});
  driver.Until([&] { return driver.sent > kMegabyte; });
  driver.LetPass(kLong * 2);
  driver->Advance(Now());  // it has taken something meanwhile
  driver.LetPass(kLong * 2);
  EXPECT_EQ(driver.Take(large), "!timeout");
  EXPECT_EQ(driver.Take(small), "1");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].about, About::kValue);
  ends = true;
}

// A server that has taken nothing is one that does not answer, whatever the size.
TEST(LargeValuesTest, LargeRequestsThatDoNotBegin) {
  FakeServer server([](int socket) {
    GreetOnly(socket);
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kShort);
  EXPECT_EQ(driver.Ask({"SET", "a", std::string(1000, 'x')}), "!timeout");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].about, About::kServer);
}

// The connection breaks in the middle.
TEST(LargeValuesTest, LargeRequestsThatAreCut) {
  FakeServer server([](int socket) {
    GreetOnly(socket);
    ReadBytes(socket, kMegabyte);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask(Large(10 * kMegabyte)), "!connect");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].about, About::kValue);
}

// Who sends a byte now and then holds nobody up for ever.
TEST(LargeValuesTest, TrickleIsBounded) {
  Permits permits;
  FakeServer server([&](int socket) {
    Greet(socket);
    SendText(socket, "$1000\r\n");
    while (permits.Take()) SendText(socket, "x");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket ticket = driver.Submit({"GET", "a"});
  driver.Until([&] { return driver.received >= 12; });
  int steps = 0;
  for (; steps < 40 && !driver->IsDone(ticket); steps++) {
    const uint64_t before = driver.received;
    permits.Give();
    driver.Until([&] { return driver.received > before || driver->IsDone(ticket); });
    driver.LetPass(kLong / 2);
  }
  EXPECT_GE(steps, 10);
  EXPECT_LE(steps, 21);
  EXPECT_EQ(driver.Take(ticket), "!timeout");
  EXPECT_EQ(driver.failures[0].about, About::kServer);
  permits.End();
}

// A value that is too large for a Redis in which there is room for others.
TEST(LargeValuesTest, TooLargeForRedis) {
  RedisServer server({"--maxmemory", "10mb", "--maxmemory-policy", "noeviction"});
  Driver driver(server.Url());
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(driver.Ask(Large(32 * kMegabyte)), "!memory");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].about, About::kValue);
  server.WaitFor({"SET", "b", "1"}, "+OK");  // as soon as it has noticed that the connection is gone
  EXPECT_EQ(driver.Ask({"SET", "b", "1"}), "OK");
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
