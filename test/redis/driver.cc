// The client, driven by a poll loop as the database drives it.

#include "harness.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace aggcache {
namespace redis {

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
