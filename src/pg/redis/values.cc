// GET, SET and UNLINK, one key each. State of this session: the bytes of the result that is being sent, those of the
// latest that was fetched, and the ticket that holds its reply.

#include "pg/base/server.h"

#include "pg/redis/values.h"

#include <algorithm>

#include "pg/base/settings.h"
#include "pg/base/shared.h"
#include "pg/body/result_times.h"
#include "pg/body/wellformed.h"
#include "pg/redis/ahead.h"
#include "pg/redis/names.h"
#include "pg/redis/secret.h"
#include "pg/redis/session.h"
#include "pg/redis/settings.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"

namespace aggcache {

namespace {

using redis::Argument;
using redis::FrameCode;
using redis::Ticket;

// Longer values are not kept around for the next one to reuse their memory.
constexpr size_t kKeptBuffer = 1024 * 1024;

redis::Buffer frame;    // of a result to be sent
redis::Buffer scratch;  // of the latest fetched result, where its value had to be moved
Ticket fetched = redis::kNoTicket;

Argument TextArgument(const char *text) { return {text, strlen(text)}; }

// Empties the buffer, and gives its memory back if that is much.
void TrimBuffer(redis::Buffer *buffer) {
  if (buffer->capacity > kKeptBuffer) buffer->Free();
  buffer->size = 0;
}

void ForgetFetched() {
  ForgetRedis(fetched);
  fetched = redis::kNoTicket;
  TrimBuffer(&scratch);
}

// Whose result a frame is, as it has to say itself.
redis::FrameIdentity IdentityOf(const Definition *definition, const Key &key) {
  redis::FrameIdentity identity;
  ServerIdentity(identity.boot);
  identity.row_type = definition->result.row_type;
  identity.function = shared::ObjectId(definition->function);
  identity.key = key.bytes;
  identity.key_size = key.size;
  return identity;
}

Ticket AskForValue(const RedisName &name) {
  const Argument get[] = {TextArgument("GET"), {name.text, name.size}};
  return SendToRedis(RedisUse::kRead, get, 2);
}

// Whether times and ids are those of the past. None is a length, but a result from the future would never be too old
// for aggcache.max_staleness, and one that is stored under a later snapshot would have seen writes to come.
bool IsOfThePast(const redis::FrameContents &contents) {
  return IS_VALID_TIMESTAMP(contents.stored_at) && contents.stored_at <= SteadyNow() &&
         IS_VALID_TIMESTAMP(contents.expires_at) && contents.snapshot.xmax <= compat::NextXid();
}

// No computation took longer than the server has been running. What it cost decides how long shared memory keeps it.
uint64_t PlausibleCost(uint64_t cost_ns) {
  const int64_t running = GetCurrentTimestamp() - PgStartTime;
  return std::min(cost_ns, running > 0 ? static_cast<uint64_t>(running) * 1000 : 0);
}

// Makes bytes from Redis a result. *strange is set if they are those of another key.
bool ReadValue(const Definition *definition, const Key &key, const RedisName &name, const redis::Reply &reply,
               redis::FrameContents *contents, bool *strange) {
  size_t size = reply.size;
  if (!CheckProof(name, reply.bytes, &size)) {
    shared::Count(redis_state->unauthentic);
    *strange = true;
    return false;
  }
  const auto most = static_cast<uint64_t>(settings::max_entry_size_kb) * 1024;
  FrameCode code =
      DecodeFrame(reply.bytes, size, IdentityOf(definition, key), shared::stamps.count(), most, &scratch, contents);
  if (code == FrameCode::kOk &&
      !(IsOfThePast(*contents) && IsWellFormed(definition->result, static_cast<const char *>(contents->value),
                                               static_cast<Size>(contents->value_size), WantsProof())))
    code = FrameCode::kMalformed;
  if (code == FrameCode::kOk) {
    contents->cost_ns = PlausibleCost(contents->cost_ns);
    return true;
  }
  shared::Count(redis_state->unreadable[static_cast<int>(code)]);
  *strange = code == FrameCode::kOtherKey;
  return false;
}

// How long Redis keeps a result, in milliseconds; 0: it has expired.
int64_t MillisecondsToLive(const NewEntry &entry) {
  if (entry.expires_at == 0) return static_cast<int64_t>(settings::redis_ttl_s) * 1000;
  return Max(int64_t{0}, (entry.expires_at - SteadyNow() + 999) / 1000);
}

}  // namespace

bool MayBeInRedis(const Definition *definition) { return definition->result.checks->complete || WantsProof(); }

bool FetchFromRedis(const Definition *definition, const Key &key, redis::FrameContents *contents) {
  ForgetFetched();
  if (redis_state == nullptr || !RedisIsConfigured() || !MayBeInRedis(definition)) return false;
  const redis::Reply *reply = nullptr;
  const bool was_asked = TakeAhead(key.hash, &reply);
  RedisName name;
  if (!was_asked || WantsProof()) NameResult(definition, key.hash, &name);
  if (!was_asked) {
    const Ticket ticket = AskForValue(name);
    if (ticket == redis::kNoTicket) return false;
    // If an interrupt ends the wait, the ticket is forgotten already.
    reply = AwaitRedis(ticket);
    fetched = ticket;
  }
  bool strange = false;
  if (reply != nullptr && reply->type == redis::Reply::Type::kString &&
      ReadValue(definition, key, name, *reply, contents, &strange))
    return true;
  if (reply != nullptr && reply->type == redis::Reply::Type::kNil) shared::Count(redis_state->misses);
  ForgetFetched();
  // Someone has put it there, or a reply was lost on its way and all that follow would be taken for others.
  if (strange) DistrustRedis();
  return false;
}

const char *StoreInRedis(const Definition *definition, const NewEntry &entry) {
  if (RedisIsConfigured() && !MayBeInRedis(definition))
    return "a type of the result is kept in Redis only with aggcache.redis_secret_file";
  const char *obstacle = RedisObstacle(RedisUse::kWrite);
  if (!RedisIsTried(RedisUse::kWrite)) {
    shared::Count(redis_state->skipped);
    return obstacle;
  }
  const int64_t life = MillisecondsToLive(entry);
  if (life == 0) return "the result has expired";
  redis::FrameContents contents;
  contents.snapshot = entry.snapshot;
  contents.stamps = entry.stamps;
  contents.stamp_count = entry.stamp_count;
  contents.stored_at = entry.stored_at;
  contents.expires_at = entry.expires_at;
  contents.cost_ns = entry.cost_ns;
  contents.value = entry.value;
  contents.value_size = entry.value_size;
  const uint64_t compress_from =
      settings::redis_compress_from < 0 ? UINT64_MAX : static_cast<uint64_t>(settings::redis_compress_from);
  RedisName name;
  NameResult(definition, entry.key.hash, &name);
  frame.size = 0;
  const char *why = nullptr;
  if (EncodeFrame(IdentityOf(definition, entry.key), contents, compress_from, &frame) != FrameCode::kOk)
    why = "the result is larger than a value in Redis can be";
  else
    why = AppendProof(name, &frame);
  if (why == nullptr) {
    char milliseconds[24];
    snprintf(milliseconds, sizeof(milliseconds), INT64_FORMAT, life);
    const Argument set[] = {TextArgument("SET"),
                            {name.text, name.size},
                            {frame.bytes, frame.size},
                            TextArgument("PX"),
                            TextArgument(milliseconds)};
    why = PostToRedis(RedisUse::kWrite, set, 5);
    if (why == nullptr) {
      shared::Count(redis_state->writes_sent);
      PassOverAhead(entry.key.hash);
    } else if (obstacle) {
      why = obstacle;
    }
  }
  TrimBuffer(&frame);
  return why;
}

bool RemoveFromRedis(const Definition *definition, const Key &key) {
  if (!RedisIsConfigured()) return false;
  RedisName name;
  NameResult(definition, key.hash, &name);
  const Argument unlink[] = {TextArgument("UNLINK"), {name.text, name.size}};
  const Ticket ticket = SendToRedis(RedisUse::kRead, unlink, 2);
  if (ticket == redis::kNoTicket) return false;
  const redis::Reply *reply = AwaitRedis(ticket);
  const bool removed = reply != nullptr && reply->type == redis::Reply::Type::kInteger && reply->integer > 0;
  ForgetRedis(ticket);
  return removed;
}

namespace {

struct Removal {
  const List *functions;
  bool all;
  RedisName pattern;
  void (*visit)(void *context, uint64_t hash);
  void *context;
};

bool IsStringReply(const redis::Reply &reply) { return reply.type == redis::Reply::Type::kString; }

// Removes those of one batch of names that are of the functions. False: Redis cannot be written to.
bool RemoveNames(const Removal &removal, const redis::Reply &names) {
  for (size_t i = 0; i < names.element_count; i++) {
    const redis::Reply &name = names.elements[i];
    if (!IsStringReply(name)) continue;
    if (!removal.all && !list_member_oid(removal.functions, FunctionInName(name.bytes, name.size))) continue;
    removal.visit(removal.context, HashInName(name.bytes, name.size));
    const Argument unlink[] = {TextArgument("UNLINK"), {name.bytes, name.size}};
    if (PostToRedis(RedisUse::kRead, unlink, 2) != nullptr) return false;
  }
  return true;
}

// Goes through the names that one master has.
void RemoveFromMaster(int master, const Removal &removal) {
  char cursor[32] = "0";
  bool going = true;
  while (going) {
    CHECK_FOR_INTERRUPTS();
    const Argument scan[] = {TextArgument("SCAN"),  TextArgument(cursor),
                             TextArgument("MATCH"), {removal.pattern.text, removal.pattern.size},
                             TextArgument("COUNT"), TextArgument("1000")};
    const Ticket ticket = SendToRedisMaster(master, RedisUse::kRead, scan, 6);
    if (ticket == redis::kNoTicket) return;
    const redis::Reply *reply = AwaitRedis(ticket);
    going = reply != nullptr && reply->type == redis::Reply::Type::kArray && reply->element_count == 2 &&
            IsStringReply(reply->elements[0]) && reply->elements[0].size < sizeof(cursor) &&
            reply->elements[1].type == redis::Reply::Type::kArray;
    if (going) {
      memcpy(cursor, reply->elements[0].bytes, reply->elements[0].size);
      cursor[reply->elements[0].size] = '\0';
      going = RemoveNames(removal, reply->elements[1]) && strcmp(cursor, "0") != 0;
    }
    ForgetRedis(ticket);
    AwaitAllOfRedis();
  }
}

}  // namespace

void RemoveAllFromRedis(const List *functions, bool all, void (*visit)(void *, uint64_t), void *context) {
  if (!RedisIsConfigured()) return;
  Removal removal;
  removal.functions = functions;
  removal.all = all;
  removal.visit = visit;
  removal.context = context;
  NameResults(!all && list_length(functions) == 1 ? linitial_oid(functions) : InvalidOid, &removal.pattern);
  const int masters = CountRedisMasters();
  for (int master = 0; master < masters; master++) RemoveFromMaster(master, removal);
}

void ForgetRedisValues() {
  EndReadAhead();
  ForgetFetched();
}

}  // namespace aggcache
