// Tls: OpenSSL's state machine, begun by hiredis. Without TLS in hiredis, stubs that are never reached: Create refuses.

#include "redis/tls.h"

#ifdef AGGCACHE_TLS

#include <cerrno>

#include <arpa/inet.h>

#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace aggcache {
namespace redis {
namespace {

bool IsAddress(const char *host) noexcept {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

// The certificate has to be for this host. False: no memory.
bool ExpectHost(SSL *ssl, const char *host) noexcept {
  if (IsAddress(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
  return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

}  // namespace

TlsAuthorities::~TlsAuthorities() noexcept { SSL_CTX_free(context_); }

bool TlsAuthorities::IsAvailable() noexcept { return true; }

ssl_ctx_st *TlsAuthorities::Get() noexcept {
  if (context_ != nullptr) return context_;
  ERR_clear_error();
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return nullptr;
  const bool read = file_[0] != '\0' ? SSL_CTX_load_verify_locations(context, file_, nullptr) == 1
                                     : SSL_CTX_set_default_verify_paths(context) == 1;
  if (!read || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
    SSL_CTX_free(context);
    return nullptr;
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // What is sent again after a wait may have been moved, and grown.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  context_ = context;
  return context_;
}

Tls::Progress Tls::Fail(Failure failure, const char *text) noexcept {
  ssl_ = nullptr;
  failure_ = failure;
  text_ = text;
  return Progress::kFailed;
}

// Why a handshake failed.
Tls::Progress Tls::Explain(const ssl_st *ssl) noexcept {
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) return Fail(Failure::kAuthentication, X509_verify_cert_error_string(verified));
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  return Fail(Failure::kConnect,
              reason != nullptr ? reason : "the server closed the connection during the TLS handshake");
}

Tls::Progress Tls::Begin(redisContext *context, const char *host, TlsAuthorities *authorities) noexcept {
  SSL_CTX *trusted = authorities->Get();
  if (trusted == nullptr) return Fail(Failure::kAuthentication, "could not read the certificate authorities");
  SSL *ssl = SSL_new(trusted);
  if (ssl == nullptr) return Fail(Failure::kLocal, "out of memory");
  const bool expects = ExpectHost(ssl, host);
  if (!expects || redisInitiateSSL(context, ssl) != REDIS_OK) {
    // A quick server has shown its certificate by now.
    const Progress failed = expects ? Explain(ssl) : Fail(Failure::kLocal, "out of memory");
    SSL_free(ssl);
    return failed;
  }
  ssl_ = ssl;
  return Continue();
}

Tls::Progress Tls::Continue() noexcept {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) return Progress::kDone;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return Progress::kWantsToRead;
    case SSL_ERROR_WANT_WRITE: return Progress::kWantsToWrite;
    default: break;
  }
  return Explain(ssl_);
}

int64_t Tls::Result(int result) noexcept {
  if (result > 0) return result;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
      if (errno == 0) return 0;
      return -1;
    default: errno = EPROTO; return -1;
  }
}

int64_t Tls::Read(char *bytes, size_t size) noexcept {
  ERR_clear_error();
  errno = 0;
  return Result(SSL_read(ssl_, bytes, static_cast<int>(size)));
}

int64_t Tls::Write(const char *bytes, size_t size) noexcept {
  ERR_clear_error();
  errno = 0;
  return Result(SSL_write(ssl_, bytes, static_cast<int>(size)));
}

}  // namespace redis
}  // namespace aggcache

#else

namespace aggcache {
namespace redis {

TlsAuthorities::~TlsAuthorities() noexcept = default;
bool TlsAuthorities::IsAvailable() noexcept { return false; }
ssl_ctx_st *TlsAuthorities::Get() noexcept { return nullptr; }
Tls::Progress Tls::Begin(redisContext *, const char *, TlsAuthorities *) noexcept {
  failure_ = Failure::kConnect;
  text_ = "no TLS";
  return Progress::kFailed;
}
Tls::Progress Tls::Continue() noexcept { return Progress::kFailed; }
int64_t Tls::Read(char *, size_t) noexcept { return 0; }
int64_t Tls::Write(const char *, size_t) noexcept { return 0; }

}  // namespace redis
}  // namespace aggcache

#endif
