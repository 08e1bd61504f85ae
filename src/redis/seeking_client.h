// A client that does not know where to go: it asks others, one after the other, until one gives a useful answer. All
// have one connect timeout together, each a fair share of what is left of it.

#ifndef AGGCACHE_REDIS_SEEKING_CLIENT_H
#define AGGCACHE_REDIS_SEEKING_CLIENT_H

#include <cstdint>

#include "redis/client_base.h"

namespace aggcache {
namespace redis {

class SeekingClient : public ClientBase {
 public:
  ~SeekingClient() noexcept override;
  bool Prepare() noexcept override;

 protected:
  SeekingClient(const Options &options, int most_connections) noexcept : ClientBase(options, most_connections + 1) {}

  // Whom to ask, from 0. Whoever gave the last useful answer is asked first.
  virtual int CandidateCount() const noexcept = 0;
  virtual const Endpoint &Candidate(int index) const noexcept = 0;
  virtual bool AsksWithPassword() const noexcept = 0;  // or only who wants one
  virtual const char *NobodyKnows() const noexcept = 0;
  virtual bool FormatQuestion(char **request, size_t *size) const noexcept = 0;
  // False: the answer is of no use, and the next one is asked.
  virtual bool TakeAnswer(const Reply &reply, int64_t now) noexcept = 0;

  // Begins to ask, unless it is being asked.
  void Seek(int64_t now) noexcept;
  // Goes on with those who were not asked yet: what the last one said was not true.
  void SeekOn(Failure failure, const char *text, int64_t now) noexcept;
  bool IsSeeking() const noexcept { return seeking_; }
  // Routes the commands that wait.
  void RouteWaiting(int64_t now) noexcept;
  // By when a connection has to be there that is opened now.
  int64_t ConnectBy(int64_t now) const noexcept;
  const Endpoint &Asked() const noexcept { return asker_->Target(); }

  void Answered(Connection *connection, Command *command, Failure failure, const char *text,
                int64_t now) noexcept override;
  void Lost(Connection *connection, const Loss &loss, int64_t now) noexcept override;
  void ResetTopology() noexcept override;

  // Of the connections that hold data.
  virtual void DataAnswered(Connection *connection, Command *command, Failure failure, const char *text,
                            int64_t now) noexcept = 0;
  virtual void DataLost(Connection *connection, const Loss &loss, int64_t now) noexcept = 0;

  int64_t last_seek_ = 0;  // when asking began

 private:
  void AskNext(Failure failure, const char *text, int64_t now) noexcept;
  void Ask(int64_t now) noexcept;
  void DropQuestion() noexcept;

  Connection *asker_ = nullptr;
  Command question_{};
  bool seeking_ = false;
  bool with_password_ = false;
  bool routing_waiting_ = false;
  int useful_ = 0;     // who gave the last useful answer
  int first_ = 0;      // whom this search began with
  int asked_ = 0;      // how many candidates since
  int candidate_ = 0;  // who is asked
  int64_t seek_deadline_ = 0;
};

}  // namespace redis
}  // namespace aggcache

#endif
