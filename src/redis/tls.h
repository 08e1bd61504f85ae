// TLS over a connection that hiredis made, where hiredis has it (AGGCACHE_TLS, src/redis/tls.mk). The server's
// certificate must be signed by an authority that is trusted here, and be for the host that was asked for: hiredis by
// itself checks only the first.
//
// OpenSSL's writes raise SIGPIPE, which the process has to ignore, as servers of PostgreSQL do.

#ifndef AGGCACHE_REDIS_TLS_H
#define AGGCACHE_REDIS_TLS_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"

struct redisContext;
struct ssl_ctx_st;
struct ssl_st;

namespace aggcache {
namespace redis {

// What all connections of a client share: the trusted authorities. Read when a connection first needs them.
class TlsAuthorities {
 public:
  // `file` is the owner's; empty: the system's.
  explicit TlsAuthorities(const char *file) noexcept : file_(file) {}
  ~TlsAuthorities() noexcept;
  TlsAuthorities(const TlsAuthorities &) = delete;
  TlsAuthorities &operator=(const TlsAuthorities &) = delete;

  static bool IsAvailable() noexcept;
  ssl_ctx_st *Get() noexcept;  // NULL: they cannot be read

 private:
  const char *const file_;
  ssl_ctx_st *context_ = nullptr;
};

class Tls {
 public:
  enum class Progress : uint8_t { kDone, kWantsToRead, kWantsToWrite, kFailed };

  // Begins the handshake. kFailed: see FailureSeen. `context` owns what is made, and ends it.
  Progress Begin(redisContext *context, const char *host, TlsAuthorities *authorities) noexcept;
  Progress Continue() noexcept;
  void End() noexcept { ssl_ = nullptr; }

  // As read and write: -1 and errno, EAGAIN if they would wait; 0 at the end.
  int64_t Read(char *bytes, size_t size) noexcept;
  int64_t Write(const char *bytes, size_t size) noexcept;

  Failure FailureSeen() const noexcept { return failure_; }
  const char *Text() const noexcept { return text_; }

 private:
  Progress Fail(Failure failure, const char *text) noexcept;
  Progress Explain(const ssl_st *ssl) noexcept;
  int64_t Result(int result) noexcept;

  ssl_st *ssl_ = nullptr;
  Failure failure_ = Failure::kNone;
  const char *text_ = "";
};

}  // namespace redis
}  // namespace aggcache

#endif
