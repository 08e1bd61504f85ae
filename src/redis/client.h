// A client of Redis that never waits: a state machine over non-blocking sockets. Whoever uses it waits for the sockets
// that Interests() lists and calls Advance().
//
// A command is submitted and gets a ticket; its reply, or why there is none, is kept until the ticket is given back by
// Forget(), which may come first: the reply is then read and dropped. So a caller can leave at any time, at a cancel
// for instance, and the client goes on where it was.
//
// It connects when a command needs it (host names, TCP or Unix socket, TLS, AUTH, SELECT), asks Sentinels for the
// master, follows a cluster's slot map and its MOVED and ASK redirections. A connection on which a command timed out is
// closed: what comes late is never taken for the reply to another command. A timeout counts from the last sign of
// progress,
// so that a large value takes as long as it takes, but for one that is slower than kSlowest (connection.cc). A
// server that has closed an idle connection,
// or was started anew, is not a failure: what can be repeated without harm is sent once more on a new connection.
//
// Everything is noexcept. Memory that cannot be had, here or in hiredis, fails the command (kLocal).

#ifndef AGGCACHE_REDIS_CLIENT_H
#define AGGCACHE_REDIS_CLIENT_H

#include <cstddef>
#include <cstdint>

#include "redis/url.h"

namespace aggcache {
namespace redis {

enum class Failure : uint8_t {
  kNone,
  kConnect,         // no connection, or it broke
  kTimeout,         // connecting or the reply took too long
  kProtocol,        // what came is not a reply, or not one that fits the command
  kAuthentication,  // NOAUTH, WRONGPASS, NOPERM, a TLS certificate that does not verify
  kOutOfMemory,     // OOM: Redis is full
  kReadOnly,        // READONLY, NOREPLICAS, MISCONF: Redis takes no writes
  kLoading,         // LOADING, BUSY, MASTERDOWN, TRYAGAIN: it is not ready
  kCluster,         // CLUSTERDOWN, no node for a slot, redirected too often, no master known to a Sentinel
  kReply,           // any other error
  kLocal,           // no memory here, or too much in flight
  kCount
};

struct Argument {
  const void *bytes;
  size_t size;
};

struct Reply {
  enum class Type : uint8_t { kNil, kString, kStatus, kInteger, kArray };
  Type type;
  int64_t integer;
  const char *bytes;  // of kString and kStatus; not terminated
  size_t size;
  const Reply *elements;  // of kArray
  size_t element_count;
};

// What a failure says something of.
enum class About : uint8_t {
  kServer,  // whether Redis can be used
  kWrites,  // whether it takes changes: it refused one, and may answer what changes nothing
  kValue    // this value alone: more than kLargeValue bytes of it had moved, and small ones may well get through
};
constexpr size_t kLargeValue = 64 * 1024;

// What the client tells as it happens. Called from Submit and Advance; must not call the client, nor leave by a
// jump.
struct Observer {
  void (*answered)(void *context, int64_t microseconds) noexcept;  // any reply but an error, since Submit
  // Once for each command that fails, and for a connection that fails without one. `text` is good during the call.
  void (*failed)(void *context, Failure failure, About about, const char *text) noexcept;
  void (*moved)(void *context, uint64_t sent, uint64_t received) noexcept;  // bytes over sockets
  void *context;
};

// All times are microseconds of a clock that the caller chooses.
struct Options {
  Target target;
  int64_t connect_timeout;  // from looking up the host to the end of AUTH and SELECT
  int64_t
      command_timeout;     // from Submit to the reply, connecting left out; begins anew while bytes move (connection.h)
  uint32_t most_commands;  // in flight; more are refused (kLocal)
  uint64_t most_bytes;     // not yet sent, one command excepted
  char certificates[1024];  // file of certificate authorities for TLS; empty: the system's
  char name_servers[256];   // "address:port,…" to look up hosts by; empty: the machine's
  Observer observer;
};

// A socket that is waited for. `connection` differs for every connection ever made, so that a number of a file that was
// closed and opened again is not taken for the same.
struct Interest {
  int socket;
  bool readable;
  bool writable;
  uint64_t connection;
};

using Ticket = uint64_t;
constexpr Ticket kNoTicket = 0;

class Client {
 public:
  // NULL: no memory. *error gets a static text if the target cannot be had with this build (TLS), else NULL.
  static Client *Create(const Options &options, const char **error) noexcept;
  static void Destroy(Client *client) noexcept;

  // Changed timeouts count for what is submitted from now on.
  virtual void SetTimeouts(int64_t connect_timeout, int64_t command_timeout) noexcept = 0;

  // Submits a command. arguments[1], if there is one, is its key, which chooses the node of a cluster. Sends what can
  // be sent at once. kNoTicket: refused, and the observer was told why.
  virtual Ticket Submit(const Argument *arguments, int count, int64_t now) noexcept = 0;
  // The same to one master: `master` counts from 0 to MasterCount() - 1. For commands that are not about a key.
  virtual Ticket SubmitTo(int master, const Argument *arguments, int count, int64_t now) noexcept = 0;
  // What is submitted from now on is sent by the next Advance: many commands in one write.
  virtual void Hold() noexcept = 0;
  // 1 but for a cluster, whose slot map may not be known yet: 0 then.
  virtual int MasterCount() const noexcept = 0;

  // Does all that can be done without waiting: connects, sends, receives, times out.
  virtual void Advance(int64_t now) noexcept = 0;
  // The sockets to wait for, at most `limit`; returns how many.
  virtual int Interests(Interest *interests, int limit) const noexcept = 0;
  // When Advance has to be called though no socket is ready; INT64_MAX: never.
  virtual int64_t Deadline() const noexcept = 0;
  // Whether all commands are answered.
  virtual bool IsIdle() const noexcept = 0;

  virtual bool IsDone(Ticket ticket) const noexcept = 0;
  // Whether the system has taken all of the command's bytes, or it is done.
  virtual bool IsSent(Ticket ticket) const noexcept = 0;
  // REQUIRES: IsDone. The reply is good until Forget, and only if there is no failure.
  virtual Failure FailureOf(Ticket ticket) const noexcept = 0;
  virtual const Reply &ReplyOf(Ticket ticket) const noexcept = 0;
  // The reply is not wanted, or not any more. Does nothing for kNoTicket.
  virtual void Forget(Ticket ticket) noexcept = 0;
  // Forgets every ticket.
  virtual void ForgetAll() noexcept = 0;

  // Closes all connections; commands in flight fail with kConnect, without telling the observer.
  virtual void Close() noexcept = 0;
  // Shuts the open sockets down, no more; Advance finds them closed. Can be called from a signal handler.
  virtual void ShutdownSockets() const noexcept = 0;

 protected:
  Client() = default;
  ~Client() = default;
};

}  // namespace redis
}  // namespace aggcache

#endif
