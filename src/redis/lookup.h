// The addresses of a host, looked up without waiting: c-ares asks the hosts file and the name servers of this machine.
//
// IPv6 is asked for only if the name has no IPv4 address, as hiredis does: a lost answer to a question that hardly any
// Redis needs would hold up all the others.

#ifndef AGGCACHE_REDIS_LOOKUP_H
#define AGGCACHE_REDIS_LOOKUP_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"

struct ares_addrinfo;
struct ares_channeldata;

namespace aggcache {
namespace redis {

// A number for Interest::connection that was never given before.
uint64_t NextConnectionNumber() noexcept;

class HostLookup {
 public:
  enum class State : uint8_t { kNone, kRunning, kDone, kFailed };

  HostLookup() = default;
  ~HostLookup() noexcept { End(); }
  HostLookup(const HostLookup &) = delete;
  HostLookup &operator=(const HostLookup &) = delete;

  // Whether `host` is an address in numbers, which nobody need be asked for.
  static bool IsNumeric(const char *host) noexcept;

  // `name_servers` are "address:port,…"; empty: the machine's. May be done at once.
  void Begin(const char *host, const char *name_servers) noexcept;
  // Reads answers, asks again.
  void Advance() noexcept;
  // Closes all sockets. The addresses and the text stay.
  void End() noexcept;

  State Progress() const noexcept { return state_; }
  // In numbers; NULL if there are no more. REQUIRES: kDone.
  const char *NextAddress() noexcept;
  // REQUIRES: kFailed.
  Failure FailureSeen() const noexcept { return failure_; }
  const char *Text() const noexcept { return text_; }

  // The sockets to wait for, at most `limit`; returns how many.
  int Interests(Interest *interests, int limit) const noexcept;
  // Microseconds until Advance has to be called though no socket is ready.
  int64_t Patience() const noexcept;

 private:
  static constexpr int kMostSockets = 8;
  static constexpr int kMostAddresses = 8;
  static constexpr size_t kAddressSize = 64;  // of IPv6 in numbers with its scope, and a zero

  static void SocketChanged(void *self, int socket, int readable, int writable) noexcept;
  static void Answered(void *self, int status, int timeouts, ares_addrinfo *found) noexcept;
  void Ask(int family) noexcept;
  void Keep(const ares_addrinfo &found) noexcept;
  void Fail(int status) noexcept;

  State state_ = State::kNone;
  Failure failure_ = Failure::kNone;
  ares_channeldata *channel_ = nullptr;
  char host_[sizeof(Endpoint::host)] = "";
  int family_ = 0;              // asked for
  bool asks_for_more_ = false;  // there is no address of the first family
  Interest sockets_[kMostSockets];
  int socket_count_ = 0;
  char addresses_[kMostAddresses][kAddressSize];
  int address_count_ = 0;
  int next_address_ = 0;
  char text_[sizeof(Endpoint::host) + 128] = "";
};

}  // namespace redis
}  // namespace aggcache

#endif
