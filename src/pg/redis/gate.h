// Whether Redis may be used now: this session's side of the breakers that all sessions share (redis/state.h). It asks
// them before each command, tells them how commands ended, and logs each change that it makes.

#ifndef AGGCACHE_PG_REDIS_GATE_H
#define AGGCACHE_PG_REDIS_GATE_H

#include "pg/base/server.h"

#include "redis/client.h"

namespace aggcache {

// Whether a command makes Redis store data. Redis may refuse such commands and still answer others. Removing counts as
// kRead.
enum class RedisUse : uint8_t { kRead, kWrite };

// Closes the breakers if the configuration has changed since they opened: a failure of another Redis, or with another
// password, says nothing about what is configured now. All functions here that ask the breakers call this first.
void HeedRedisConfiguration();

// Whether a command may be sent now; it is counted if not. Whoever may has to see to it that the client is told of all
// that happens (RedisObserver), or to call FailRedis or GiveUpRedisProbes.
bool EnterRedis(RedisUse use, int64_t now);

// What the client has to tell how its commands end. It may be told while no error can be raised.
redis::Observer RedisObserver();
// Counts a failure before there was a client, and logs what that changes.
void FailRedis(const char *text);

// Whether this session is the one that tries what the others do not.
bool ProbesRedis();
// Redis has taken data.
void RedisTookWrite();
// What this session was to find out, another one may.
void GiveUpRedisProbes();

// One line for each change of a breaker that this session made since.
void LogRedisChanges();

// Why Redis cannot be used, in words; NULL if it can.
const char *RedisObstacle(RedisUse use);
// Whether a command would be sent now: Redis can be used, or is due to be tried again.
bool RedisIsTried(RedisUse use);

}  // namespace aggcache

#endif
