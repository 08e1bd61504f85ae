// Servers of the test's own: one that misbehaves, and one of names.

#include "harness.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace aggcache {
namespace redis {
namespace {

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

}  // namespace

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

}  // namespace redis
}  // namespace aggcache
