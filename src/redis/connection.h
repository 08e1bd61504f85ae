// One connection to one Redis: connects, logs in, sends the commands of its queue in order and gives each its reply.
//
//   closed -> (looking up the host ->) (full backlog ->) connecting -> (TLS ->) logging in -> open
//
// A command enters at any time; it is sent when the connection is open. Whatever goes wrong closes the connection and
// leaves its commands in the queue for the listener, who decides which of them can be sent anew.
//
// A command has its timeout from when it is sent. While its request goes out, or the reply that it waits for comes
// in, the
// timeout counts from the last byte that moved. So that nobody is held up by a byte now and then, all together may take
// no longer than kMostTimeouts of them and the time that the bytes which have moved take at kSlowest.

#ifndef AGGCACHE_REDIS_CONNECTION_H
#define AGGCACHE_REDIS_CONNECTION_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"
#include "redis/command.h"
#include "redis/lookup.h"
#include "redis/reply.h"
#include "redis/tls.h"

struct iovec;
struct redisContext;

namespace aggcache {
namespace redis {

class Connection;

// Why a connection was closed.
struct Loss {
  Failure failure;
  const char *text;  // good during the call
  bool was_open;     // not still connecting or logging in
  Command *culprit;  // the command that timed out or got nonsense, at most one; NULL: all are concerned alike
  bool was_silent;   // nothing was received since the connection had nothing to do: it may have been dead before
  bool in_large;     // the first command is_large
};

// What its owner is told. A listener may use the connection from within: send on it, close it.
class ConnectionListener {
 public:
  // A reply for a command, which has left the queue: in command->reply if failure is kNone.
  virtual void Answered(Connection *connection, Command *command, Failure failure, const char *text,
                        int64_t now) noexcept = 0;
  // The connection is closed, and its commands wait for TakeCommands.
  virtual void Lost(Connection *connection, const Loss &loss, int64_t now) noexcept = 0;
  // The server closed the connection when there was nothing to do.
  virtual void ClosedIdle(Connection *connection) noexcept = 0;
  virtual void Moved(uint64_t sent, uint64_t received) noexcept = 0;

 protected:
  ~ConnectionListener() = default;
};

// How to log in. The strings are the owner's.
struct Login {
  const char *user;      // empty: the default user
  const char *password;  // empty: no AUTH
  uint16_t database;
  bool wants_master;    // ask for the node's role, and leave one that is none
  TlsAuthorities *tls;  // NULL: no TLS
};

// What the connections of a client share.
struct Outgoing {
  uint64_t unsent_bytes;  // of requests
  bool is_held;           // requests are queued, and sent by Advance
};

class Connection {
 public:
  // `name_servers`: see Options; the caller's.
  Connection(ConnectionListener *listener, Outgoing *outgoing, const char *name_servers) noexcept
      : listener_(listener), outgoing_(outgoing), name_servers_(name_servers) {}
  ~Connection() noexcept { Close(); }
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  // REQUIRES: closed, and nothing in the queue.
  void SetTarget(const Endpoint &endpoint, const Login &login) noexcept;
  const Endpoint &Target() const noexcept { return endpoint_; }

  // Connects if need be, by connect_deadline, and sends what can be sent at once.
  void Enqueue(Command *command, int64_t connect_deadline, int64_t now) noexcept;
  // Does what can be done without waiting. Looks at a connection that has nothing to do only if asked to.
  void Advance(bool even_idle, int64_t now) noexcept;

  bool IsClosed() const noexcept { return state_ == State::kClosed; }
  bool IsOpen() const noexcept { return state_ == State::kOpen; }
  bool HasCommands() const noexcept { return !queue_.IsEmpty(); }
  // The sockets to wait for, at most `limit`; returns how many.
  int Interests(Interest *interests, int limit) const noexcept;
  int64_t Deadline() const noexcept;

  void TakeCommands(CommandQueue *commands) noexcept;
  // Tells nobody. Commands stay in the queue.
  void Close() noexcept;
  // Can be called from a signal handler.
  void ShutdownSocket() const noexcept;

 private:
  enum class State : uint8_t { kClosed, kLookup, kBacklog, kConnecting, kTls, kLogin, kOpen };
  enum class LoginStep : uint8_t { kAuth, kRole, kSelect, kName };
  static constexpr int kLoginSteps = 4;

  void Start(int64_t now) noexcept;
  void SettleLookup(int64_t now) noexcept;
  void ConnectTo(const char *address, int64_t now) noexcept;
  void NotConnected(Failure failure, const char *text, int64_t now) noexcept;
  void AdvanceConnecting(int64_t now) noexcept;
  void AdvanceTls(Tls::Progress progress, int64_t now) noexcept;
  void BeginLogin(int64_t now) noexcept;
  bool FormatLogin() noexcept;
  void SendLogin(int64_t now) noexcept;
  void TakeLoginReply(ReplyReader::Outcome outcome, const Reply &reply, int64_t now) noexcept;
  void Open(int64_t now) noexcept;
  void Send(int64_t now) noexcept;
  void Receive(int64_t now) noexcept;
  void TakeReplies(int64_t now) noexcept;
  void TakeCommandReply(ReplyReader::Outcome outcome, Reply *reply, int64_t now) noexcept;
  void CheckTime(int64_t now) noexcept;
  void SetDeadline(Command *command, int64_t now) noexcept;
  int64_t DeadlineOf(const Command &command) const noexcept;
  bool Drains() noexcept;
  void WriteFailed(int error, int64_t now) noexcept;
  void Fail(Failure failure, const char *text, Command *culprit, int64_t now) noexcept;
  // Like write and read: -1 and errno, EAGAIN if it would wait.
  int64_t WriteSome(const iovec *parts, int count) noexcept;
  int64_t ReadSome(char *bytes, size_t size) noexcept;

  ConnectionListener *const listener_;
  Outgoing *const outgoing_;
  const char *const name_servers_;
  Endpoint endpoint_{};
  Login login_{};
  State state_ = State::kClosed;
  bool silent_ = false;     // see Loss
  bool is_ordered_ = true;  // no command's deadline is before that of one ahead of it
  int64_t progress_ = 0;    // when bytes last moved that the first command waits for; 0: not since the queue was empty
  uint64_t moved_ = 0;      // bytes, either way, since the queue was empty
  size_t reply_bytes_ = 0;  // received of the reply that is not complete
  int held_ = 0;            // bytes that the system had not delivered when Drains last looked
  volatile int socket_ = -1;  // read by a signal handler
  uint64_t number_ = 0;       // of this connection among all; another one for every socket
  redisContext *context_ = nullptr;
  int64_t connect_deadline_ = 0;
  int64_t next_try_ = 0;  // kBacklog, kLookup
  HostLookup lookup_;
  bool is_looked_up_ = false;  // the addresses are lookup_'s
  ReplyReader reader_;
  Tls tls_;
  bool tls_writes_ = false;  // its handshake waits until it can write

  LoginStep steps_[kLoginSteps];
  int step_count_ = 0;
  int steps_answered_ = 0;
  char *login_request_ = nullptr;
  size_t login_size_ = 0;
  size_t login_written_ = 0;

  CommandQueue queue_;         // waiting for their replies, then waiting to be sent
  Command *unsent_ = nullptr;  // the first of the queue that is not sent completely
};

}  // namespace redis
}  // namespace aggcache

#endif
