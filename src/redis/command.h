// A command on its way: its bytes as they are sent, what is known of it, and the queue it stands in.

#ifndef AGGCACHE_REDIS_COMMAND_H
#define AGGCACHE_REDIS_COMMAND_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"

namespace aggcache {
namespace redis {

struct Command {
  Command *next;  // in its queue, or in the list of free places
  Ticket ticket;  // kNoTicket: a free place, or a question of the client's own
  char *request;
  size_t size;
  size_t written;  // of the request, on the connection in whose queue it stands
  int64_t submitted;
  int64_t timeout;   // from sending, or from the end of the connection's handshake
  int64_t longest;   // from Submit, whatever happens: for who is sent more than once
  int64_t deadline;  // if nothing moves; INT64_MAX while the connection is not open
  int32_t place;     // of a cluster: the key's slot, or of SubmitTo ~master
  uint8_t redirections;
  bool is_done;
  bool is_forgotten;
  bool is_repeatable;  // may reach the server twice without harm
  bool is_write;       // asks for changes
  bool is_answered;    // the server has replied to this very command
  bool is_repeated;    // was sent anew because a connection was lost
  bool is_bounded;     // its time counts from Submit
  bool is_large;       // more than kLargeValue of it or of its reply have moved, or of what it stood behind
  bool asks;           // its request begins with ASKING
  uint8_t skips;       // how many replies come before its own
  Failure failure;
  Reply reply;
};

// The words of a request in Redis's protocol, in memory of its own. False: no memory, or larger than memory can be.
bool FormatRequest(const Argument *arguments, int count, char **request, size_t *size) noexcept;

// Puts ASKING before a command's request, or takes it away. False: no memory.
bool SetAsking(Command *command, bool asks) noexcept;

// Whether a command changes data, of those that this client is used for.
bool IsWrite(const Argument *arguments) noexcept;

// Whether a command can be sent once more when nobody knows if the server has had it.
bool IsRepeatable(const Argument *arguments, int count) noexcept;

// First in, first out. Owns nothing.
class CommandQueue {
 public:
  bool IsEmpty() const noexcept { return first_ == nullptr; }
  Command *First() const noexcept { return first_; }
  void Append(Command *command) noexcept;
  Command *TakeFirst() noexcept;              // NULL: empty
  void TakeAll(CommandQueue *from) noexcept;  // appends all of another queue

 private:
  Command *first_ = nullptr;
  Command *last_ = nullptr;
};

}  // namespace redis
}  // namespace aggcache

#endif
