// Where Redis is: the value of aggcache.redis_url, taken apart.
//
//   redis://[[user]:password@]host[:port][/database]
//   unix://[[user]:password@]/path/of/socket[?db=database]
//   redis-sentinel://[[user]:password@]host[:port][,host[:port]…]/master[/database]     hosts are Sentinels
//   redis-cluster://[[user]:password@]host[:port][,host[:port]…]                        hosts are some of the nodes
//   rediss://…, rediss-sentinel://…, rediss-cluster://…                                 the same over TLS, verified
//
// User, password and path may be percent-encoded; an IPv6 address is written in brackets. Default ports are 6379 and,
// of Sentinels, 26379.

#ifndef AGGCACHE_REDIS_URL_H
#define AGGCACHE_REDIS_URL_H

#include <cstddef>
#include <cstdint>

namespace aggcache {
namespace redis {

constexpr int kMostSeeds = 16;

enum class Topology : uint8_t { kSingle, kSentinel, kCluster };

struct Endpoint {
  char host[256];  // or the path of a Unix socket
  uint16_t port;   // 0: a Unix socket
};

// Plain data, so that it can be copied and compared as bytes: unused parts are zero.
struct Target {
  Topology topology;
  bool tls;
  uint16_t database;
  uint8_t seed_count;
  Endpoint seeds[kMostSeeds];
  char user[128];      // empty: the default user
  char password[512];  // empty: none
  char master[128];    // the name that Sentinels know it by
};

// Returns NULL, or what is wrong with the URL, as a sentence for a detail message that does not repeat the password.
const char *ParseUrl(const char *url, Target *target) noexcept;

// Writes the URL with its password replaced by `mask`, if it has one. Returns false if it does not fit.
// REQUIRES: ParseUrl accepts the URL.
bool MaskUrl(const char *url, const char *mask, char *masked, size_t size) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
