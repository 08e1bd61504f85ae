// ClusterClient: which master serves which slot, as CLUSTER SLOTS said last and MOVED has said since.
//
// The map is a guess that the nodes correct. It is asked for anew, beside the commands, when a node moved a slot, does
// not answer, or says that the cluster is down; commands go on by the old map meanwhile. Only without any map they
// wait.
//
// A node is a connection that is opened when a command needs it. Nodes are never given up; one that no longer serves
// anything is closed, and its place is used for another.

#include "redis/cluster.h"

#include <cstring>
#include <new>

#include "redis/seeking_client.h"
#include "redis/slots.h"

namespace aggcache {
namespace redis {
namespace {

constexpr int kMostNodes = 512;
constexpr int kMostAsked = 16;  // of the nodes, besides the seeds
constexpr int kMostRedirections = 5;
constexpr int64_t kSeekPause = 100000;  // between two questions for the map while there is one
constexpr int16_t kNobody = -1;

class ClusterClient final : public SeekingClient {
 public:
  explicit ClusterClient(const Options &options) noexcept : SeekingClient(options, kMostNodes) {
    memset(owners_, 0xff, sizeof owners_);
  }

  int MasterCount() const noexcept override { return master_count_; }

 private:
  int32_t SlotOf(const Argument &key) const noexcept override { return SlotOfKey(key.bytes, key.size); }
  int CandidateCount() const noexcept override { return AskedMasters() + options_.target.seed_count; }
  const Endpoint &Candidate(int index) const noexcept override;
  bool AsksWithPassword() const noexcept override { return true; }
  const char *NobodyKnows() const noexcept override { return "no node knows who serves the slots"; }
  bool FormatQuestion(char **request, size_t *size) const noexcept override;
  bool TakeAnswer(const Reply &reply, int64_t now) noexcept override;
  void Route(Command *command, int64_t now) noexcept override;
  void DataAnswered(Connection *connection, Command *command, Failure failure, const char *text,
                    int64_t now) noexcept override;
  void DataLost(Connection *connection, const Loss &loss, int64_t now) noexcept override;

  int AskedMasters() const noexcept { return master_count_ < kMostAsked ? master_count_ : kMostAsked; }
  void Refresh(int64_t now) noexcept;
  int FindNode(const Endpoint &endpoint) noexcept;
  int ReuseNode(const Endpoint &endpoint) noexcept;
  void FindOwners(bool *owns) const noexcept;
  void ListMasters() noexcept;
  bool ChangeAsking(Command *command, bool asks) noexcept;
  void Redirect(Connection *from, Command *command, const char *text, int64_t now) noexcept;

