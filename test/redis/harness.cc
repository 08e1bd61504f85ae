// Servers, sockets and the poll loop of the tests.

#include "harness.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
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

// Gives it a free port of 127.0.0.1; returns which.
int BindToFreePort(int socket) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(socket, reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr *>(&address), &size);
  return ntohs(address.sin_port);
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

// ---- Real servers ---------------------------------------------------------------------------------------------------

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

// ---- Names ----------------------------------------------------------------------------------------------------------

NameServer::NameServer(std::map<std::string, std::vector<std::string>> hosts) : hosts_(std::move(hosts)) {
  socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  port_ = BindToFreePort(socket_);
  thread_ = std::thread([this] {
    while (!ends_) {
      pollfd wait{socket_, POLLIN, 0};
      if (poll(&wait, 1, 50) <= 0) continue;
      char bytes[1024];
      sockaddr_in from{};
      socklen_t from_size = sizeof from;
      const ssize_t read = recvfrom(socket_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr *>(&from), &from_size);
      if (read < 17) continue;
      const std::string answer = Answer(std::string(bytes, static_cast<size_t>(read)));
      if (!silent_) sendto(socket_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr *>(&from), from_size);
    }
  });
}

NameServer::~NameServer() {
  ends_ = true;
  thread_.join();
  close(socket_);
}

std::vector<std::string> NameServer::Questions() const {
  std::lock_guard<std::mutex> guard(mutex_);
  return questions_;
}

// RFC 1035, section 4: a header of 12 bytes, a name as lengths and labels, a type and a class.
std::string NameServer::Answer(const std::string &question) {
  std::string name;
  size_t at = 12;
  while (at < question.size() && question[at] != 0) {
    const auto length = static_cast<size_t>(question[at]);
    name += (name.empty() ? "" : ".") + question.substr(at + 1, length);
    at += 1 + length;
  }
  const bool is_ipv6 = question[at + 2] == 28;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    const std::string asked = (is_ipv6 ? "AAAA " : "A ") + name;
    if (questions_.empty() || questions_.back() != asked) questions_.push_back(asked);
  }
  std::string records;
  char count = 0;
  const auto host = hosts_.find(name);
  if (host != hosts_.end()) {
    for (const std::string &address : host->second) {
      in6_addr number;
      if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address.c_str(), &number) != 1) continue;
      const char size = is_ipv6 ? 16 : 4;
      // the name by reference to the question, the type, the class IN, a minute to live, the address
      records += std::string("\xc0\x0c\0", 3) + (is_ipv6 ? '\x1c' : '\x01') + std::string("\0\1\0\0\0\x3c\0", 7) + size;
      records.append(reinterpret_cast<const char *>(&number), static_cast<size_t>(size));
      count++;
    }
  }
  // an answer, that no such name exists or not; one question, so many records
  std::string header = question.substr(0, 2) + '\x81' + (host == hosts_.end() ? '\x83' : '\x80');
  header += std::string("\0\1\0", 3) + count + std::string(4, '\0');
  return header + question.substr(12, at + 5 - 12) + records;
}

// ---- Servers that misbehave -----------------------------------------------------------------------------------------

