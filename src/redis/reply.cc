// ReplyReader: hiredis's parser with object functions of our own. They put a reply where its parent has room for it, so
// a bulk string is copied once and a reply to GET is one allocation.
//
// What hiredis leaves open is closed here: an array's announced length is allocated only within kMostElements together,
// arrays nest only so deep (hiredis 1.x has no limit), a string must end where it says, a line without end is given up.

#include "redis/reply.h"

#include <cstdlib>
#include <cstring>

#include <hiredis/hiredis.h>

namespace aggcache {
namespace redis {
namespace {

// More than this in hiredis's buffer is given back once it is empty.
constexpr size_t kKeptBuffer = 256 * 1024;

ReplyReader::Building *BuildingOf(const redisReadTask *task) noexcept {
  return static_cast<ReplyReader::Building *>(task->privdata);
}

// The place of a task's value: the root, or the element of the array that its parent made.
Reply *PlaceOf(const redisReadTask *task) noexcept {
  if (task->parent == nullptr) return &BuildingOf(task)->root;
  const Reply *array = static_cast<const Reply *>(task->parent->obj);
  return const_cast<Reply *>(&array->elements[task->idx]);
}

// NULL from a callback is "out of memory" to hiredis; this is the other reason.
void *Refuse(const redisReadTask *task) noexcept {
  BuildingOf(task)->is_refused = true;
  return nullptr;
}

void *CreateString(const redisReadTask *task, char *bytes, size_t size) noexcept {
  if (task->type == REDIS_REPLY_ERROR) {
    ReplyReader::Building *building = BuildingOf(task);
    if (!building->is_error) {
      building->is_error = true;
      building->failure = ClassifyError(bytes, size);
      const size_t shown = size < sizeof building->text ? size : sizeof building->text - 1;
      memcpy(building->text, bytes, shown);
      building->text[shown] = '\0';
    }
    return PlaceOf(task);
  }
  if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS) return Refuse(task);
  // hiredis waits for the two bytes behind a string, and does not look at them
  if (task->type == REDIS_REPLY_STRING && (bytes[size] != '\r' || bytes[size + 1] != '\n')) return Refuse(task);
  char *copy = static_cast<char *>(malloc(size > 0 ? size : 1));
  if (copy == nullptr) return nullptr;
  memcpy(copy, bytes, size);
  Reply *reply = PlaceOf(task);
  reply->type = task->type == REDIS_REPLY_STRING ? Reply::Type::kString : Reply::Type::kStatus;
  reply->bytes = copy;
  reply->size = size;
  return reply;
}

#if HIREDIS_MAJOR >= 1
using ArrayLength = size_t;
#else
using ArrayLength = int;
#endif

void *CreateArray(const redisReadTask *task, ArrayLength length) noexcept {
  if (task->type != REDIS_REPLY_ARRAY) return Refuse(task);
  int depth = 0;
  for (const redisReadTask *around = task->parent; around != nullptr; around = around->parent) {
    if (++depth > kDeepestArray) return Refuse(task);
  }
  ReplyReader::Building *building = BuildingOf(task);
  const size_t count = static_cast<size_t>(length);
  if (count > kMostElements - building->elements) return Refuse(task);
  Reply *elements = nullptr;
  if (count > 0) {
    elements = static_cast<Reply *>(calloc(count, sizeof(Reply)));
    if (elements == nullptr) return nullptr;
  }
  building->elements += static_cast<uint32_t>(count);
  Reply *reply = PlaceOf(task);
  reply->type = Reply::Type::kArray;
  reply->elements = elements;
  reply->element_count = count;
  return reply;
}

void *CreateInteger(const redisReadTask *task, long long value) noexcept {
  if (task->type != REDIS_REPLY_INTEGER) return Refuse(task);
  Reply *reply = PlaceOf(task);
  reply->type = Reply::Type::kInteger;
  reply->integer = value;
  return reply;
}

void *CreateNil(const redisReadTask *task) noexcept {
  // "$-1" or "*-1"
  if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_ARRAY) return Refuse(task);
  Reply *reply = PlaceOf(task);
  reply->type = Reply::Type::kNil;
  return reply;
}

#if HIREDIS_MAJOR >= 1
void *CreateDouble(const redisReadTask *task, double, char *, size_t) noexcept { return Refuse(task); }
void *CreateBoolean(const redisReadTask *task, int) noexcept { return Refuse(task); }
#endif

void FreeRoot(void *root) noexcept { FreeReply(static_cast<Reply *>(root)); }

redisReplyObjectFunctions *ObjectFunctions() noexcept {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions made{};
    made.createString = CreateString;
    made.createArray = CreateArray;
    made.createInteger = CreateInteger;
    made.createNil = CreateNil;
#if HIREDIS_MAJOR >= 1
    made.createDouble = CreateDouble;
    made.createBool = CreateBoolean;
#endif
    made.freeObject = FreeRoot;
    return made;
  }();
  return &functions;
}

redisReader *MakeReader(ReplyReader::Building *building) noexcept {
  redisReader *reader = redisReaderCreateWithFunctions(ObjectFunctions());
  if (reader == nullptr) return nullptr;
  reader->privdata = building;
  // hiredis 0.14 asserts that memory for a new buffer can be had whenever it drops an old one: it drops none
  reader->maxbuf = 0;
  return reader;
}