  int16_t owners_[kSlots];  // index of the node, or kNobody
  Connection *nodes_[kMostNodes] = {};
  int node_count_ = 0;
  int16_t masters_[kMostNodes];  // the nodes that own slots, in the order of nodes_
  int master_count_ = 0;         // 0: there is no map
  bool is_stale_ = false;
};

// Nodes that are known to be there before seeds that may be long gone.
const Endpoint &ClusterClient::Candidate(int index) const noexcept {
  const int masters = AskedMasters();
  return index < masters ? nodes_[masters_[index]]->Target() : options_.target.seeds[index - masters];
}

bool ClusterClient::FormatQuestion(char **request, size_t *size) const noexcept {
  const Argument words[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
  return FormatRequest(words, 2, request, size);
}

bool ClusterClient::TakeAnswer(const Reply &reply, int64_t now) noexcept {
  if (reply.type != Reply::Type::kArray || reply.element_count == 0) return false;
  int first, last;
  Endpoint master;
  for (size_t i = 0; i < reply.element_count; i++) {
    if (!ReadSlots(reply.elements[i], Asked(), &first, &last, &master)) return false;
  }
  for (int16_t &owner : owners_) owner = kNobody;
  for (size_t i = 0; i < reply.element_count; i++) {
    ReadSlots(reply.elements[i], Asked(), &first, &last, &master);
    const int node = FindNode(master);
    for (int slot = first; slot <= last; slot++) owners_[slot] = static_cast<int16_t>(node);
  }
  is_stale_ = false;
  ListMasters();
  if (master_count_ == 0) return false;
  RouteWaiting(now);
  return true;
}

void ClusterClient::FindOwners(bool *owns) const noexcept {
  memset(owns, 0, kMostNodes);
  for (const int16_t owner : owners_) {
    if (owner != kNobody) owns[owner] = true;
  }
}

// The masters, and the end of the connections of those that are none any more.
void ClusterClient::ListMasters() noexcept {
  bool owns[kMostNodes];
  FindOwners(owns);
  master_count_ = 0;
  for (int i = 0; i < node_count_; i++) {
    if (owns[i]) {
      masters_[master_count_++] = static_cast<int16_t>(i);
    } else if (!nodes_[i]->HasCommands()) {
      nodes_[i]->Close();
    }
  }
}

// A node that serves nothing becomes the one at an endpoint.
int ClusterClient::ReuseNode(const Endpoint &endpoint) noexcept {
  bool owns[kMostNodes];
  FindOwners(owns);
  for (int i = 0; i < node_count_; i++) {
    if (owns[i] || nodes_[i]->HasCommands()) continue;
    nodes_[i]->Close();
    nodes_[i]->SetTarget(endpoint, DataLogin());
    return i;
  }
  return kNobody;
}

// The node at an endpoint, perhaps a new one; kNobody: there are too many, or no memory.
int ClusterClient::FindNode(const Endpoint &endpoint) noexcept {
  for (int i = 0; i < node_count_; i++) {
    if (IsSame(nodes_[i]->Target(), endpoint)) return i;
  }
  if (node_count_ == kMostNodes) return ReuseNode(endpoint);
  Connection *node = AddConnection();
  if (node == nullptr) return kNobody;
  node->SetTarget(endpoint, DataLogin());
  nodes_[node_count_] = node;
  return node_count_++;
}

void ClusterClient::Refresh(int64_t now) noexcept {
  if (is_stale_ && now - last_seek_ >= kSeekPause) Seek(now);
}

void ClusterClient::Route(Command *command, int64_t now) noexcept {
  if (master_count_ == 0) {
    waiting_.Append(command);
    return Seek(now);
  }
  Refresh(now);
  if (!ChangeAsking(command, false)) return Complete(command, Failure::kLocal, "out of memory", now);
  int node = kNobody;
  if (command->place >= 0) {
    node = owners_[command->place];
  } else if (~command->place < master_count_) {
    node = masters_[~command->place];
  }
  if (node == kNobody) {
    is_stale_ = true;
    return Complete(command, Failure::kCluster, "no node serves the slot", now);
  }
  nodes_[node]->Enqueue(command, ConnectBy(now), now);
}

bool ClusterClient::ChangeAsking(Command *command, bool asks) noexcept {
  outgoing_.unsent_bytes -= command->size;
  const bool done = SetAsking(command, asks);
  outgoing_.unsent_bytes += command->size;
  return done;
}

void ClusterClient::DataAnswered(Connection *connection, Command *command, Failure failure, const char *text,
                                 int64_t now) noexcept {
  if (failure != Failure::kCluster) return Complete(command, failure, text, now);
  is_stale_ = is_stale_ || !StartsWithWord(text, "ASK");
  if (command->place >= 0 && !StartsWithWord(text, "CLUSTERDOWN")) return Redirect(connection, command, text, now);
  Complete(command, failure, text, now);
  Refresh(now);
}

void ClusterClient::Redirect(Connection *from, Command *command, const char *text, int64_t now) noexcept {
  bool asks;
  int slot;
  Endpoint to;
  if (!ReadRedirection(text, from->Target(), &asks, &slot, &to)) return Complete(command, Failure::kCluster, text, now);
  if (++command->redirections > kMostRedirections) {
    return Complete(command, Failure::kCluster, "redirected too often", now);
  }
  const int node = FindNode(to);
  PutBack(command);
  if (node == kNobody || !ChangeAsking(command, asks)) {
    return Complete(command, Failure::kLocal, "no memory for another node", now);
  }
  if (!asks) owners_[slot] = static_cast<int16_t>(node);
  nodes_[node]->Enqueue(command, now + options_.connect_timeout, now);
  Refresh(now);
}

void ClusterClient::DataLost(Connection *connection, const Loss &loss, int64_t now) noexcept {
  is_stale_ = true;
  SettleLoss(connection, loss, now);
  Refresh(now);
}

}  // namespace

ClientBase *MakeClusterClient(const Options &options) noexcept { return new (std::nothrow) ClusterClient(options); }

}  // namespace redis
}  // namespace aggcache
