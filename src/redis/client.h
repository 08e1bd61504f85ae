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
// progress, so that a large value takes as long as it takes, but for one that is slower than kSlowest (connection.cc).
// A server that has closed an idle connection, or was started anew, is not a failure: what can be repeated without harm
// is sent once more on a new connection.
//
// Everything is noexcept. Memory that cannot be had, here or in hiredis, fails the command (kLocal).

#ifndef AGGCACHE_REDIS_CLIENT_H
#define AGGCACHE_REDIS_CLIENT_H

#include <cstdint>

#include "redis/types.h"

namespace aggcache {
namespace redis {

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
