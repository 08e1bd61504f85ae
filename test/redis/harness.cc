// Real servers, Redis or Valkey, their directories and ports. The rest of harness.h: fake_servers.cc, driver.cc.

#include "harness.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>

namespace aggcache {
namespace redis {
namespace {

int Connect(const std::string &host, int port) {
  const int socket = ::socket(port == 0 ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int rc;
  if (port == 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, host.c_str(), sizeof address.sun_path - 1);
    rc = connect(socket, reinterpret_cast<sockaddr *>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    rc = connect(socket, reinterpret_cast<sockaddr *>(&address), sizeof address);
  }
  if (rc == 0) return socket;
  close(socket);
  return -1;
}

bool IsFree(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(socket, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
  close(socket);
  return free;
}

std::string Serialized(const std::vector<std::string> &words) {
  std::string text = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string &word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return text;
}

}  // namespace

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

TemporaryDirectory::TemporaryDirectory() {
  char name[] = "/tmp/aggcache-redis.XXXXXX";
  if (mkdtemp(name) != nullptr) path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  if (!path_.empty() && system(("rm -rf " + path_).c_str()) != 0) perror("rm");
}

int FreePort() {
  static int next = 10000 + static_cast<int>(std::random_device()() % 10000);
  for (;;) {
    next = next >= 20000 ? 10000 : next + 1;
    if (IsFree(next) && IsFree(next + 10000)) return next;
  }
}

namespace {

// "redis" or "valkey", as test/lib/redis_servers.py has it.
std::string Kind() {
  const char *kind = getenv("AGGCACHE_TEST_SERVER");
  return kind != nullptr && *kind != '\0' ? kind : "redis";
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> arguments, bool tcp) : arguments_(std::move(arguments)) {
  sentinel_ = !arguments_.empty() && arguments_[0] == "--sentinel";
  // another process may take the port in between
  for (int tries = 1;; tries++) {
    if (tcp) port_ = FreePort();
    if (TryToStart()) return;
    if (!tcp || tries == 5) break;
  }
  ADD_FAILURE() << "the server died: " << directory_.Path();
}

RedisServer::~RedisServer() { Kill(); }

bool RedisServer::TryToStart() {
  std::vector<std::string> words = {Kind() + "-server"};
  const std::string other_name = "/usr/bin/" + Kind() + "-check-rdb";
  if (sentinel_) {
    words.insert(words.end(), {arguments_[1], "--sentinel", "--port", std::to_string(port_), "--bind", "127.0.0.1"});
  } else {
    for (const char *word : {"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir"})
      words.push_back(word);
    words.push_back(directory_.Path());
    words.insert(words.end(), {"--port", std::to_string(port_), "--bind", "127.0.0.1"});
    words.insert(words.end(), {"--unixsocket", directory_.Path() + "/s"});
    words.insert(words.end(), arguments_.begin(), arguments_.end());
  }
  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open((directory_.Path() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
    std::vector<char *> arguments;
    for (std::string &word : words) arguments.push_back(&word[0]);
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    execv(other_name.c_str(), arguments.data());  // where only the package of the tools is
    _exit(127);
  }
  for (;;) {
    // first whether it has died: who answers on its port may be somebody else
    if (waitpid(process_, nullptr, WNOHANG) != 0) {
      process_ = 0;
      return false;
    }
    if (!Command({"PING"}).empty()) return true;
    usleep(2000);
  }
}

void RedisServer::Kill() {
  if (process_ == 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void RedisServer::Stop(int signal) { kill(process_, signal); }

std::string RedisServer::Url(const std::string &credentials, const std::string &rest) const {
  const std::string at = credentials.empty() ? "" : credentials + "@";
  if (port_ != 0) return "redis://" + at + Address() + rest;
  return "unix://" + at + directory_.Path() + "/s" + rest;
}

std::string RedisServer::Command(const std::vector<std::string> &words) const {
  if (port_ != 0) return RawCommand("127.0.0.1", port_, words);
  return RawCommand(directory_.Path() + "/s", 0, words);
}

void RedisServer::WaitFor(const std::vector<std::string> &words, const std::string &text, bool present) const {
  const int64_t give_up = Now() + kLong;
  for (std::string reply; ((reply = Command(words)).find(text) != std::string::npos) != present; usleep(5000)) {
    ASSERT_LT(Now(), give_up) << reply;
  }
}

std::string RawCommand(const std::string &host, int port, const std::vector<std::string> &words) {
  const int socket = Connect(host, port);
  if (socket < 0) return "";
  SendText(socket, Serialized(words));
  // What tells where the reply ends. A connection that is closed for writing may lose its command: Valkey does not begin
  // some, as CLUSTER SETSLOT, before the replicas have them, and drops them if the client goes.
  redisReader *reader = redisReaderCreate();
  void *parsed = nullptr;
  std::string reply;
  char bytes[65536];
  for (ssize_t size; parsed == nullptr && (size = read(socket, bytes, sizeof bytes)) > 0;) {
    reply.append(bytes, static_cast<size_t>(size));
    redisReaderFeed(reader, bytes, static_cast<size_t>(size));
    if (redisReaderGetReply(reader, &parsed) != REDIS_OK) break;
  }
  if (parsed != nullptr) freeReplyObject(parsed);
  redisReaderFree(reader);
  close(socket);
  return reply;
}

}  // namespace redis
}  // namespace aggcache
