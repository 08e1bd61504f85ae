// A session reads the file when the configuration has been read anew, and keeps the secret in its memory.

#include "pg/base/server.h"

#include "pg/redis/secret.h"

#include "pg/redis/target.h"

extern "C" {
#include "common/hmac.h"
#include "common/sha2.h"
}

namespace aggcache {

namespace {

static_assert(kProofBytes == PG_SHA256_DIGEST_LENGTH, "the proof is an HMAC-SHA256");

struct Secret {
  uint64_t generation = 0;  // redis_target_generation when the file was read
  unsigned char bytes[1024];
  size_t size = 0;  // 0: none is set
  char text[MAXPGPATH + 256];
  const char *problem = nullptr;  // `text`, or NULL
};

const Secret &CurrentSecret() {
  static Secret secret;
  if (secret.generation != redis_target_generation) {
    const char *problem = ReadRedisSecret(secret.bytes, sizeof(secret.bytes), &secret.size);
    if (problem) strlcpy(secret.text, problem, sizeof(secret.text));
    secret.problem = problem ? secret.text : nullptr;
    secret.generation = redis_target_generation;
  }
  return secret;
}

// The proof of a frame under a name; false: it cannot be computed.
bool ComputeProof(const Secret &secret, const RedisName &name, const void *frame, size_t size, unsigned char *proof) {
  pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);
  if (context == nullptr) return false;
  const auto *text = reinterpret_cast<const unsigned char *>(name.text);
  // The name's length keeps a byte from passing from one to the other.
  const uint64_t length = name.size;
  const bool proven = pg_hmac_init(context, secret.bytes, secret.size) == 0 &&
                      pg_hmac_update(context, reinterpret_cast<const unsigned char *>(&length), sizeof(length)) == 0 &&
                      pg_hmac_update(context, text, name.size) == 0 &&
                      pg_hmac_update(context, static_cast<const unsigned char *>(frame), size) == 0 &&
                      pg_hmac_final(context, proof, kProofBytes) == 0;
  pg_hmac_free(context);
  return proven;
}

}  // namespace

const char *RedisSecretProblem() { return CurrentSecret().problem; }

const char *AppendProof(const RedisName &name, redis::Buffer *value) {
  const Secret &secret = CurrentSecret();
  if (secret.problem) return secret.problem;
  if (secret.size == 0) return nullptr;
  if (!value->Reserve(value->size + kProofBytes)) return "out of memory";
  if (!ComputeProof(secret, name, value->bytes, value->size, value->bytes + value->size))
    return "the proof of aggcache.redis_secret_file could not be computed";
  value->size += kProofBytes;
  return nullptr;
}

bool WantsProof() {
  const Secret &secret = CurrentSecret();
  return secret.problem != nullptr || secret.size > 0;
}

bool CheckProof(const RedisName &name, const void *value, size_t *size) {
  const Secret &secret = CurrentSecret();
  if (secret.problem) return false;
  if (secret.size == 0) return true;
  if (*size < kProofBytes) return false;
  const size_t frame = *size - kProofBytes;
  unsigned char proof[kProofBytes];
  if (!ComputeProof(secret, name, value, frame, proof)) return false;
  // in a time that does not tell how much of it is right
  unsigned char difference = 0;
  for (size_t i = 0; i < kProofBytes; i++)
    difference |= proof[i] ^ static_cast<const unsigned char *>(value)[frame + i];
  *size = frame;
  return difference == 0;
}

}  // namespace aggcache
