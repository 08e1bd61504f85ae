// The words of the client: commands, replies, failures, options, and what waits for what.

#ifndef AGGCACHE_REDIS_TYPES_H
#define AGGCACHE_REDIS_TYPES_H

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

}  // namespace redis
}  // namespace aggcache

#endif
