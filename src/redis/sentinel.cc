// SentinelClient: asks the Sentinels, in turn, for the master; asks the node whether it is one (ROLE, part of logging
// in); asks again when the connection is lost or the node says that it is a replica.

#include "redis/sentinel.h"

#include <cstring>
#include <new>

#include "redis/seeking_client.h"
#include "redis/slots.h"

namespace aggcache {
namespace redis {
namespace {

class SentinelClient final : public SeekingClient {
 public:
  explicit SentinelClient(const Options &options) noexcept : SeekingClient(options, 1) {}

  bool Prepare() noexcept override {
    if (!SeekingClient::Prepare()) return false;
    master_ = AddConnection();
    return master_ != nullptr;
  }

 private:
  int CandidateCount() const noexcept override { return options_.target.seed_count; }
  const Endpoint &Candidate(int index) const noexcept override { return options_.target.seeds[index]; }
  // The password is the master's; most Sentinels want none, and one that wants none refuses any.
  bool AsksWithPassword() const noexcept override { return false; }
  const char *NobodyKnows() const noexcept override { return "no Sentinel knows the master"; }
  bool FormatQuestion(char **request, size_t *size) const noexcept override;
  bool TakeAnswer(const Reply &reply, int64_t now) noexcept override;
  void Route(Command *command, int64_t now) noexcept override;
  void DataAnswered(Connection *connection, Command *command, Failure failure, const char *text,
                    int64_t now) noexcept override;
  void DataLost(Connection *connection, const Loss &loss, int64_t now) noexcept override;
  void ClosedIdle(Connection *) noexcept override { is_known_ = false; }

  Connection *master_ = nullptr;
  bool is_known_ = false;     // master_ has its target
  bool is_doubtful_ = false;  // it has not been reached since a Sentinel named it
};

bool SentinelClient::FormatQuestion(char **request, size_t *size) const noexcept {
  const char *master = options_.target.master;
  const Argument words[] = {{"SENTINEL", 8}, {"get-master-addr-by-name", 23}, {master, strlen(master)}};
  return FormatRequest(words, 3, request, size);
}

bool SentinelClient::TakeAnswer(const Reply &reply, int64_t now) noexcept {
  Endpoint endpoint;
  if (reply.type != Reply::Type::kArray || reply.element_count != 2 ||
      !ReadEndpoint(reply.elements[0], reply.elements[1], &endpoint)) {
    return false;
  }
  master_->SetTarget(endpoint, DataLogin());
  is_known_ = is_doubtful_ = true;
  RouteWaiting(now);
  return true;
}

void SentinelClient::Route(Command *command, int64_t now) noexcept {
  if (is_known_) return master_->Enqueue(command, ConnectBy(now), now);
  waiting_.Append(command);
  Seek(now);
}

void SentinelClient::DataAnswered(Connection *, Command *command, Failure failure, const char *text,
                                  int64_t now) noexcept {
  is_doubtful_ = false;
  if (failure != Failure::kReadOnly || command->is_repeated || !StartsWithWord(text, "READONLY")) {
    return Complete(command, failure, text, now);
  }
  // It has become a replica. Who is the master now gets what this one was sent.
  CommandQueue commands;
  master_->Close();
  master_->TakeCommands(&commands);
  is_known_ = false;
  Repeat(command, now);
  while (Command *other = commands.TakeFirst()) {
    if (other->is_repeatable && !other->is_repeated) {
      Repeat(other, now);
    } else {
      Complete(other, Failure::kConnect, "the master has become a replica", now);
    }
  }
}

void SentinelClient::DataLost(Connection *, const Loss &loss, int64_t now) noexcept {
  is_known_ = false;
  const bool never_reached =
      is_doubtful_ && !loss.was_open && (loss.failure == Failure::kConnect || loss.failure == Failure::kCluster);
  is_doubtful_ = false;
  if (!never_reached) return SettleLoss(master_, loss, now);
  // Another Sentinel may know better.
  CommandQueue commands;
  master_->TakeCommands(&commands);
  while (Command *command = commands.TakeFirst()) {
    PutBack(command);
    waiting_.Append(command);
  }
  SeekOn(loss.failure, loss.text, now);
}

}  // namespace

ClientBase *MakeSentinelClient(const Options &options) noexcept { return new (std::nothrow) SentinelClient(options); }

}  // namespace redis
}  // namespace aggcache
