// Proof that a value in Redis was put there by who knows the secret: HMAC-SHA256 (RFC 2104) over the key's name and the
// frame, at the frame's end. It ties a value to its key and, as the frame names it, to the life of the stamp slots.

#ifndef AGGCACHE_PG_REDIS_SECRET_H
#define AGGCACHE_PG_REDIS_SECRET_H

#include "pg/base/server.h"

#include "pg/redis/names.h"
#include "redis/frame.h"

namespace aggcache {

constexpr size_t kProofBytes = 32;

// Why the secret that is set cannot be had, or NULL. Without it Redis must not be used.
const char *RedisSecretProblem();

// Appends the proof if a secret is set. Returns NULL, or why it cannot.
const char *AppendProof(const RedisName &name, redis::Buffer *value);

// Whether a proof is asked for; else CheckProof does not look at the name.
bool WantsProof();

// Takes the proof from the end of a value: *size becomes that of the frame. False: it is not authentic, or that cannot
// be told. Without a secret everything passes, and *size stays.
bool CheckProof(const RedisName &name, const void *value, size_t *size);

}  // namespace aggcache

#endif
