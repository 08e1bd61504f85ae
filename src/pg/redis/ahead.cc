// One MGET asks one server for many values, at a fraction of what as many GETs cost. Several MGETs are sent, so that
// the first values are read while Redis collects the next. The nodes of a cluster hold different keys, so they get
// GETs. State of this session: the values asked for, in the order of the calls to come.

#include "pg/base/server.h"

#include "pg/redis/ahead.h"

#include "pg/redis/names.h"
#include "pg/redis/session.h"
#include "pg/redis/state.h"
#include "pg/redis/target.h"
#include "pg/redis/values.h"

namespace aggcache {

namespace {

using redis::Argument;
using redis::Reply;
using redis::Ticket;

constexpr int kKeysAtOnce = 128;

// One value, in the order of the calls to come.
struct AheadValue {
  uint64_t hash;
  Ticket ticket;
  int element;   // of the reply to an MGET; negative: the reply is that to a GET
  bool is_last;  // of those with this ticket
  bool is_old;   // not to be taken any more
};
AheadValue values[kMostAhead];
int begin = 0;  // tickets of values before it are forgotten
int next = 0;   // values before it are taken
int end = 0;

// Forgets the tickets of the values before that place.
void ForgetUntil(int until) {
  for (; begin < until; begin++)
    if (values[begin].is_last) ForgetRedis(values[begin].ticket);
}

// Asks for the values of the keys. False: Redis cannot be asked now.
bool AskAhead(const Definition *definition, const uint64_t *hashes, int count) {
  static RedisName names[kKeysAtOnce];  // too large for the stack
  Argument arguments[1 + kKeysAtOnce];
  arguments[0] = count > 1 ? Argument{"MGET", 4} : Argument{"GET", 3};
  for (int i = 0; i < count; i++) {
    if (i == 0) {
      NameResult(definition, hashes[i], &names[i]);
    } else {
      memcpy(names[i].text, names[0].text, names[0].size);
      names[i].size = names[0].size;
      RenameResult(hashes[i], &names[i]);
    }
    arguments[1 + i] = {names[i].text, names[i].size};
  }
  const Ticket ticket = SendToRedis(RedisUse::kRead, arguments, 1 + count);
  if (ticket == redis::kNoTicket) return false;
  for (int i = 0; i < count; i++) values[end++] = {hashes[i], ticket, count > 1 ? i : -1, i + 1 == count, false};
  return true;
}

}  // namespace

void ReadAhead(const Definition *definition, const uint64_t *hashes, int count) {
  EndReadAhead();
  if (redis_state == nullptr || !RedisIsConfigured() || !MayBeInRedis(definition)) return;
  const int at_once = RedisIsCluster() ? 1 : kKeysAtOnce;
  for (int i = 0; i < Min(count, kMostAhead); i += at_once) {
    if (!AskAhead(definition, hashes + i, Min(at_once, Min(count, kMostAhead) - i))) break;
    if (at_once == 1) HoldRedis();
  }
  ReleaseRedis();
}

void EndReadAhead() {
  ReleaseRedis();  // an error may have come in between
  ForgetUntil(end);
  begin = next = end = 0;
}

void TakeReadAhead() {
  if (next < end) AwaitAllOfRedis();
}

void PassOverAhead(uint64_t hash) {
  for (int i = next; i < end; i++)
    if (values[i].hash == hash) values[i].is_old = true;
}

bool TakeAhead(uint64_t hash, const Reply **reply) {
  ForgetUntil(next);
  // Calls come in the order in which they were announced, but some may be answered from elsewhere.
  int found = next;
  while (found < end && (values[found].hash != hash || values[found].is_old)) found++;
  if (found == end) return false;
  ForgetUntil(found);
  next = found + 1;
  const AheadValue &value = values[found];
  *reply = AwaitRedis(value.ticket);
  if (*reply == nullptr || value.element < 0) return true;
  const bool has_it = (*reply)->type == Reply::Type::kArray && value.element < (*reply)->element_count;
  *reply = has_it ? &(*reply)->elements[value.element] : nullptr;
  return true;
}

}  // namespace aggcache
