// TLS: who has the right certificate is talked to, and nobody else. Certificates are made here and thrown away.

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "harness.h"

#ifdef AGGCACHE_TLS
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#endif

namespace aggcache {
namespace redis {
namespace {

#ifndef AGGCACHE_TLS

TEST(TlsTest, IsRefusedWhereHiredisHasNone) {
  for (const char *url : {"rediss://h", "rediss-sentinel://h/m", "rediss-cluster://h"}) {
    auto options = std::make_unique<Options>();
    *options = Options{};
    ASSERT_EQ(ParseUrl(url, &options->target), nullptr);
    const char *error = nullptr;
    EXPECT_EQ(Client::Create(*options, &error), nullptr);
    EXPECT_NE(error, nullptr);
  }
}

TEST(TlsTest, Certificates) { GTEST_SKIP() << "hiredis has no TLS"; }

#else

struct Certificate {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x509 = X509_new();

  ~Certificate() {
    X509_free(x509);
    EVP_PKEY_free(key);
  }
};

void AddExtension(X509 *certificate, X509 *issuer, int kind, const std::string &value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  ASSERT_NE(extension, nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// For `names` ("IP:127.0.0.1,DNS:localhost"); an authority if there are none. Signed by the issuer, else by itself.
std::unique_ptr<Certificate> Make(const std::string &names, Certificate *issuer, long days = 1) {
  auto made = std::make_unique<Certificate>();
  static long serial = 1;
  Certificate *signer = issuer != nullptr ? issuer : made.get();
  X509_set_version(made->x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made->x509), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made->x509), -2 * 86400);
  X509_gmtime_adj(X509_getm_notAfter(made->x509), days * 86400);
  X509_set_pubkey(made->x509, made->key);
  const unsigned char *name = reinterpret_cast<const unsigned char *>(names.empty() ? "authority" : "server");
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made->x509), "CN", MBSTRING_ASC, name, -1, -1, 0);
  X509_set_issuer_name(made->x509, X509_get_subject_name(signer->x509));
  if (names.empty()) {
    AddExtension(made->x509, signer->x509, NID_basic_constraints, "critical,CA:TRUE");
    AddExtension(made->x509, signer->x509, NID_key_usage, "critical,keyCertSign");
  } else {
    AddExtension(made->x509, signer->x509, NID_subject_alt_name, names);
  }
  X509_sign(made->x509, signer->key, EVP_sha256());
  return made;
}

std::string WriteFiles(const Certificate &certificate, const std::string &stem) {
  FILE *file = fopen((stem + ".crt").c_str(), "w");
  PEM_write_X509(file, certificate.x509);
  fclose(file);
  file = fopen((stem + ".key").c_str(), "w");
  PEM_write_PrivateKey(file, certificate.key, nullptr, nullptr, 0, nullptr, nullptr);
  fclose(file);
  return stem;
}

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    authority_ = Make("", nullptr);
    authority_file_ = WriteFiles(*authority_, directory_.Path() + "/authority") + ".crt";
    setenv("AGGCACHE_TEST_CERTIFICATES", authority_file_.c_str(), 1);
  }
  void TearDown() override { unsetenv("AGGCACHE_TEST_CERTIFICATES"); }

  // A server with this certificate; its plain side is a Unix socket.
  std::unique_ptr<RedisServer> Serve(const Certificate &certificate, std::vector<std::string> more = {}) {
    const std::string stem = WriteFiles(certificate, directory_.Path() + "/server");
    port_ = FreePort();
    std::vector<std::string> arguments = {
        "--tls-port",  std::to_string(port_), "--tls-cert-file", stem + ".crt",        "--tls-key-file",
        stem + ".key", "--tls-ca-cert-file",  authority_file_,   "--tls-auth-clients", "no"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<RedisServer>(arguments);
  }
  std::string Url(const std::string &host = "127.0.0.1", const std::string &scheme = "rediss") const {
    return scheme + "://" + host + ":" + std::to_string(port_);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Certificate> authority_;
  std::string authority_file_;
  int port_ = 0;
};

TEST_F(TlsTest, TalksToTheRightOne) {
  const auto certificate = Make("IP:127.0.0.1,DNS:localhost", authority_.get());
  const auto server = Serve(*certificate, {"--requirepass", "secret"});
  for (const char *host : {":secret@127.0.0.1", ":secret@localhost"}) {
    Driver driver(Url(host) + "/2", kLong, kLong);
    EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
    EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
    std::string large(8 << 20, 'x');
    for (size_t i = 0; i < large.size(); i += 977) large[i] = static_cast<char>(i);
    EXPECT_EQ(driver.Ask({"SET", "large", large}), "OK");
    EXPECT_TRUE(driver.Ask({"GET", "large"}) == large);
    std::vector<Ticket> tickets;
    for (int i = 0; i < 1000; i++) driver->Forget(driver.Submit({"SET", "k" + std::to_string(i), std::to_string(i)}));
    for (int i = 0; i < 1000; i++) tickets.push_back(driver.Submit({"GET", "k" + std::to_string(i)}));
    for (int i = 0; i < 1000; i++) EXPECT_EQ(driver.Take(tickets[static_cast<size_t>(i)]), std::to_string(i));
    EXPECT_TRUE(driver.failures.empty()) << driver.failures[0].text;
    driver->ShutdownSockets();
    EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
    driver->Close();
    EXPECT_EQ(driver.Ask({"GET", "a"}), "1");
  }
}

TEST_F(TlsTest, RefusesEverybodyElse) {
  const auto stranger = Make("", nullptr);
  const std::unique_ptr<Certificate> wrong[] = {
      Make("IP:127.0.0.2,DNS:elsewhere", authority_.get()),      // for another host
      Make("IP:127.0.0.1,DNS:localhost", stranger.get()),        // from an authority that nobody trusts
      Make("IP:127.0.0.1,DNS:localhost", nullptr),               // by itself
      Make("IP:127.0.0.1,DNS:localhost", authority_.get(), -1),  // expired
  };
  for (const auto &certificate : wrong) {
    const auto server = Serve(*certificate);
    for (const char *host : {"127.0.0.1", "localhost"}) {
      Driver driver(Url(host), kLong, kLong);
      EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!authentication") << driver.failures[0].text;
      EXPECT_EQ(driver.failures.size(), 1u);
      EXPECT_EQ(server->Command({"EXISTS", "a"}), ":0\r\n");
    }
  }
  // the system knows nothing of our authority
  unsetenv("AGGCACHE_TEST_CERTIFICATES");
  const auto server = Serve(*Make("IP:127.0.0.1", authority_.get()));
  Driver driver(Url(), kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "!authentication");
  setenv("AGGCACHE_TEST_CERTIFICATES", "/nonexistent", 1);
  Driver other(Url(), kLong, kLong);
  EXPECT_EQ(other.Ask({"SET", "a", "1"}), "!authentication");
}

TEST_F(TlsTest, NotTls) {
  RedisServer plain({}, true);
  Driver driver("rediss://" + plain.Address(), 100000, kLong);
  const std::string answer =
      driver.Ask({"GET", "a"});  // it may take our greeting for half a command, and wait for more
  EXPECT_TRUE(answer == "!connect" || answer == "!timeout") << answer;
  FakeServer silent(
      [](int socket) {
        char bytes[4096];
        while (read(socket, bytes, sizeof bytes) > 0) continue;
      },
      true);
  Driver waits("rediss://" + silent.Address(), 50000, kLong);
  EXPECT_EQ(waits.Ask({"GET", "a"}), "!timeout");
  // and TLS where none is expected
  const auto server = Serve(*Make("IP:127.0.0.1", authority_.get()));
  Driver other(Url("127.0.0.1", "redis"), 100000, kLong);
  EXPECT_EQ(other.Ask({"GET", "a"}).substr(0, 1), "!");
}

TEST_F(TlsTest, Cluster) {
  const auto server = Serve(*Make("IP:127.0.0.1", authority_.get()),
                            {"--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port",
                             std::to_string(FreePort()), "--cluster-announce-ip", "127.0.0.1"});
  server->Command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
  server->WaitFor({"CLUSTER", "INFO"}, "cluster_state:ok");
  Driver driver(Url("127.0.0.1", "rediss-cluster"), kLong, kLong);
  EXPECT_EQ(driver.Ask({"SET", "a", "1"}), "OK");
  EXPECT_EQ(driver->MasterCount(), 1);
  EXPECT_TRUE(driver.failures.empty());
}

#endif

}  // namespace
}  // namespace redis
}  // namespace aggcache
