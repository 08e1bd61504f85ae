// Logging in: AUTH, ROLE, SELECT and the connection's name, sent at once. No command is sent before all are answered:
// one that ran under another user or in another database would be worse than none.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/uio.h>

#include "redis/connection.h"

namespace aggcache {
namespace redis {
namespace {

Argument Word(const char *text) noexcept { return Argument{text, strlen(text)}; }

// Appends a request to a block of memory that grows.
bool AppendRequest(const Argument *arguments, int count, char **bytes, size_t *size) noexcept {
  char *request = nullptr;
  size_t request_size = 0;
  if (!FormatRequest(arguments, count, &request, &request_size)) return false;
  char *grown = static_cast<char *>(realloc(*bytes, *size + request_size));
  if (grown != nullptr) {
    memcpy(grown + *size, request, request_size);
    *bytes = grown;
    *size += request_size;
  }
  free(request);
  return grown != nullptr;
}

bool IsMaster(const Reply &role) noexcept {
  if (role.type != Reply::Type::kArray || role.element_count == 0) return false;
  const Reply &name = role.elements[0];
  return name.type == Reply::Type::kString && name.size == 6 && memcmp(name.bytes, "master", 6) == 0;
}

}  // namespace

bool Connection::FormatLogin() noexcept {
  step_count_ = steps_answered_ = 0;
  login_size_ = login_written_ = 0;
  if (login_.password[0] != '\0') {
    const bool has_user = login_.user[0] != '\0';
    const Argument auth[] = {Word("AUTH"), Word(has_user ? login_.user : login_.password), Word(login_.password)};
    if (!AppendRequest(auth, has_user ? 3 : 2, &login_request_, &login_size_)) return false;
    steps_[step_count_++] = LoginStep::kAuth;
  }
  if (login_.wants_master) {
    const Argument role[] = {Word("ROLE")};
    if (!AppendRequest(role, 1, &login_request_, &login_size_)) return false;
    steps_[step_count_++] = LoginStep::kRole;
  }
  if (login_.database != 0) {
    char number[8];
    snprintf(number, sizeof number, "%u", static_cast<unsigned>(login_.database));
    const Argument select[] = {Word("SELECT"), Word(number)};
    if (!AppendRequest(select, 2, &login_request_, &login_size_)) return false;
    steps_[step_count_++] = LoginStep::kSelect;
  }
  // Also the first sign that somebody is there who speaks the protocol and lets us in.
  const Argument name[] = {Word("CLIENT"), Word("SETNAME"), Word("pg_aggcache")};
  if (!AppendRequest(name, 3, &login_request_, &login_size_)) return false;
  steps_[step_count_++] = LoginStep::kName;
  return true;
}

void Connection::BeginLogin(int64_t now) noexcept {
  if (!FormatLogin()) return Fail(Failure::kLocal, "out of memory", nullptr, now);
  state_ = State::kLogin;
  SendLogin(now);
}

void Connection::SendLogin(int64_t now) noexcept {
  while (login_written_ < login_size_) {
    const iovec part{login_request_ + login_written_, login_size_ - login_written_};
    const int64_t written = WriteSome(&part, 1);
    if (written < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) WriteFailed(errno, now);
      return;
    }
    login_written_ += static_cast<size_t>(written);
    listener_->Moved(static_cast<uint64_t>(written), 0);
  }
}

void Connection::TakeLoginReply(ReplyReader::Outcome outcome, const Reply &reply, int64_t now) noexcept {
  const LoginStep step = steps_[steps_answered_++];
  if (outcome == ReplyReader::Outcome::kError) {
    const char *text = reader_.Text();
    Failure failure = reader_.FailureSeen();
    switch (step) {
      case LoginStep::kAuth:
        if (failure == Failure::kReply) {
          // of old servers: ERR invalid password; or the server knows no AUTH, and repeats what it was sent
          failure = Failure::kAuthentication;
          text = "the server refuses AUTH";
        }
        return Fail(failure, text, nullptr, now);
      case LoginStep::kSelect: return Fail(failure, text, nullptr, now);
      case LoginStep::kRole:
      case LoginStep::kName:
        // nice to have, but not every user may, nor does every server know it
        if (!StartsWithWord(text, "NOPERM") && strncmp(text, "ERR unknown", 11) != 0) {
          return Fail(failure, text, nullptr, now);
        }
        break;
    }
  } else if (step == LoginStep::kRole && !IsMaster(reply)) {
    return Fail(Failure::kCluster, "the node is not a master", nullptr, now);
  }
  if (steps_answered_ == step_count_) Open(now);
}

}  // namespace redis
}  // namespace aggcache
