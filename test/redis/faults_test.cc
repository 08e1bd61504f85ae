// The client and servers that misbehave: no answers, half answers, garbage, resets. Whatever happens, a command fails in
// time and the next one gets its own reply.

#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "harness.h"

namespace aggcache {
namespace redis {
namespace {

TEST(FaultsTest, NoReply) {
  FakeServer server([](int socket) {
    Greet(socket);
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kShort);
  const int64_t began = Now();
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!timeout");
  EXPECT_GE(Now() - began, kShort);
  EXPECT_EQ(driver.failures.size(), 1u);
  EXPECT_TRUE(driver->IsIdle());
  EXPECT_EQ(driver->Deadline(), INT64_MAX);
}

TEST(FaultsTest, NoReplyToLogin) {
  FakeServer server(Drain);
  Driver driver(server.Url(), kShort, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!timeout");
  EXPECT_EQ(driver.failures.size(), 1u);
}

// Nobody accepts, and there is no more room to wait for it.
TEST(FaultsTest, FullBacklog) {
  TemporaryDirectory directory;
  const std::string path = directory.Path() + "/s";
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size());
  ASSERT_EQ(bind(listening, reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listening, 0), 0);
  Driver fills("unix://" + path, kShort, kLong), finds("unix://" + path, kShort, kLong);
  const Ticket first = fills.Submit({"GET", "a"}), second = finds.Submit({"GET", "a"});
  EXPECT_EQ(fills.Take(first), "!timeout");
  EXPECT_EQ(finds.Take(second), "!timeout");
  // room again while one tries
  Driver again("unix://" + path, kLong, kLong);
  const Ticket third = again.Submit({"GET", "a"});
  again->Advance(Now());
  std::thread serving([listening] {
    for (int i = 0; i < 2; i++) {  // the one that gave up, and the one that is waiting
      const int socket = accept(listening, nullptr, nullptr);
      if (!Greet(socket).empty()) SendText(socket, "$1\r\n1\r\n");
      close(socket);
    }
  });
  EXPECT_EQ(again.Take(third), "1");
  serving.join();
  close(listening);
}

// The one that is late has timed out, the others are its victims; a caller of either knows in time.
TEST(FaultsTest, OneTimeoutClosesTheConnection) {
  FakeServer server([](int socket) {
    Greet(socket);
    SendText(socket, "$1\r\n1\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket first = driver.Submit({"GET", "a"});
  driver->SetTimeouts(kLong, kLong / 2);
  const Ticket second = driver.Submit({"GET", "b"});
  driver->SetTimeouts(kLong, kLong);
  const Ticket third = driver.Submit({"INCR", "c"});
  EXPECT_EQ(driver.Take(first), "1");
  driver.LetPass(kLong * 3 / 4);
  EXPECT_EQ(driver.Take(second), "!timeout");
  EXPECT_EQ(driver.Take(third), "!connect");
  EXPECT_EQ(driver.failures.size(), 2u);
  EXPECT_EQ(server.Connections(), 1);
}

// A reply that comes after its command has timed out is not taken for the next one's.
TEST(FaultsTest, LateRepliesAreNobodys) {
  std::atomic<bool> late{false};
  FakeServer server([&](int socket) {
    std::vector<std::string> request = Greet(socket);
    if (request.empty()) return;
    if (request[1] == "slow") {
      while (!late) usleep(1000);
    }
    SendText(socket, "$" + std::to_string(request[1].size()) + "\r\n" + request[1] + "\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kShort);
  EXPECT_EQ(driver.Ask({"GET", "slow"}), "!timeout");
  late = true;
  driver->SetTimeouts(kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "quick"}), "quick");
}

// Whoever was away longer than the timeout, and finds the reply there, is not told that it was late.
TEST(FaultsTest, WhatHasComeIsNotLate) {
  RedisServer server;
  Driver driver(server.Url(), 10000000, 10000000);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  const Ticket ticket = driver.Submit({"GET", "a"});
  Interest interest;
  ASSERT_EQ(driver->Interests(&interest, 1), 1);
  char byte;
  while (recv(interest.socket, &byte, 1, MSG_PEEK) != 1) usleep(100);
  driver->Advance(Now() + 1000000000);
  EXPECT_EQ(driver.Take(ticket), "1");
  // nor does a login that was not looked at
  driver->Close();
  const Ticket other = driver.Submit({"GET", "a"});
  ASSERT_EQ(driver->Interests(&interest, 1), 1);
  while (recv(interest.socket, &byte, 1, MSG_PEEK) != 1) usleep(100);
  driver->Advance(Now() + 1000000000);
  EXPECT_FALSE(driver->IsDone(other));
  EXPECT_TRUE(driver.failures.empty());
}

TEST(FaultsTest, Garbage) {
  for (const char *garbage : {"\r\n",
                              "HTTP/1.1 400 Bad Request\r\n\r\n",
                              "$-2\r\n",
                              "$12x\r\n",
                              "*2147483647\r\n",
                              "*-5\r\n",
                              ":1.5\r\n",
                              "$99999999999\r\n",
                              "$9223372036854775807\r\n",
                              "*1048577\r\n",
                              "*2\r\n*1000000\r\n:1\r\n*1000000\r\n",
                              "$2\r\nabcd\r\n",
                              "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
                              "%1\r\n+a\r\n+b\r\n",
                              "~1\r\n+a\r\n",
                              "_\r\n",
                              "#t\r\n",
                              ",1.5\r\n",
                              "(12\r\n",
                              ">1\r\n+a\r\n",
                              "=5\r\ntxt:a\r\n",
                              "|1\r\n+a\r\n+b\r\n"}) {
    FakeServer server([garbage](int socket) {
      Greet(socket);
      SendText(socket, garbage);
      Drain(socket);
    });
    Driver driver(server.Url(), kLong, kLong);
    EXPECT_EQ(driver.Ask({"GET", "a"}), "!protocol") << garbage;
    EXPECT_EQ(driver.failures.size(), 1u);
  }
}

TEST(FaultsTest, GarbageToLogin) {
  FakeServer server([](int socket) {
    SendText(socket, "SSH-2.0-OpenSSH\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!protocol");
}

TEST(FaultsTest, LinesWithoutEnd) {
  for (const char *begin : {"+", "-ERR ", ":", "$", "*"}) {
    FakeServer server([begin](int socket) {
      Greet(socket);
      SendText(socket, begin);
      // more than a line can be; the client leaves
      for (int i = 0; i < 1000; i++) SendText(socket, std::string(1000, '0'));
      Drain(socket);
    });
    Driver driver(server.Url(), kLong, kLong);
    EXPECT_EQ(driver.Ask({"GET", "a"}), "!protocol") << begin;
  }
}

TEST(FaultsTest, HalfReplies) {
  for (const char *half : {"$", "$5\r", "$5\r\nab", "$5\r\nabcde", "*2\r\n$1\r\na\r\n", "+O", ":1\r"}) {
    FakeServer stalls([half](int socket) {
      Greet(socket);
      SendText(socket, half);
      Drain(socket);
    });
    Driver waits(stalls.Url(), kLong, kShort);
    EXPECT_EQ(waits.Ask({"GET", "a"}), "!timeout") << half;
    FakeServer leaves([half](int socket) {
      if (!Greet(socket).empty()) SendText(socket, half);
    });
    Driver sees(leaves.Url(), kLong, kLong);
    EXPECT_EQ(sees.Ask({"GET", "a"}), "!connect") << half;
  }
}

TEST(FaultsTest, RepliesInPieces) {
  FakeServer server([](int socket) {
    Greet(socket);
    for (const char byte : std::string("*3\r\n$5\r\nabcde\r\n*2\r\n:-7\r\n$-1\r\n+OK\r\n")) {
      SendText(socket, std::string(1, byte));
      usleep(100);
    }
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"ANY"}), "[abcde [(integer) -7 (nil)] OK]");
}

TEST(FaultsTest, ErrorsWithinReplies) {
  FakeServer server([](int socket) {
    Greet(socket);
    SendText(socket, "*3\r\n$1\r\na\r\n-OOM no\r\n-ERR other\r\n");
    ReadRequest(socket);
    SendText(socket, "-\r\n");
    ReadRequest(socket);
    SendText(socket, "*0\r\n");
    ReadRequest(socket);
    SendText(socket, "*-1\r\n");
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"ANY"}), "!memory");
  EXPECT_EQ(driver.Ask({"ANY"}), "!reply");
  EXPECT_EQ(driver.Ask({"ANY"}), "[]");
  EXPECT_EQ(driver.Ask({"ANY"}), "(nil)");
}

// More replies than commands: what came too much must not become the next command's.
TEST(FaultsTest, RepliesToNothing) {
  FakeServer server([](int socket) {
    const std::vector<std::string> request = Greet(socket);
    if (request.empty()) return;
    const std::string reply = "$1\r\n" + request[1] + "\r\n";
    SendText(socket, reply + reply);
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "1"}), "1");
  EXPECT_EQ(driver.Ask({"GET", "2"}), "2");
  EXPECT_EQ(driver.failures.size(), 2u);
  EXPECT_EQ(driver.failures[0].failure, Failure::kProtocol);
}

TEST(FaultsTest, Resets) {
  FakeServer server([](int socket) {
    Greet(socket);
    const linger now{1, 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket first = driver.Submit({"GET", "a"}), second = driver.Submit({"SET", "b", "1"});
  EXPECT_EQ(driver.Take(first), "!connect");
  EXPECT_EQ(driver.Take(second), "!connect");
  EXPECT_EQ(driver.failures.size(), 2u);
}

// A stale connection is tried anew once, not for ever.
TEST(FaultsTest, RepeatsOnce) {
  FakeServer server([](int socket) {
    if (Greet(socket).empty()) return;
    SendText(socket, "$1\r\n1\r\n");
    ReadRequest(socket);  // and closes without answer
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");  // on a second connection
  EXPECT_EQ(server.Connections(), 2);
  EXPECT_TRUE(driver.failures.empty());
  // the repeated one is lost as well
  std::atomic<int> times{0};
  FakeServer closes([&times](int socket) {
    if (Greet(socket).empty()) return;
    if (times++ == 0) {
      SendText(socket, "$1\r\n1\r\n");
      ReadRequest(socket);
    }
  });
  Driver other(closes.Url(), kLong, kLong);
  EXPECT_EQ(other.Ask({"GET", "a"}), "1");
  EXPECT_EQ(other.Ask({"GET", "a"}), "!connect");
  EXPECT_EQ(closes.Connections(), 2);
}

TEST(FaultsTest, SaysWhyAndCloses) {
  FakeServer server([](int socket) { SendText(socket, "-ERR max number of clients reached\r\n"); });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!reply");
  ASSERT_EQ(driver.failures.size(), 1u);
  EXPECT_EQ(driver.failures[0].text, "ERR max number of clients reached");
}

TEST(FaultsTest, StillLoading) {
  FakeServer server([](int socket) {
    while (!ReadRequest(socket).empty()) SendText(socket, "-LOADING Redis is loading the dataset in memory\r\n");
  });
  Driver driver(server.Url() + "?db=1", kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!loading");
  EXPECT_EQ(driver.Ask({"GET", "a"}), "!loading");
}

// An error before the request was taken completely: the rest is not sent.
TEST(FaultsTest, RefusedWhileSending) {
  FakeServer server([](int socket) {
    ReadRequest(socket);
    SendText(socket, "+OK\r\n");
    char bytes[4096];
    if (read(socket, bytes, sizeof bytes) > 0) SendText(socket, "-OOM command not allowed\r\n");
    pollfd closed{socket, 0, 0};
    poll(&closed, 1, -1);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", std::string(32 << 20, 'x')}), "!memory");
}

// After a cancel the caller is gone; the next one waits for its own reply.
TEST(FaultsTest, LeftInTheMiddle) {
  std::atomic<bool> go{false};
  FakeServer server([&](int socket) {
    std::vector<std::string> request = Greet(socket);
    SendText(socket, "$4\r\nol");
    while (!go) usleep(1000);
    SendText(socket, "d!\r\n");
    while (!(request = ReadRequest(socket)).empty()) SendText(socket, "$3\r\nnew\r\n");
  });
  Driver driver(server.Url(), kLong, kLong);
  const Ticket ticket = driver.Submit({"GET", "old"});
  driver.Until([&] { return driver.received > 8; });
  driver->Forget(ticket);
  const Ticket next = driver.Submit({"GET", "new"});
  go = true;
  EXPECT_EQ(driver.Take(next), "new");
  EXPECT_EQ(driver.answers, 2);
}

// The time that a caller who waits can lose is bounded by both timeouts together, whatever happens in between.
TEST(FaultsTest, DelayIsBounded) {
  std::atomic<int> times{0}, step{0};
  FakeServer server([&](int socket) {
    if (times++ == 0) {
      Greet(socket);
      SendText(socket, "$1\r\n1\r\n");
      while (step < 1) usleep(1000);
      return;  // silent until it closes: repeated on the next connection
    }
    while (step < 2) usleep(1000);
    Greet(socket);
    Drain(socket);
  });
  Driver driver(server.Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  const Ticket ticket = driver.Submit({"GET", "a"});
  const int64_t bound = Now() + 2 * kLong;
  Interest first, second;
  ASSERT_EQ(driver->Interests(&first, 1), 1);
  EXPECT_LE(driver->Deadline(), bound);
  driver.LetPass(kLong * 6 / 10);
  step = 1;
  driver.Until([&] { return driver->Interests(&second, 1) == 1 && second.connection != first.connection; });
  EXPECT_LE(driver->Deadline(), bound);
  driver.LetPass(kLong * 8 / 10);
  step = 2;
  // logged in, it sends the command
  const int64_t connecting = driver->Deadline();
  driver.Until([&] { return driver->Deadline() != connecting; });
  EXPECT_LE(driver->Deadline(), bound);
  EXPECT_FALSE(driver->IsDone(ticket));
  driver.LetPass(kLong);
  EXPECT_EQ(driver.Take(ticket), "!timeout");
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
