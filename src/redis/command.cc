// Requests and queues.

#include "redis/command.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <strings.h>

namespace aggcache {
namespace redis {
namespace {

// Digits of a number; returns how many. `digits` has room for 20.
size_t WriteNumber(size_t number, char *digits) noexcept {
  char reversed[20];
  size_t count = 0;
  do {
    reversed[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  for (size_t i = 0; i < count; i++) digits[i] = reversed[count - 1 - i];
  return count;
}

bool IsWord(const Argument &argument, const char *word) noexcept {
  return argument.size == strlen(word) &&
         strncasecmp(static_cast<const char *>(argument.bytes), word, argument.size) == 0;
}

}  // namespace

bool FormatRequest(const Argument *arguments, int count, char **request, size_t *size) noexcept {
  constexpr size_t kMostAround = 1 + 20 + 2 + 2;  // sign, number and the ends of two lines
  size_t most = kMostAround;
  for (int i = 0; i < count; i++) {
    if (arguments[i].size > SIZE_MAX / 2 - most - kMostAround) return false;
    most += arguments[i].size + kMostAround;
  }
  char *bytes = static_cast<char *>(malloc(most));
  if (bytes == nullptr) return false;
  char *next = bytes;
  *next++ = '*';
  next += WriteNumber(static_cast<size_t>(count), next);
  *next++ = '\r';
  *next++ = '\n';
  for (int i = 0; i < count; i++) {
    *next++ = '$';
    next += WriteNumber(arguments[i].size, next);
    *next++ = '\r';
    *next++ = '\n';
    if (arguments[i].size > 0) memcpy(next, arguments[i].bytes, arguments[i].size);
    next += arguments[i].size;
    *next++ = '\r';
    *next++ = '\n';
  }
  *request = bytes;
  *size = static_cast<size_t>(next - bytes);
  return true;
}

bool SetAsking(Command *command, bool asks) noexcept {
  constexpr char kAsking[] = "*1\r\n$6\r\nASKING\r\n";
  constexpr size_t kSize = sizeof kAsking - 1;
  if (asks == command->asks) return true;
  if (asks) {
    char *request = static_cast<char *>(malloc(command->size + kSize));
    if (request == nullptr) return false;
    memcpy(request, kAsking, kSize);
    memcpy(request + kSize, command->request, command->size);
    free(command->request);
    command->request = request;
    command->size += kSize;
  } else {
    command->size -= kSize;
    memmove(command->request, command->request + kSize, command->size);
  }
  command->asks = asks;
  return true;
}

bool IsWrite(const Argument *arguments) noexcept {
  constexpr const char *kWords[] = {"SET", "UNLINK", "DEL", "EXPIRE", "PEXPIRE"};
  for (const char *word : kWords) {
    if (IsWord(arguments[0], word)) return true;
  }
  return false;
}

bool IsRepeatable(const Argument *arguments, int count) noexcept {
  if (IsWord(arguments[0], "SET")) {
    // with nothing else than a time to live: NX and GET would answer otherwise the second time
    return count == 3 || (count == 5 && (IsWord(arguments[3], "PX") || IsWord(arguments[3], "EX")));
  }
  constexpr const char *kWords[] = {"GET",    "MGET", "EXISTS", "STRLEN",  "TTL",  "PTTL", "SCAN",
                                    "UNLINK", "DEL",  "EXPIRE", "PEXPIRE", "PING", "INFO", "DBSIZE"};
  for (const char *word : kWords) {
    if (IsWord(arguments[0], word)) return true;
  }
  return false;
}

void CommandQueue::Append(Command *command) noexcept {
  command->next = nullptr;
  if (last_ != nullptr) {
    last_->next = command;
  } else {
    first_ = command;
  }
  last_ = command;
}

Command *CommandQueue::TakeFirst() noexcept {
  Command *command = first_;
  if (command == nullptr) return nullptr;
  first_ = command->next;
  if (first_ == nullptr) last_ = nullptr;
  command->next = nullptr;
  return command;
}

void CommandQueue::TakeAll(CommandQueue *from) noexcept {
  if (from->IsEmpty()) return;
  if (last_ != nullptr) {
    last_->next = from->first_;
  } else {
    first_ = from->first_;
  }
  last_ = from->last_;
  from->first_ = from->last_ = nullptr;
}

}  // namespace redis
}  // namespace aggcache
