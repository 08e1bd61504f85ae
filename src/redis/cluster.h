// The client of a Redis Cluster.

#ifndef AGGCACHE_REDIS_CLUSTER_H
#define AGGCACHE_REDIS_CLUSTER_H

#include "redis/client_base.h"

namespace aggcache {
namespace redis {

// NULL: no memory. REQUIRES: the target's topology is kCluster.
ClientBase *MakeClusterClient(const Options &options) noexcept;

}  // namespace redis
}  // namespace aggcache

#endif
