// ParseUrl, MaskUrl: one pass over the parts of a URL, nothing allocated.

#include "redis/url.h"

#include <cstring>

namespace aggcache {
namespace redis {
namespace {

constexpr size_t kLongestSocketPath = 107;  // sockaddr_un.sun_path with its end

// A part of the URL.
struct Part {
  const char *begin;
  const char *end;

  size_t Size() const noexcept { return static_cast<size_t>(end - begin); }
  bool IsEmpty() const noexcept { return begin == end; }
  // The first or last place of a character, NULL if there is none.
  const char *Find(char wanted) const noexcept { return static_cast<const char *>(memchr(begin, wanted, Size())); }
  const char *FindLast(char wanted) const noexcept {
    for (const char *place = end; place != begin; place--) {
      if (place[-1] == wanted) return place - 1;
    }
    return nullptr;
  }
};

struct Scheme {
  const char *prefix;
  Topology topology;
  bool tls;
  bool unix_socket;
};

constexpr Scheme kSchemes[] = {
    {"redis://", Topology::kSingle, false, false},
    {"rediss://", Topology::kSingle, true, false},
    {"redis-sentinel://", Topology::kSentinel, false, false},
    {"rediss-sentinel://", Topology::kSentinel, true, false},
    {"redis-cluster://", Topology::kCluster, false, false},
    {"rediss-cluster://", Topology::kCluster, true, false},
    {"unix://", Topology::kSingle, false, true},
};

const Scheme *FindScheme(const char *url) noexcept {
  for (const Scheme &scheme : kSchemes) {
    if (strncmp(url, scheme.prefix, strlen(scheme.prefix)) == 0) return &scheme;
  }
  return nullptr;
}

// What stands before an '@', which belongs to the part up to the first '/'; empty and *rest unchanged if nothing does.
Part TakeCredentials(Part *rest) noexcept {
  const char *slash = rest->Find('/');
  const Part authority{rest->begin, slash != nullptr ? slash : rest->end};
  const char *at = authority.FindLast('@');
  if (at == nullptr) return Part{rest->begin, rest->begin};
  const Part credentials{rest->begin, at};
  rest->begin = at + 1;
  return credentials;
}

int HexDigit(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool Decode(Part part, char *decoded, size_t size) noexcept {
  size_t used = 0;
  for (const char *next = part.begin; next != part.end; next++) {
    char byte = *next;
    if (byte == '%') {
      if (part.end - next < 3) return false;
      const int high = HexDigit(next[1]), low = HexDigit(next[2]);
      if (high < 0 || low < 0) return false;
      byte = static_cast<char>(high * 16 + low);
      next += 2;
    }
    if (byte == '\0' || used + 1 >= size) return false;
    decoded[used++] = byte;
  }
  decoded[used] = '\0';
  return true;
}

bool ParseNumber(Part part, unsigned most, uint16_t *number) noexcept {
  if (part.IsEmpty() || part.Size() > 5) return false;
  unsigned value = 0;
  for (const char *digit = part.begin; digit != part.end; digit++) {
    if (*digit < '0' || *digit > '9') return false;
    value = value * 10 + static_cast<unsigned>(*digit - '0');
  }
  if (value > most) return false;
  *number = static_cast<uint16_t>(value);
  return true;
}

bool IsHostCharacter(char character, bool bracketed) noexcept {
  const bool word = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
                    (character >= '0' && character <= '9') || character == '.' || character == '-' || character == '_';
  return word || (bracketed && (character == ':' || character == '%'));
}

const char *ParseEndpoint(Part part, uint16_t default_port, Endpoint *endpoint) noexcept {
  Part host = part;
  const bool bracketed = !part.IsEmpty() && *part.begin == '[';
  const char *after;
  if (bracketed) {
    const char *bracket = part.Find(']');
    if (bracket == nullptr) return "An IPv6 address lacks its closing bracket.";
    host = Part{part.begin + 1, bracket};
    after = bracket + 1;
  } else {
    const char *colon = part.Find(':');
    after = colon != nullptr ? colon : part.end;
    host.end = after;
  }
  if (host.IsEmpty()) return "A host is missing.";
  if (host.Size() >= sizeof endpoint->host) return "A host is too long.";
  for (const char *next = host.begin; next != host.end; next++) {
    if (!IsHostCharacter(*next, bracketed)) return "A host has a character that no host has.";
  }
  memcpy(endpoint->host, host.begin, host.Size());
  endpoint->port = default_port;
  if (after == part.end) return nullptr;
  if (*after != ':' || !ParseNumber(Part{after + 1, part.end}, 65535, &endpoint->port) || endpoint->port == 0) {
    return "A port is a number from 1 to 65535.";
  }
  return nullptr;
}

const char *ParseCredentials(Part credentials, Target *target) noexcept {
  if (credentials.IsEmpty()) return nullptr;
  // "secret@host" would make a password of who forgot the colon a user, whose name is shown.
  const char *colon = credentials.Find(':');
  if (colon == nullptr) return "A user is followed by a colon, and by a password if that does not come from a file.";
  if (!Decode(Part{credentials.begin, colon}, target->user, sizeof target->user)) {
    return "The user is too long, or not percent-encoded rightly.";
  }
  if (!Decode(Part{colon + 1, credentials.end}, target->password, sizeof target->password)) {
    return "The password is too long, or not percent-encoded rightly.";
  }
  return nullptr;
}

const char *ParseDatabase(Part part, Target *target) noexcept {
  return ParseNumber(part, 65535, &target->database) ? nullptr : "A database is a number from 0 to 65535.";
}

const char *ParseUnixSocket(Part rest, Target *target) noexcept {
  const char *question = rest.Find('?');
  const Part path{rest.begin, question != nullptr ? question : rest.end};
  Endpoint *endpoint = &target->seeds[0];
  target->seed_count = 1;
  if (path.IsEmpty() || *path.begin != '/') return "The path of a Unix socket begins with a slash.";
  if (!Decode(path, endpoint->host, sizeof endpoint->host)) {
    return "The path is too long, or not percent-encoded rightly.";
  }
  if (strlen(endpoint->host) > kLongestSocketPath) return "The path of a Unix socket has at most 107 bytes.";
  if (question == nullptr) return nullptr;
  if (rest.end - question < 4 || strncmp(question, "?db=", 4) != 0)
    return "The only option of a Unix socket is \"db\".";
  return ParseDatabase(Part{question + 4, rest.end}, target);
}

const char *ParseHosts(Part hosts, Target *target) noexcept {
  const uint16_t default_port = target->topology == Topology::kSentinel ? 26379 : 6379;
  for (;;) {
    const char *comma = hosts.Find(',');
    if (target->seed_count == kMostSeeds) return "There are more than 16 hosts.";
    const char *problem = ParseEndpoint(Part{hosts.begin, comma != nullptr ? comma : hosts.end}, default_port,
                                        &target->seeds[target->seed_count++]);
    if (problem != nullptr) return problem;
    if (comma == nullptr) return nullptr;
    if (target->topology == Topology::kSingle) return "Several hosts are for \"redis-sentinel\" and \"redis-cluster\".";
    hosts.begin = comma + 1;
  }
}

// What follows the hosts: "", "/", "/database", of Sentinels "/master" or "/master/database".
const char *ParsePath(Part path, Target *target) noexcept {
  if (!path.IsEmpty()) path.begin++;
  if (target->topology == Topology::kSentinel) {
    const char *slash = path.Find('/');
    const Part master{path.begin, slash != nullptr ? slash : path.end};
    if (master.IsEmpty()) return "The name of the master is missing: redis-sentinel://host/master.";
    if (!Decode(master, target->master, sizeof target->master)) {
      return "The name of the master is too long, or not percent-encoded rightly.";
    }
    path.begin = slash != nullptr ? slash + 1 : path.end;
  }
  if (path.IsEmpty()) return nullptr;
  if (target->topology == Topology::kCluster) return "A cluster has no numbered databases.";
  return ParseDatabase(path, target);
}

}  // namespace

const char *ParseUrl(const char *url, Target *target) noexcept {
  memset(target, 0, sizeof *target);
  const Scheme *scheme = FindScheme(url);
  if (scheme == nullptr) {
    return "It begins with redis://, rediss://, unix://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or "
           "rediss-cluster://.";
  }
  target->topology = scheme->topology;
  target->tls = scheme->tls;
  const char *begin = url + strlen(scheme->prefix);
  Part rest{begin, begin + strlen(begin)};
  const char *problem = ParseCredentials(TakeCredentials(&rest), target);
  if (problem != nullptr) return problem;
  if (scheme->unix_socket) return ParseUnixSocket(rest, target);
  const char *slash = rest.Find('/');
  const Part hosts{rest.begin, slash != nullptr ? slash : rest.end};
  problem = ParseHosts(hosts, target);
  return problem != nullptr ? problem : ParsePath(Part{hosts.end, rest.end}, target);
}

bool MaskUrl(const char *url, const char *mask, char *masked, size_t size) noexcept {
  const size_t length = strlen(url);
  const Scheme *scheme = FindScheme(url);
  Part password{url + length, url + length};
  if (scheme != nullptr) {
    Part rest{url + strlen(scheme->prefix), url + length};
    const Part credentials = TakeCredentials(&rest);
    const char *colon = credentials.Find(':');
    if (colon != nullptr) password = Part{colon + 1, credentials.end};
  }
  if (password.IsEmpty()) mask = "";
  const size_t before = static_cast<size_t>(password.begin - url), mask_length = strlen(mask),
               after = length - before - password.Size();
  if (before + mask_length + after >= size) return false;
  memcpy(masked, url, before);
  memcpy(masked + before, mask, mask_length);
  memcpy(masked + before + mask_length, password.end, after + 1);
  return true;
}

}  // namespace redis
}  // namespace aggcache
