// What the tests of the Redis client stand on: real servers, sockets that misbehave, and a client that is driven as the
// database drives it, by poll().

#ifndef AGGCACHE_TEST_REDIS_HARNESS_H
#define AGGCACHE_TEST_REDIS_HARNESS_H

#include <gtest/gtest.h>

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "redis/client.h"

namespace aggcache {
namespace redis {

int64_t Now();  // microseconds

// A directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string &Path() const { return path_; }

 private:
  std::string path_;
};

// What is not waited for: it would show as a test that hangs. However slow the machine is, nothing takes so long.
constexpr int64_t kLong = 600000000;

constexpr int64_t kShort = 50000;  // a timeout that is waited for

// A port of 127.0.0.1 that was free a moment ago, and so was the one 10000 above it (a cluster's bus). Both are below
// the range that connections get theirs from: a server that is restarted finds them free again.
int FreePort();

// A process of Redis, or of Valkey if AGGCACHE_TEST_SERVER says so. Killed with the object, and with the test process.
class RedisServer {
 public:
  // Further arguments are the server's: "--maxmemory", "1mb".
  explicit RedisServer(std::vector<std::string> arguments = {}, bool tcp = false);
  ~RedisServer();
  void Start() { ASSERT_TRUE(TryToStart()) << "the server died: " << directory_.Path(); }
  void Kill();
  void Stop(int signal);  // SIGSTOP, SIGCONT

  std::string Url(const std::string &credentials = "", const std::string &rest = "") const;
  std::string Address() const { return "127.0.0.1:" + std::to_string(port_); }
  int Port() const { return port_; }
  const std::string &Directory() const { return directory_.Path(); }
  // Sends one command on a connection of its own; returns the reply as it came.
  std::string Command(const std::vector<std::string> &words) const;
  // Until the reply to the command has the text, or has it no more.
  void WaitFor(const std::vector<std::string> &words, const std::string &text, bool present = true) const;

 private:
  // Waits until it answers. False: it has died.
  bool TryToStart();

  TemporaryDirectory directory_;
  std::vector<std::string> arguments_;
  bool sentinel_ = false;
  int port_ = 0;
  pid_t process_ = 0;
};

// One exchange on a connection of its own with what listens at host:port, or at a Unix socket if port is 0: the raw
// reply to a command of words, empty if there is none.
std::string RawCommand(const std::string &host, int port, const std::vector<std::string> &words);

// Listens on a Unix socket, or on a port of 127.0.0.1; for each connection calls `serve` with its socket in a thread, and
// closes it afterwards.
class FakeServer {
 public:
  explicit FakeServer(std::function<void(int socket)> serve, bool tcp = false);
  ~FakeServer();
  std::string Url() const;
  std::string Address() const { return "127.0.0.1:" + std::to_string(port_); }
  int Connections() const { return connections_; }

 private:
  TemporaryDirectory directory_;
  std::string path_;
  int port_ = 0;
  int listening_;
  std::function<void(int)> serve_;
  std::atomic<int> connections_{0};
  std::atomic<bool> ends_{false};
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

// A name server on a port of 127.0.0.1 that knows the addresses of some hosts, IPv4 and IPv6, and denies all others.
class NameServer {
 public:
  explicit NameServer(std::map<std::string, std::vector<std::string>> hosts);
  ~NameServer();
  std::string Address() const { return "127.0.0.1:" + std::to_string(port_); }
  // Whether it answers at all.
  void SetSilent(bool silent) { silent_ = silent; }
  // The questions so far: "A host" or "AAAA host". One that was repeated, as its answer came late, is there once.
  std::vector<std::string> Questions() const;

 private:
  std::string Answer(const std::string &question);

  std::map<std::string, std::vector<std::string>> hosts_;
  int socket_;
  int port_;
  std::atomic<bool> silent_{false};
  std::atomic<bool> ends_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> questions_;
  std::thread thread_;
};

// Reads one request from a socket; empty: the other side has closed.
std::vector<std::string> ReadRequest(int socket);
void SendText(int socket, const std::string &text);
// Answers what the login asks; returns the first request that is not of it, empty at the end.
std::vector<std::string> Greet(int socket);
// Reads until the other side closes.
void Drain(int socket);

// A client and what its observer was told.
class Driver {
 public:
  explicit Driver(const std::string &url, int64_t connect_timeout = kLong, int64_t command_timeout = kLong,
                  uint32_t most_commands = 4096, uint64_t most_bytes = 1 << 20, const std::string &name_servers = "");
  ~Driver();

  Client *operator->() { return client_; }
  Client *Get() { return client_; }
  Ticket Submit(const std::vector<std::string> &words, int master = -1);
  // Waits for the reply, and returns it as text: strings as they are, (nil), (integer) 5, [a b], failures as
  // "!name". Forgets the ticket.
  std::string Take(Ticket ticket);
  std::string Ask(const std::vector<std::string> &words) { return Take(Submit(words)); }
  // One poll and Advance; waits until something happens.
  void Step();
  // The client's clock goes on by so much at once: what it times does not depend on how quick the test is.
  void LetPass(int64_t microseconds) { passed_ += microseconds; }
  // Advances until it holds.
  void Until(const std::function<bool()> &condition);

  struct Failed {
    Failure failure;
    std::string text;
    About about;
  };
  std::vector<Failed> failures;
  int answers = 0;
  uint64_t sent = 0, received = 0;
  int64_t longest_answer = 0;

 private:
  int64_t Clock() const { return Now() + passed_; }

  Client *client_ = nullptr;
  int64_t passed_ = 0;
};

std::string TextOf(const Reply &reply);
const char *NameOf(Failure failure);

}  // namespace redis
}  // namespace aggcache

#endif
