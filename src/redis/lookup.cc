// HostLookup: one c-ares channel for each look-up, so that a changed configuration of the machine counts at once.

#include "redis/lookup.h"

#include <atomic>
#include <cstdio>
#include <cstring>

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

// ares_process_fd, which newer versions have another function beside
#define CARES_NO_DEPRECATED
#include <ares.h>

namespace aggcache {
namespace redis {
namespace {

bool HasNoAddress(int status) noexcept {
  return status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_ENONAME;
}

}  // namespace

uint64_t NextConnectionNumber() noexcept {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool HostLookup::IsNumeric(const char *host) noexcept {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo *found = nullptr;
  if (getaddrinfo(host, nullptr, &hints, &found) != 0) return false;
  freeaddrinfo(found);
  return true;
}

void HostLookup::Begin(const char *host, const char *name_servers) noexcept {
  End();
  state_ = State::kRunning;
  address_count_ = next_address_ = 0;
  asks_for_more_ = false;
  snprintf(host_, sizeof host_, "%s", host);

  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  ares_options options{};
  options.sock_state_cb = SocketChanged;
  options.sock_state_cb_data = this;
  int status = library;
  if (status == ARES_SUCCESS) status = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB);
  if (status == ARES_SUCCESS && *name_servers != '\0') status = ares_set_servers_ports_csv(channel_, name_servers);
  if (status != ARES_SUCCESS) {
    Fail(status);
    return End();
  }
  Ask(AF_INET);
  Advance();
}

void HostLookup::Ask(int family) noexcept {
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NOSORT;  // sorting would open a socket to each
  hints.ai_family = family_ = family;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(channel_, host_, nullptr, &hints, Answered, this);
}

void HostLookup::Advance() noexcept {
  if (channel_ == nullptr) return;
  pollfd ready[kMostSockets];
  const int count = socket_count_;
  for (int i = 0; i < count; i++) {
    ready[i] = {sockets_[i].socket,
                static_cast<short>((sockets_[i].readable ? POLLIN : 0) | (sockets_[i].writable ? POLLOUT : 0)), 0};
  }
  if (count > 0 && poll(ready, static_cast<nfds_t>(count), 0) > 0) {
    for (int i = 0; i < count; i++) {
      if (ready[i].revents == 0) continue;
      ares_process_fd(channel_, (ready[i].revents & ~POLLOUT) != 0 ? ready[i].fd : ARES_SOCKET_BAD,
                      (ready[i].revents & POLLOUT) != 0 ? ready[i].fd : ARES_SOCKET_BAD);
    }
  }
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what was not answered in time is asked again
  if (asks_for_more_) {
    asks_for_more_ = false;
    Ask(AF_INET6);
  }
  if (state_ != State::kRunning) End();
}

void HostLookup::End() noexcept {
  ares_channeldata *channel = channel_;
  channel_ = nullptr;  // before it answers what was not answered
  if (channel != nullptr) ares_destroy(channel);
  socket_count_ = 0;
}

const char *HostLookup::NextAddress() noexcept {
  return next_address_ < address_count_ ? addresses_[next_address_++] : nullptr;
}

// ---- What c-ares tells ----------------------------------------------------------------------------------------------

void HostLookup::SocketChanged(void *self, int socket, int readable, int writable) noexcept {
  auto *lookup = static_cast<HostLookup *>(self);
  int i = 0;
  while (i < lookup->socket_count_ && lookup->sockets_[i].socket != socket) i++;
  if (readable == 0 && writable == 0) {
    if (i < lookup->socket_count_) lookup->sockets_[i] = lookup->sockets_[--lookup->socket_count_];
    return;
  }
  if (i == kMostSockets) return;  // waited for no longer than Patience
  if (i == lookup->socket_count_) {
    lookup->sockets_[i].socket = socket;
    lookup->sockets_[i].connection = NextConnectionNumber();
    lookup->socket_count_++;
  }
  lookup->sockets_[i].readable = readable != 0;
  lookup->sockets_[i].writable = writable != 0;
}

void HostLookup::Answered(void *self, int status, int, ares_addrinfo *found) noexcept {
  auto *lookup = static_cast<HostLookup *>(self);
  if (lookup->channel_ != nullptr) {
    if (status == ARES_SUCCESS) lookup->Keep(*found);
    if (lookup->address_count_ > 0)
      lookup->state_ = State::kDone;
    else if (lookup->family_ == AF_INET && (status == ARES_SUCCESS || HasNoAddress(status)))
      lookup->asks_for_more_ = true;
    else
      lookup->Fail(status == ARES_SUCCESS ? ARES_ENODATA : status);
  }
  if (found != nullptr) ares_freeaddrinfo(found);
}

void HostLookup::Keep(const ares_addrinfo &found) noexcept {
  for (const ares_addrinfo_node *node = found.nodes; node != nullptr && address_count_ < kMostAddresses;
       node = node->ai_next) {
    if (getnameinfo(node->ai_addr, node->ai_addrlen, addresses_[address_count_], kAddressSize, nullptr, 0,
                    NI_NUMERICHOST) == 0)
      address_count_++;
  }
}

void HostLookup::Fail(int status) noexcept {
  state_ = State::kFailed;
  failure_ = status == ARES_ENOMEM ? Failure::kLocal : Failure::kConnect;
  snprintf(text_, sizeof text_, "could not look up host \"%s\": %s", host_, ares_strerror(status));
}

// ---- Waiting --------------------------------------------------------------------------------------------------------

int HostLookup::Interests(Interest *interests, int limit) const noexcept {
  const int count = socket_count_ < limit ? socket_count_ : limit;
  for (int i = 0; i < count; i++) interests[i] = sockets_[i];
  return count;
}

int64_t HostLookup::Patience() const noexcept {
  timeval left;
  if (channel_ == nullptr || ares_timeout(channel_, nullptr, &left) == nullptr) return INT64_MAX;
  return static_cast<int64_t>(left.tv_sec) * 1000000 + left.tv_usec;
}

}  // namespace redis
}  // namespace aggcache