FakeServer::FakeServer(std::function<void(int)> serve, bool tcp) : serve_(std::move(serve)) {
  path_ = directory_.Path() + "/s";
  listening_ = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (tcp) {
    port_ = BindToFreePort(listening_);
  } else {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(bind(listening_, reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
  }
  EXPECT_EQ(listen(listening_, 16), 0);
  accepting_ = std::thread([this] {
    for (int socket; (socket = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0 && !ends_;) {
      connections_++;
      threads_.emplace_back([this, socket] {
        serve_(socket);
        close(socket);
      });
    }
  });
}

FakeServer::~FakeServer() {
  ends_ = true;
  shutdown(listening_, SHUT_RDWR);
  accepting_.join();
  close(listening_);
  for (std::thread &thread : threads_) thread.join();
}

std::string FakeServer::Url() const { return "unix://" + path_; }

std::vector<std::string> ReadRequest(int socket) {
  const auto line = [socket] {
    std::string text;
    char byte;
    while (read(socket, &byte, 1) == 1) {
      if (byte == '\n') return text;
      if (byte != '\r') text += byte;
    }
    return std::string();
  };
  std::vector<std::string> words;
  const std::string head = line();
  if (head.empty()) return words;
  for (int i = atoi(head.c_str() + 1); i > 0; i--) {
    size_t size = strtoul(line().c_str() + 1, nullptr, 10) + 2;
    std::string word;
    while (size > 0) {
      char bytes[65536];
      const ssize_t got = read(socket, bytes, size < sizeof bytes ? size : sizeof bytes);
      if (got <= 0) return {};
      word.append(bytes, static_cast<size_t>(got));
      size -= static_cast<size_t>(got);
    }
    word.resize(word.size() - 2);
    words.push_back(word);
  }
  return words;
}

void SendText(int socket, const std::string &text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t size = send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) return;
    sent += static_cast<size_t>(size);
  }
}

std::vector<std::string> Greet(int socket) {
  for (;;) {
    std::vector<std::string> request = ReadRequest(socket);
    if (request.empty() || request[0] != "CLIENT") return request;
    SendText(socket, "+OK\r\n");
  }
}

void Drain(int socket) {
  char bytes[4096];
  while (read(socket, bytes, sizeof bytes) > 0) continue;
}

// ---- The client -----------------------------------------------------------------------------------------------------

Driver::Driver(const std::string &url, int64_t connect_timeout, int64_t command_timeout, uint32_t most_commands,
               uint64_t most_bytes, const std::string &name_servers) {
  signal(SIGPIPE, SIG_IGN);  // as in the database; OpenSSL writes without MSG_NOSIGNAL
  auto options = std::make_unique<Options>();
  *options = Options{};
  const char *problem = ParseUrl(url.c_str(), &options->target);
  EXPECT_EQ(problem, nullptr) << problem;
  options->connect_timeout = connect_timeout;
  options->command_timeout = command_timeout;
  options->most_commands = most_commands;
  options->most_bytes = most_bytes;
  const char *certificates = getenv("AGGCACHE_TEST_CERTIFICATES");
  if (certificates != nullptr) strncpy(options->certificates, certificates, sizeof options->certificates - 1);
  strncpy(options->name_servers, name_servers.c_str(), sizeof options->name_servers - 1);
  options->observer.context = this;
  options->observer.answered = [](void *context, int64_t microseconds) noexcept {
    Driver *driver = static_cast<Driver *>(context);
    driver->answers++;
    if (microseconds > driver->longest_answer) driver->longest_answer = microseconds;
  };
  options->observer.failed = [](void *context, Failure failure, About about, const char *text) noexcept {
    static_cast<Driver *>(context)->failures.push_back(Failed{failure, text, about});
  };
  options->observer.moved = [](void *context, uint64_t sent, uint64_t received) noexcept {
    static_cast<Driver *>(context)->sent += sent;
    static_cast<Driver *>(context)->received += received;
  };
  const char *error = nullptr;
  client_ = Client::Create(*options, &error);
  EXPECT_NE(client_, nullptr) << (error != nullptr ? error : "out of memory");
}

Driver::~Driver() { Client::Destroy(client_); }

Ticket Driver::Submit(const std::vector<std::string> &words, int master) {
  std::vector<Argument> arguments;
  for (const std::string &word : words) arguments.push_back(Argument{word.data(), word.size()});
  const int count = static_cast<int>(arguments.size());
  if (master >= 0) return client_->SubmitTo(master, arguments.data(), count, Clock());
  return client_->Submit(arguments.data(), count, Clock());
}

void Driver::Step() {
  Interest interests[64];
  pollfd polled[64];
  const int count = client_->Interests(interests, 64);
  for (int i = 0; i < count; i++) {
    polled[i] =
        pollfd{interests[i].socket,
               static_cast<short>((interests[i].readable ? POLLIN : 0) | (interests[i].writable ? POLLOUT : 0)), 0};
  }
  const int64_t deadline = client_->Deadline();
  // With nothing to wait for it should be idle; a pause lets Until look at what others do.
  int64_t wait = deadline == INT64_MAX ? (count == 0 ? 1000 : kLong) : deadline - Clock();
  if (wait < 0) wait = 0;
  const timespec time{wait / 1000000, wait % 1000000 * 1000};
  const int ready = ppoll(polled, static_cast<nfds_t>(count), &time, nullptr);
  if (ready == 0 && deadline == INT64_MAX && count > 0) ADD_FAILURE() << "waits for ever";
  client_->Advance(Clock());
}

void Driver::Until(const std::function<bool()> &condition) {
  const int64_t give_up = Now() + 2 * kLong;
  while (!condition()) {
    ASSERT_LT(Now(), give_up) << "what was waited for did not come";
    Step();
  }
}

std::string Driver::Take(Ticket ticket) {
  if (ticket == kNoTicket) return "!refused";
  Until([&] { return client_->IsDone(ticket); });
  const Failure failure = client_->FailureOf(ticket);
  const std::string text = failure != Failure::kNone ? NameOf(failure) : TextOf(client_->ReplyOf(ticket));
  client_->Forget(ticket);
  return text;
}

std::string TextOf(const Reply &reply) {
  switch (reply.type) {
    case Reply::Type::kNil: return "(nil)";
    case Reply::Type::kString:
    case Reply::Type::kStatus: return std::string(reply.bytes, reply.size);
    case Reply::Type::kInteger: return "(integer) " + std::to_string(reply.integer);
    case Reply::Type::kArray: break;
  }
  std::string text = "[";
  for (size_t i = 0; i < reply.element_count; i++) text += (i > 0 ? " " : "") + TextOf(reply.elements[i]);
  return text + "]";
}

const char *NameOf(Failure failure) {
  switch (failure) {
    case Failure::kNone: return "!none";
    case Failure::kConnect: return "!connect";
    case Failure::kTimeout: return "!timeout";
    case Failure::kProtocol: return "!protocol";
    case Failure::kAuthentication: return "!authentication";
    case Failure::kOutOfMemory: return "!memory";
    case Failure::kReadOnly: return "!readonly";
    case Failure::kLoading: return "!loading";
    case Failure::kCluster: return "!cluster";
    case Failure::kReply: return "!reply";
    case Failure::kLocal: return "!local";
    case Failure::kCount: break;
  }
  return "!unknown";
}

}  // namespace redis
}  // namespace aggcache
