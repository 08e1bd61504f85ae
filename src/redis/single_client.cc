// The client of one server, and which client a target needs.

#include "redis/client.h"

#include <new>

#include "redis/client_base.h"
#include "redis/cluster.h"
#include "redis/sentinel.h"
#include "redis/tls.h"

namespace aggcache {
namespace redis {
namespace {

class SingleClient final : public ClientBase {
 public:
  explicit SingleClient(const Options &options) noexcept : ClientBase(options, 1) {}

  bool Prepare() noexcept override {
    if (!ClientBase::Prepare()) return false;
    connection_ = AddConnection();
    if (connection_ == nullptr) return false;
    connection_->SetTarget(options_.target.seeds[0], DataLogin());
    return true;
  }

 private:
  void Route(Command *command, int64_t now) noexcept override {
    connection_->Enqueue(command, now + options_.connect_timeout, now);
  }

  Connection *connection_ = nullptr;
};

ClientBase *MakeClient(const Options &options) noexcept {
  switch (options.target.topology) {
    case Topology::kSingle: return new (std::nothrow) SingleClient(options);
    case Topology::kSentinel: return MakeSentinelClient(options);
    case Topology::kCluster: return MakeClusterClient(options);
  }
  return nullptr;
}

}  // namespace

Client *Client::Create(const Options &options, const char **error) noexcept {
  *error = nullptr;
  if (options.target.tls && !TlsAuthorities::IsAvailable()) {
    *error = "This build's hiredis has no TLS.";
    return nullptr;
  }
  ClientBase *client = MakeClient(options);
  if (client == nullptr || client->Prepare()) return client;
  delete client;
  return nullptr;
}

void Client::Destroy(Client *client) noexcept { delete static_cast<ClientBase *>(client); }

}  // namespace redis
}  // namespace aggcache
