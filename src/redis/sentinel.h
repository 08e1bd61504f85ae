// The client of a master that Sentinels know.

#ifndef AGGCACHE_REDIS_SENTINEL_H
#define AGGCACHE_REDIS_SENTINEL_H

#include "redis/client_base.h"

namespace aggcache {
namespace redis {

// NULL: no memory. REQUIRES: the target's topology is kSentinel.
ClientBase *MakeSentinelClient(const Options &options) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
