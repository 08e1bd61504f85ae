// SeekingClient: one connection that asks, closed as soon as it has its answer.

#include "redis/seeking_client.h"

#include <cstdio>
#include <cstdlib>

namespace aggcache {
namespace redis {

SeekingClient::~SeekingClient() noexcept { free(question_.request); }

bool SeekingClient::Prepare() noexcept {
  if (!ClientBase::Prepare()) return false;
  asker_ = AddConnection();
  return asker_ != nullptr;
}

void SeekingClient::Seek(int64_t now) noexcept {
  if (seeking_) return;
  seeking_ = true;
  asked_ = 0;
  first_ = useful_;
  last_seek_ = now;
  seek_deadline_ = now + options_.connect_timeout;
  AskNext(Failure::kCluster, "there is nobody to ask", now);
}

void SeekingClient::SeekOn(Failure failure, const char *text, int64_t now) noexcept {
  seeking_ = true;
  AskNext(failure, text, now);
}

// Asks the next candidate; if there is none, or no time, what waits fails with what went wrong last.
void SeekingClient::AskNext(Failure failure, const char *text, int64_t now) noexcept {
  const int count = CandidateCount();
  if (asked_ == 0 ? count == 0 : (asked_ >= count || now >= seek_deadline_)) {
    seeking_ = false;
    CommandQueue commands;
    commands.TakeAll(&waiting_);
    return CompleteAll(&commands, failure, text, now);
  }
  candidate_ = (first_ + asked_++) % count;
  with_password_ = AsksWithPassword();
  Ask(now);
}

void SeekingClient::Ask(int64_t now) noexcept {
  const Target &target = options_.target;
  const Login login{with_password_ ? target.user : "", with_password_ ? target.password : "", 0, false, Authorities()};
  asker_->SetTarget(Candidate(candidate_), login);
  if (!FormatQuestion(&question_.request, &question_.size)) {
    asked_ = CandidateCount();
    return AskNext(Failure::kLocal, "out of memory", now);
  }
  outgoing_.unsent_bytes += question_.size;
  const int left = CandidateCount() - asked_ + 1;
  const int64_t time = seek_deadline_ > now ? seek_deadline_ - now : options_.connect_timeout;
  question_.longest = now + (left > 1 ? time / left : time);
  question_.timeout = time;
  question_.is_bounded = true;
  asker_->Enqueue(&question_, question_.longest, now);
}

void SeekingClient::DropQuestion() noexcept {
  if (question_.request != nullptr) outgoing_.unsent_bytes -= question_.size - question_.written;
  free(question_.request);
  FreeReply(&question_.reply);
  question_ = Command{};
}

void SeekingClient::Answered(Connection *connection, Command *command, Failure failure, const char *text,
                             int64_t now) noexcept {
  if (connection != asker_) return DataAnswered(connection, command, failure, text, now);
  char kept[256];  // the reader goes with the connection
  snprintf(kept, sizeof kept, "%s", text);
  asker_->Close();
  const Reply reply = question_.reply;
  question_.reply = Reply{};
  DropQuestion();
  seeking_ = false;
  bool useful = false;
  if (failure == Failure::kNone) {
    const int candidate = candidate_;
    useful = TakeAnswer(reply, now);
    if (useful) {
      useful_ = candidate;
    } else {
      failure = Failure::kCluster;
      snprintf(kept, sizeof kept, "%s", NobodyKnows());
    }
  }
  Reply spent = reply;
  FreeReply(&spent);
  if (!useful) SeekOn(failure, kept, now);
}

void SeekingClient::Lost(Connection *connection, const Loss &loss, int64_t now) noexcept {
  if (connection != asker_) return DataLost(connection, loss, now);
  CommandQueue questions;
  asker_->TakeCommands(&questions);
  DropQuestion();
  if (loss.failure == Failure::kAuthentication && !with_password_ && options_.target.password[0] != '\0') {
    with_password_ = true;
    return Ask(now);
  }
  AskNext(loss.failure, loss.text, now);
}

void SeekingClient::RouteWaiting(int64_t now) noexcept {
  CommandQueue commands;
  commands.TakeAll(&waiting_);
  routing_waiting_ = true;
  while (Command *command = commands.TakeFirst()) Route(command, now);
  routing_waiting_ = false;
}

int64_t SeekingClient::ConnectBy(int64_t now) const noexcept {
  return routing_waiting_ ? ConnectDeadline(seek_deadline_, now) : now + options_.connect_timeout;
}

void SeekingClient::ResetTopology() noexcept {
  DropQuestion();
  seeking_ = false;
}

}  // namespace redis
}  // namespace aggcache
