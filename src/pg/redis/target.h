// Which Redis, and the secrets for it: aggcache.redis_url and the files with password, secret and certificates.
//
// No password is shown anywhere: the setting holds the URL with its password masked, and the password is kept beside
// it.

#ifndef AGGCACHE_PG_REDIS_TARGET_H
#define AGGCACHE_PG_REDIS_TARGET_H

#include "pg/base/server.h"

#include "redis/url.h"

namespace aggcache {

// Declares the settings. Called by settings::Define.
void DefineRedisTarget();

// Whether aggcache.redis_url is set.
bool RedisIsConfigured();

// Whether it is a cluster, each node of which has some of the keys.
bool RedisIsCluster();

// The URL without its password, for people to read; empty if there is none.
const char *RedisUrl();

// Changes whenever the configuration was read anew: then files have to be read anew too.
extern uint64_t redis_target_generation;

// Stands for all that is configured, the password too, and for the state of the files: equal in all sessions that have
// read the same configuration.
uint64_t RedisTargetHash();

// The target with its password, read from aggcache.redis_password_file if that is set. Returns NULL, or what is wrong.
// REQUIRES: RedisIsConfigured().
const char *ReadRedisTarget(redis::Target *target);

// The file of certificate authorities for TLS; empty: the system's.
const char *RedisCertificateFile();

// The secret in aggcache.redis_secret_file, at most `limit` bytes. *size is 0 if the setting is empty. Returns NULL, or
// what is wrong.
const char *ReadRedisSecret(unsigned char *secret, size_t limit, size_t *size);

}  // namespace aggcache

#endif
