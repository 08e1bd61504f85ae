// Written without taking memory, as each look-up needs a name. A session keeps the part that all its names begin with.

#include "pg/base/server.h"

#include "pg/redis/names.h"

#include "pg/redis/state.h"

namespace aggcache {

namespace {

constexpr size_t kHashDigits = 16;

void AppendText(RedisName *name, const char *text, size_t size) {
  memcpy(name->text + name->size, text, size);
  name->size += size;
}

void AppendHex(RedisName *name, uint64_t number) {
  for (int shift = 60; shift >= 0; shift -= 4) name->text[name->size++] = "0123456789abcdef"[number >> shift & 15];
}

void AppendNumber(RedisName *name, uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (count > 0) name->text[name->size++] = digits[--count];
}

// Everything before the function's part, which only another prefix changes.
void BeginName(RedisName *name) {
  static RedisName begin;
  static char prefix[kMostPrefix + 1];
  static uint64_t identity[2];
  uint64_t now[2];
  ServerIdentity(now);
  if (begin.size == 0 || memcmp(identity, now, sizeof(now)) != 0 || strcmp(prefix, settings::redis_prefix) != 0) {
    memcpy(identity, now, sizeof(now));
    strlcpy(prefix, settings::redis_prefix, sizeof(prefix));
    begin.size = 0;
    AppendText(&begin, prefix, strlen(prefix));
    begin.text[begin.size++] = ':';
    AppendNumber(&begin, GetSystemIdentifier());
    begin.text[begin.size++] = ':';
    AppendNumber(&begin, MyDatabaseId);
    begin.text[begin.size++] = ':';
    AppendHex(&begin, identity[0]);
    begin.text[begin.size++] = ':';
  }
  memcpy(name->text, begin.text, begin.size);
  name->size = begin.size;
}

}  // namespace

void NameResult(const Definition *definition, uint64_t key_hash, RedisName *name) {
  BeginName(name);
  AppendNumber(name, definition->function);
  name->text[name->size++] = ':';
  AppendText(name, definition->key_name, strlen(definition->key_name));
  name->text[name->size++] = ':';
  AppendHex(name, key_hash);
}

void RenameResult(uint64_t key_hash, RedisName *name) {
  name->size -= kHashDigits;
  AppendHex(name, key_hash);
}

void NameResults(Oid function, RedisName *pattern) {
  BeginName(pattern);
  if (OidIsValid(function)) {
    AppendNumber(pattern, function);
    pattern->text[pattern->size++] = ':';
  }
  pattern->text[pattern->size++] = '*';
}

Oid FunctionInName(const char *text, size_t size) {
  RedisName begin;
  BeginName(&begin);
  Oid function = InvalidOid;
  for (size_t i = begin.size; i < size && text[i] >= '0' && text[i] <= '9'; i++)
    function = function * 10 + text[i] - '0';
  return function;
}

uint64_t HashInName(const char *text, size_t size) {
  if (size < kHashDigits) return 0;
  char digits[kHashDigits + 1] = {0};
  memcpy(digits, text + size - kHashDigits, kHashDigits);
  return strtoull(digits, nullptr, 16);
}

}  // namespace aggcache
