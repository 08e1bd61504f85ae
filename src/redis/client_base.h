// What the clients of all topologies share: the table of tickets, the life of a command, the connections. Which
// connection a command takes is theirs.

#ifndef AGGCACHE_REDIS_CLIENT_BASE_H
#define AGGCACHE_REDIS_CLIENT_BASE_H

#include <cstdint>

#include "redis/client.h"
#include "redis/command.h"
#include "redis/connection.h"

namespace aggcache {
namespace redis {

class ClientBase : public Client, protected ConnectionListener {
 public:
  virtual ~ClientBase() noexcept;
  ClientBase(const ClientBase &) = delete;
  ClientBase &operator=(const ClientBase &) = delete;

  void SetTimeouts(int64_t connect_timeout, int64_t command_timeout) noexcept override;
  Ticket Submit(const Argument *arguments, int count, int64_t now) noexcept override;
  Ticket SubmitTo(int master, const Argument *arguments, int count, int64_t now) noexcept override;
  void Hold() noexcept override { outgoing_.is_held = true; }
  int MasterCount() const noexcept override { return 1; }
  void Advance(int64_t now) noexcept override;
  int Interests(Interest *interests, int limit) const noexcept override;
  int64_t Deadline() const noexcept override;
  bool IsIdle() const noexcept override { return pending_ == 0; }
  bool IsDone(Ticket ticket) const noexcept override;
  bool IsSent(Ticket ticket) const noexcept override;
  Failure FailureOf(Ticket ticket) const noexcept override;
  const Reply &ReplyOf(Ticket ticket) const noexcept override;
  void Forget(Ticket ticket) noexcept override;
  void ForgetAll() noexcept override;
  void Close() noexcept override;
  void ShutdownSockets() const noexcept override;

  // Called once, before all else. False: no memory.
  virtual bool Prepare() noexcept;

 protected:
  ClientBase(const Options &options, int most_connections) noexcept
      : options_(options), tls_authorities_(options_.certificates), most_connections_(most_connections) {}

  // Finds a command its connection, or puts it into waiting_, or completes it with a failure.
  virtual void Route(Command *command, int64_t now) noexcept = 0;
  // The cluster slot of a key.
  virtual int32_t SlotOf(const Argument &) const noexcept { return 0; }
  // What is to be done besides connections, and when at the latest.
  virtual void AdvanceTopology(int64_t) noexcept {}
  virtual int64_t TopologyDeadline() const noexcept { return INT64_MAX; }
  // After Close: what was going on is not going on any more.
  virtual void ResetTopology() noexcept {}

  void Answered(Connection *connection, Command *command, Failure failure, const char *text,
                int64_t now) noexcept override;
  void Lost(Connection *connection, const Loss &loss, int64_t now) noexcept override;
  void ClosedIdle(Connection *) noexcept override {}
  void Moved(uint64_t sent, uint64_t received) noexcept override;

  // A connection more, for the client's life. NULL: no memory, or there are most_connections.
  Connection *AddConnection() noexcept;
  // How to log in to a node that holds data.
  Login DataLogin() noexcept;
  // A deadline for connecting that began earlier, or begins now if that is over.
  int64_t ConnectDeadline(int64_t begun_deadline, int64_t now) const noexcept;

  // The command has its reply, or will not have one.
  void Complete(Command *command, Failure failure, const char *text, int64_t now) noexcept;
  void CompleteAll(CommandQueue *commands, Failure failure, const char *text, int64_t now) noexcept;
  // A command that left its queue without reply is all unsent again.
  void PutBack(Command *command) noexcept;
  // Sends a command anew that may be sent anew. REQUIRES: it stands in no queue.
  void Repeat(Command *command, int64_t now) noexcept;
  // What becomes of the commands of a lost connection.
  void SettleLoss(Connection *connection, const Loss &loss, int64_t now) noexcept;
  void TellFailed(Failure failure, const char *text, About about = About::kServer) const noexcept;

  TlsAuthorities *Authorities() noexcept { return options_.target.tls ? &tls_authorities_ : nullptr; }

  Options options_;
  TlsAuthorities tls_authorities_;
  CommandQueue waiting_;  // for where to go
  Outgoing outgoing_{};

 private:
  static constexpr int kTicketIndexBits = 20;

  Ticket SubmitAt(int32_t place, const Argument *arguments, int count, int64_t now) noexcept;
  Ticket Refuse(const char *text) const noexcept;
  Command *Find(Ticket ticket) const noexcept;
  Command *TakePlace() noexcept;
  void Release(Command *command) noexcept;

  const int most_connections_;
  Connection **connections_ = nullptr;
  volatile int connection_count_ = 0;  // read by a signal handler

  Command *commands_ = nullptr;  // most_commands places
  uint32_t places_used_ = 0;     // so many of them have ever been taken
  Command *free_places_ = nullptr;
  uint64_t last_number_ = 0;  // of a ticket
  uint32_t pending_ = 0;      // commands without reply
};

}  // namespace redis
}  // namespace aggcache

#endif
