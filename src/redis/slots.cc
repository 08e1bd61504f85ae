// Slots of keys, and the nodes that serve them, as the cluster's specification has them.

#include "redis/slots.h"

#include <cstdlib>
#include <cstring>

#include "redis/reply.h"

namespace aggcache {
namespace redis {
namespace {

// The table of CRC16 with the polynomial x^16 + x^12 + x^5 + 1, most significant bit first.
struct CrcTable {
  uint16_t remainder[256];

  constexpr CrcTable() : remainder() {
    for (unsigned byte = 0; byte < 256; byte++) {
      unsigned value = byte << 8;
      for (int bit = 0; bit < 8; bit++) value = (value & 0x8000) != 0 ? (value << 1) ^ 0x1021 : value << 1;
      remainder[byte] = static_cast<uint16_t>(value);
    }
  }
};

constexpr CrcTable kCrc;

bool CopyHost(const char *host, size_t size, Endpoint *endpoint) noexcept {
  if (size == 0 || size >= sizeof endpoint->host || memchr(host, '\0', size) != nullptr) return false;
  *endpoint = Endpoint{};
  memcpy(endpoint->host, host, size);
  return true;
}

bool ReadPort(int64_t port, Endpoint *endpoint) noexcept {
  if (port < 1 || port > 65535) return false;
  endpoint->port = static_cast<uint16_t>(port);
  return true;
}

bool IsString(const Reply &reply) noexcept { return reply.type == Reply::Type::kString; }

}  // namespace

int32_t SlotOfKey(const void *key, size_t size) noexcept {
  const unsigned char *bytes = static_cast<const unsigned char *>(key);
  const void *open = size > 0 ? memchr(bytes, '{', size) : nullptr;
  if (open != nullptr) {
    const unsigned char *begin = static_cast<const unsigned char *>(open) + 1;
    const size_t rest = static_cast<size_t>(bytes + size - begin);
    const void *close = rest > 0 ? memchr(begin, '}', rest) : nullptr;
    if (close != nullptr && close != begin) {
      bytes = begin;
      size = static_cast<size_t>(static_cast<const unsigned char *>(close) - begin);
    }
  }
  unsigned crc = 0;
  for (size_t i = 0; i < size; i++) crc = ((crc << 8) ^ kCrc.remainder[((crc >> 8) ^ bytes[i]) & 0xff]) & 0xffff;
  return static_cast<int32_t>(crc % kSlots);
}

bool ReadEndpoint(const Reply &host, const Reply &port, Endpoint *endpoint) noexcept {
  if (!IsString(host) || !CopyHost(host.bytes, host.size, endpoint)) return false;
  if (port.type == Reply::Type::kInteger) return ReadPort(port.integer, endpoint);
  if (!IsString(port) || port.size == 0 || port.size > 5) return false;
  int64_t number = 0;
  for (size_t i = 0; i < port.size; i++) {
    if (port.bytes[i] < '0' || port.bytes[i] > '9') return false;
    number = number * 10 + (port.bytes[i] - '0');
  }
  return ReadPort(number, endpoint);
}

bool ReadSlots(const Reply &line, const Endpoint &asked, int *first, int *last, Endpoint *master) noexcept {
  if (line.type != Reply::Type::kArray || line.element_count < 3) return false;
  const Reply &begin = line.elements[0], &end = line.elements[1], &node = line.elements[2];
  if (begin.type != Reply::Type::kInteger || end.type != Reply::Type::kInteger) return false;
  if (begin.integer < 0 || begin.integer > end.integer || end.integer >= kSlots) return false;
  *first = static_cast<int>(begin.integer);
  *last = static_cast<int>(end.integer);
  if (node.type != Reply::Type::kArray || node.element_count < 2) return false;
  const Reply &host = node.elements[0], &port = node.elements[1];
  if (host.type == Reply::Type::kNil || (IsString(host) && host.size == 0)) {
    *master = asked;
    return port.type == Reply::Type::kInteger && ReadPort(port.integer, master);
  }
  return ReadEndpoint(host, port, master);
}

bool ReadRedirection(const char *text, const Endpoint &from, bool *asks, int *slot, Endpoint *to) noexcept {
  *asks = StartsWithWord(text, "ASK");
  if (!*asks && !StartsWithWord(text, "MOVED")) return false;
  const char *digits = text + (*asks ? 3 : 5);
  char *end;
  const long number = strtol(digits, &end, 10);
  if (end == digits || number < 0 || number >= kSlots || *end != ' ') return false;
  *slot = static_cast<int>(number);
  const char *host = end + 1, *colon = strrchr(host, ':');
  if (colon == nullptr) return false;
  if (colon == host) {
    *to = from;
  } else if (!CopyHost(host, static_cast<size_t>(colon - host), to)) {
    return false;
  }
  const long port = strtol(colon + 1, &end, 10);
  return end != colon + 1 && *end == '\0' && ReadPort(port, to);
}

bool IsSame(const Endpoint &a, const Endpoint &b) noexcept { return a.port == b.port && strcmp(a.host, b.host) == 0; }

}  // namespace redis
}  // namespace aggcache
