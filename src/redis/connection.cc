// Connection: opening it (hiredis connects, to addresses in numbers), sending and receiving. Logging in is in login.cc.

#include "redis/connection.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <hiredis/hiredis.h>

namespace aggcache {
namespace redis {
namespace {

constexpr int kMostParts = 64;             // of one write
constexpr size_t kRecordSize = 16 * 1024;  // of TLS
constexpr size_t kReadSize = 64 * 1024;    // of one read
constexpr int64_t kBacklogPause = 1000;    // before a Unix socket with a full backlog is tried again
constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kSlowest = 4;        // bytes in a microsecond
constexpr int64_t kMostTimeouts = 10;  // of a command that hardly moves

bool WouldWait(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

void Connection::SetTarget(const Endpoint &endpoint, const Login &login) noexcept {
  endpoint_ = endpoint;
  login_ = login;
}

void Connection::Enqueue(Command *command, int64_t connect_deadline, int64_t now) noexcept {
  command->written = 0;
  command->skips = command->asks ? 1 : 0;
  command->deadline = kNever;
  const bool was_idle = queue_.IsEmpty();
  queue_.Append(command);
  if (unsent_ == nullptr) unsent_ = command;
  if (state_ == State::kClosed) {
    connect_deadline_ = connect_deadline;
    Start(now);
  } else if (state_ == State::kOpen) {
    if (was_idle) {
      silent_ = true;
      is_ordered_ = true;
      progress_ = 0;
      moved_ = 0;
    }
    SetDeadline(command, now);
    if (unsent_ == command && !outgoing_->is_held) Send(now);
  }
}

void Connection::SetDeadline(Command *command, int64_t now) noexcept {
  command->deadline = now + command->timeout;
  if (command->is_bounded && command->longest < command->deadline) command->deadline = command->longest;
  if (command->deadline < queue_.First()->deadline || command->timeout < queue_.First()->timeout) is_ordered_ = false;
}

int64_t Connection::DeadlineOf(const Command &command) const noexcept {
  const int64_t moving = progress_ + command.timeout;
  const int64_t last =
      command.deadline + (kMostTimeouts - 1) * command.timeout + static_cast<int64_t>(moved_) / kSlowest;
  if (moving <= command.deadline) return command.deadline;
  return moving < last ? moving : last;
}

// Whether the other side has taken bytes since this was last asked, of those that the system holds.
bool Connection::Drains() noexcept {
  const int before = held_;
  if (ioctl(socket_, TIOCOUTQ, &held_) != 0) held_ = 0;
  return held_ < before;
}

void Connection::TakeCommands(CommandQueue *commands) noexcept {
  commands->TakeAll(&queue_);
  unsent_ = nullptr;
}

void Connection::Close() noexcept {
  socket_ = -1;  // before its number can be another file's
  tls_.End();
  if (context_ != nullptr) redisFree(context_);
  context_ = nullptr;
  reader_.End();
  lookup_.End();
  free(login_request_);
  login_request_ = nullptr;
  state_ = State::kClosed;
}

void Connection::ShutdownSocket() const noexcept {
  const int socket = socket_;
  if (socket >= 0) shutdown(socket, SHUT_RDWR);
}

void Connection::Fail(Failure failure, const char *text, Command *culprit, int64_t now) noexcept {
  char kept[256];  // `text` may be the reader's
  snprintf(kept, sizeof kept, "%s", text);
  Command *first = state_ == State::kOpen ? queue_.First() : nullptr;
  if (first != nullptr) first->is_large = first->written > kLargeValue || reply_bytes_ > kLargeValue;
  const Loss loss{failure,
                  kept,
                  state_ == State::kOpen,
                  culprit,
                  state_ == State::kOpen && silent_,
                  first != nullptr && first->is_large};
  Close();
  listener_->Lost(this, loss, now);
}

// ---- Connecting -----------------------------------------------------------------------------------------------------

void Connection::Start(int64_t now) noexcept {
  number_ = NextConnectionNumber();
  silent_ = false;
  if (!reader_.Begin()) return Fail(Failure::kLocal, "out of memory", nullptr, now);
  is_looked_up_ = endpoint_.port != 0 && !HostLookup::IsNumeric(endpoint_.host);
  if (!is_looked_up_) return ConnectTo(endpoint_.host, now);
  lookup_.Begin(endpoint_.host, name_servers_);
  state_ = State::kLookup;
  SettleLookup(now);
}

void Connection::SettleLookup(int64_t now) noexcept {
  switch (lookup_.Progress()) {
    case HostLookup::State::kDone: return ConnectTo(lookup_.NextAddress(), now);
    case HostLookup::State::kFailed: return Fail(lookup_.FailureSeen(), lookup_.Text(), nullptr, now);
    default: break;
  }
  const int64_t patience = lookup_.Patience();
  next_try_ = patience < kNever - now ? now + patience : kNever;
}

void Connection::ConnectTo(const char *address, int64_t now) noexcept {
  context_ = endpoint_.port == 0 ? redisConnectUnixNonBlock(address) : redisConnectNonBlock(address, endpoint_.port);
  const int error = errno;
  if (context_ == nullptr) return Fail(Failure::kLocal, "out of memory", nullptr, now);
  if (context_->err != 0) {
    if (endpoint_.port == 0 && context_->err == REDIS_ERR_IO && error == EAGAIN) {
      // Many connect at once and the server has not come to accept them.
      redisFree(context_);
      context_ = nullptr;
      state_ = State::kBacklog;
      next_try_ = now + kBacklogPause;
      return;
    }
    return NotConnected(context_->err == REDIS_ERR_OOM ? Failure::kLocal : Failure::kConnect, context_->errstr, now);
  }
  fcntl(context_->fd, F_SETFD, FD_CLOEXEC);
  socket_ = context_->fd;
  state_ = State::kConnecting;
  AdvanceConnecting(now);
}

// Where a host has several addresses, its Redis may not listen on all.
void Connection::NotConnected(Failure failure, const char *text, int64_t now) noexcept {
  const char *address = is_looked_up_ && failure == Failure::kConnect ? lookup_.NextAddress() : nullptr;
  if (address == nullptr) return Fail(failure, text, nullptr, now);
  socket_ = -1;
  redisFree(context_);
  context_ = nullptr;
  number_ = NextConnectionNumber();
  ConnectTo(address, now);
}

void Connection::AdvanceConnecting(int64_t now) noexcept {
  pollfd connected{socket_, POLLOUT, 0};
  if (poll(&connected, 1, 0) <= 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    char buffer[128];
    return NotConnected(Failure::kConnect, strerror_r(error, buffer, sizeof buffer), now);
  }
  if (login_.tls != nullptr) {
    state_ = State::kTls;
    return AdvanceTls(tls_.Begin(context_, endpoint_.host, login_.tls), now);
  }
  BeginLogin(now);
}

void Connection::AdvanceTls(Tls::Progress progress, int64_t now) noexcept {
  if (progress == Tls::Progress::kDone) return BeginLogin(now);
  if (progress == Tls::Progress::kFailed) return Fail(tls_.FailureSeen(), tls_.Text(), nullptr, now);
  tls_writes_ = progress == Tls::Progress::kWantsToWrite;
}

void Connection::Open(int64_t now) noexcept {
  state_ = State::kOpen;
  free(login_request_);
  login_request_ = nullptr;
  is_ordered_ = true;
  progress_ = 0;
  moved_ = 0;
  reply_bytes_ = 0;
  for (Command *command = queue_.First(); command != nullptr; command = command->next) SetDeadline(command, now);
  Send(now);
}

// ---- Sending and receiving ------------------------------------------------------------------------------------------

int64_t Connection::WriteSome(const iovec *parts, int count) noexcept {
  if (login_.tls != nullptr) {
    // One record for what is small. After a wait the same bytes come first again, as OpenSSL wants it.
    char record[kRecordSize];
    size_t size = 0;
    for (int i = 0; i < count && size < sizeof record; i++) {
      const size_t part = parts[i].iov_len < sizeof record - size ? parts[i].iov_len : sizeof record - size;
      memcpy(record + size, parts[i].iov_base, part);
      size += part;
    }
    return tls_.Write(record, size);
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec *>(parts);
  message.msg_iovlen = static_cast<size_t>(count);
  return sendmsg(socket_, &message, MSG_NOSIGNAL);
}

int64_t Connection::ReadSome(char *bytes, size_t size) noexcept {
  return login_.tls != nullptr ? tls_.Read(bytes, size) : recv(socket_, bytes, size, 0);
}

void Connection::WriteFailed(int error, int64_t now) noexcept {
  // Who closed may have said why.
  const uint64_t number = number_;
  Receive(now);
  if (number != number_ || IsClosed()) return;
  char buffer[128];
  Fail(Failure::kConnect, strerror_r(error, buffer, sizeof buffer), nullptr, now);
}

void Connection::Send(int64_t now) noexcept {
  size_t sent = 0;
  while (unsent_ != nullptr) {
    iovec parts[kMostParts];
    int count = 0;
    for (Command *command = unsent_; command != nullptr && count < kMostParts; command = command->next) {
      parts[count++] = iovec{command->request + command->written, command->size - command->written};
    }
    // Later requests are no progress of the first command, nor is the beginning of its own: its time has just begun.
    const bool goes_on = unsent_ == queue_.First() && unsent_->written > 0;
    const int64_t written = WriteSome(parts, count);
    if (written < 0) {
      if (!WouldWait(errno)) return WriteFailed(errno, now);
      Drains();
      return;
    }
    if (goes_on) progress_ = now;
    moved_ += static_cast<uint64_t>(written);
    sent += static_cast<size_t>(written);
    outgoing_->unsent_bytes -= static_cast<uint64_t>(written);
    for (size_t left = static_cast<size_t>(written); unsent_ != nullptr;) {
      const size_t part = unsent_->size - unsent_->written < left ? unsent_->size - unsent_->written : left;
      unsent_->written += part;
      left -= part;
      if (unsent_->written < unsent_->size) break;
      unsent_ = unsent_->next;
    }
    listener_->Moved(static_cast<uint64_t>(written), 0);
  }
  if (sent > kLargeValue) Drains();
}

void Connection::Receive(int64_t now) noexcept {
  const uint64_t number = number_;
  char bytes[kReadSize];
  for (;;) {
    const int64_t size = ReadSome(bytes, sizeof bytes);
    if (size < 0) {
      if (WouldWait(errno)) return;
      if (state_ == State::kOpen && queue_.IsEmpty()) break;
      char buffer[128];
      return Fail(Failure::kConnect, strerror_r(errno, buffer, sizeof buffer), nullptr, now);
    }
    if (size == 0) {
      if (state_ == State::kOpen && queue_.IsEmpty()) break;
      return Fail(Failure::kConnect, "the server closed the connection", nullptr, now);
    }
    silent_ = false;
    progress_ = now;
    moved_ += static_cast<uint64_t>(size);
    reply_bytes_ += static_cast<size_t>(size);
    reader_.Feed(bytes, static_cast<size_t>(size));
    listener_->Moved(0, static_cast<uint64_t>(size));
    TakeReplies(now);
    if (number != number_ || IsClosed()) return;
    // Of TLS a read gives one record, and more may be there that the socket does not show.
    if (login_.tls == nullptr && static_cast<size_t>(size) < sizeof bytes) return;
  }
  Close();
  listener_->ClosedIdle(this);
}

void Connection::TakeReplies(int64_t now) noexcept {
  const uint64_t number = number_;
  while (number == number_ && !IsClosed()) {
    Reply reply;
    const ReplyReader::Outcome outcome = reader_.Next(&reply);
    if (outcome == ReplyReader::Outcome::kNothing) return;
    if (outcome == ReplyReader::Outcome::kBroken) {
      return Fail(reader_.FailureSeen(), reader_.Text(), state_ == State::kOpen ? queue_.First() : nullptr, now);
    }
    if (state_ == State::kOpen) {
      TakeCommandReply(outcome, &reply, now);
    } else {
      TakeLoginReply(outcome, reply, now);
      FreeReply(&reply);
    }
  }
}

void Connection::TakeCommandReply(ReplyReader::Outcome outcome, Reply *reply, int64_t now) noexcept {
  Command *command = queue_.First();
  const bool is_error = outcome == ReplyReader::Outcome::kError;
  if (command == nullptr || (command == unsent_ && !is_error)) {
    FreeReply(reply);
    return Fail(Failure::kProtocol, "a reply to nothing that was asked", command, now);
  }
  command->is_answered = true;
  command->is_large = command->written > kLargeValue;
  // An error while the request is still being sent: the server refuses the rest of it, and what follows is lost.
  // One that
  // has no room for a large value gets back what it holds of it.
  const bool holds_it = is_error && command->is_large && reader_.FailureSeen() == Failure::kOutOfMemory;
  if (command == unsent_ || holds_it) return Fail(reader_.FailureSeen(), reader_.Text(), command, now);
  if (command->skips > 0) {
    command->skips--;
    command->is_answered = false;
    FreeReply(reply);
    return;
  }
  queue_.TakeFirst();
  reply_bytes_ = 0;
  command->reply = *reply;
  listener_->Answered(this, command, is_error ? reader_.FailureSeen() : Failure::kNone, reader_.Text(), now);
}

// ---- Time -----------------------------------------------------------------------------------------------------------

void Connection::Advance(bool even_idle, int64_t now) noexcept {
  switch (state_) {
    case State::kClosed: return;
    case State::kBacklog:
      if (now >= next_try_) Start(now);
      break;
    case State::kLookup:
      lookup_.Advance();
      SettleLookup(now);
      break;
    case State::kConnecting: AdvanceConnecting(now); break;
    case State::kTls: AdvanceTls(tls_.Continue(), now); break;
    case State::kLogin:
      SendLogin(now);
      if (state_ == State::kLogin) Receive(now);
      break;
    case State::kOpen:
      if (unsent_ != nullptr) Send(now);
      if (state_ == State::kOpen && (even_idle || HasCommands())) Receive(now);
      break;
  }
  // Only now: what has come while nobody looked is not late.
  CheckTime(now);
}

void Connection::CheckTime(int64_t now) noexcept {
  if (state_ == State::kClosed || now < Deadline()) return;
  if (state_ != State::kOpen) {
    if (now >= connect_deadline_) Fail(Failure::kTimeout, "connecting took too long", nullptr, now);
    return;
  }
  if (Drains()) {
    progress_ = now;
    if (now < Deadline()) return;
  }
  Command *late = queue_.First();
  while (DeadlineOf(*late) > now) late = late->next;
  Fail(Failure::kTimeout, "the reply took too long", late, now);
}

int64_t Connection::Deadline() const noexcept {
  switch (state_) {
    case State::kClosed: return kNever;
    case State::kBacklog:
    case State::kLookup: return next_try_ < connect_deadline_ ? next_try_ : connect_deadline_;
    case State::kOpen: break;
    default: return connect_deadline_;
  }
  if (queue_.IsEmpty()) return kNever;
  int64_t earliest = DeadlineOf(*queue_.First());
  if (is_ordered_) return earliest;
  for (const Command *command = queue_.First(); command != nullptr; command = command->next) {
    if (DeadlineOf(*command) < earliest) earliest = DeadlineOf(*command);
  }
  return earliest;
}

int Connection::Interests(Interest *interests, int limit) const noexcept {
  if (state_ == State::kLookup) return lookup_.Interests(interests, limit);
  if (limit < 1 || socket_ < 0 || (state_ == State::kOpen && queue_.IsEmpty())) return 0;
  interests->socket = socket_;
  interests->connection = number_;
  const bool writes_tls = state_ == State::kTls && tls_writes_;
  interests->readable = state_ != State::kConnecting && !writes_tls;
  interests->writable = state_ == State::kConnecting || writes_tls ||
                        (state_ == State::kLogin && login_written_ < login_size_) ||
                        (state_ == State::kOpen && unsent_ != nullptr);
  return 1;
}

}  // namespace redis
}  // namespace aggcache