int TypeOfTask(const redisReader *reader) noexcept {
#if HIREDIS_MAJOR >= 1
  return reader->task[reader->ridx]->type;
#else
  return reader->rstack[reader->ridx].type;
#endif
}

struct ErrorWord {
  const char *word;
  Failure failure;
};

constexpr ErrorWord kErrorWords[] = {
    {"NOAUTH", Failure::kAuthentication}, {"WRONGPASS", Failure::kAuthentication},
    {"NOPERM", Failure::kAuthentication}, {"OOM", Failure::kOutOfMemory},
    {"READONLY", Failure::kReadOnly},     {"NOREPLICAS", Failure::kReadOnly},
    {"MISCONF", Failure::kReadOnly},      {"LOADING", Failure::kLoading},
    {"BUSY", Failure::kLoading},          {"MASTERDOWN", Failure::kLoading},
    {"TRYAGAIN", Failure::kLoading},      {"CLUSTERDOWN", Failure::kCluster},
    {"MOVED", Failure::kCluster},         {"ASK", Failure::kCluster},
};

}  // namespace

void FreeReply(Reply *reply) noexcept {
  // kDeepestArray bounds the recursion
  for (size_t i = 0; i < reply->element_count; i++) FreeReply(const_cast<Reply *>(&reply->elements[i]));
  free(const_cast<Reply *>(reply->elements));
  free(const_cast<char *>(reply->bytes));
  *reply = Reply{};
}

bool StartsWithWord(const char *text, const char *word) noexcept {
  const size_t length = strlen(word);
  return strncmp(text, word, length) == 0 && (text[length] == ' ' || text[length] == '\0');
}

Failure ClassifyError(const char *text, size_t size) noexcept {
  char word[16];
  size_t length = 0;
  while (length < size && text[length] != ' ' && length + 1 < sizeof word) {
    word[length] = text[length];
    length++;
  }
  word[length] = '\0';
  for (const ErrorWord &known : kErrorWords) {
    if (strcmp(word, known.word) == 0) return known.failure;
  }
  return Failure::kReply;
}

bool ReplyReader::Begin() noexcept {
  End();
  building_ = Building{};
  broken_ = false;
  high_water_ = 0;
  reader_ = MakeReader(&building_);
  return reader_ != nullptr;
}

void ReplyReader::End() noexcept {
  if (reader_ == nullptr) return;
  redisReaderFree(reader_);  // with what it had built
  reader_ = nullptr;
}

void ReplyReader::Feed(const char *bytes, size_t size) noexcept {
  if (broken_) return;
  if (redisReaderFeed(reader_, bytes, size) != REDIS_OK) Break(Failure::kLocal, "out of memory");
  if (reader_->len > high_water_) high_water_ = reader_->len;
}

ReplyReader::Outcome ReplyReader::Next(Reply *reply) noexcept {
  *reply = Reply{};
  if (broken_) return Outcome::kBroken;
  void *found = nullptr;
  if (redisReaderGetReply(reader_, &found) != REDIS_OK) {
    if (reader_->err == REDIS_ERR_OOM && !building_.is_refused) return Break(Failure::kLocal, "out of memory");
    return Break(Failure::kProtocol, "unexpected bytes instead of a reply");
  }
  if (found == nullptr) {
    if (IsItemTooLong()) return Break(Failure::kProtocol, "a reply is too long");
    return Outcome::kNothing;
  }
  building_.elements = 0;
  if (building_.is_error) {
    FreeReply(&building_.root);
    failure_ = building_.failure;
    memcpy(text_, building_.text, sizeof text_);
    building_.is_error = false;
  } else {
    *reply = building_.root;
    building_.root = Reply{};
    failure_ = Failure::kNone;
  }
  if (!Shrink()) {
    FreeReply(reply);
    return Break(Failure::kLocal, "out of memory");
  }
  return failure_ == Failure::kNone ? Outcome::kReply : Outcome::kError;
}

ReplyReader::Outcome ReplyReader::Break(Failure failure, const char *text) noexcept {
  broken_ = true;
  failure_ = failure;
  strncpy(text_, text, sizeof text_ - 1);
  return Outcome::kBroken;
}

// Whether the item that the parser waits for is beyond the limits. Its position is behind the byte of the item's type.
bool ReplyReader::IsItemTooLong() const noexcept {
  const char *item = reader_->buf + reader_->pos;
  const size_t size = reader_->len - reader_->pos;
  if (size == 0 || reader_->ridx < 0) return false;
  if (TypeOfTask(reader_) != REDIS_REPLY_STRING) return size > kLongestLine;
  // "$8388608\r\n…": the parser says what else is wrong with the number once it has the line
  int64_t length = 0;
  size_t digits = 0;
  while (digits < size && item[digits] >= '0' && item[digits] <= '9') {
    length = length * 10 + (item[digits++] - '0');
    if (length > kLongestString) return true;
  }
  return size > kLongestLine && item[digits] != '\r';
}

// After a large reply, gives the parser's buffer back. False: no memory for a new one.
bool ReplyReader::Shrink() noexcept {
  if (reader_->pos < reader_->len || reader_->err != 0) return true;
  if (high_water_ <= kKeptBuffer) return true;
  high_water_ = 0;
  redisReader *fresh = MakeReader(&building_);
  if (fresh == nullptr) return false;
  redisReaderFree(reader_);
  reader_ = fresh;
  return true;
}

}  // namespace redis
}  // namespace aggcache
