// From bytes to replies: hiredis parses, what it finds is built as Reply values of our own, within limits, so that a
// garbled or hostile stream costs no more memory than it sends, but for arrays that it only announces: of those, room
// for kMostElements. Replies that say an error are told apart by their first word.
//
// Only the second version of the protocol is spoken; what belongs to the third alone is a garbled stream.

#ifndef AGGCACHE_REDIS_REPLY_H
#define AGGCACHE_REDIS_REPLY_H

#include <cstddef>
#include <cstdint>

#include "redis/types.h"

struct redisReader;

namespace aggcache {
namespace redis {

constexpr uint32_t kMostElements = 1048576;           // of one reply, of nested arrays together
constexpr int kDeepestArray = 7;                      // arrays around an array
constexpr int64_t kLongestString = int64_t{1} << 30;  // twice what Redis accepts by default
constexpr size_t kLongestLine = 65536;

// Frees what a reply points to and makes it kNil.
void FreeReply(Reply *reply) noexcept;

// Which failure an error reply says; `text` is the line without its '-'.
Failure ClassifyError(const char *text, size_t size) noexcept;

// Whether the first word of an error is this one.
bool StartsWithWord(const char *text, const char *word) noexcept;

class ReplyReader {
 public:
  enum class Outcome : uint8_t {
    kNothing,  // the next reply has not come completely
    kReply,
    kError,  // an error reply: FailureSeen() and Text()
    kBroken  // no memory (kLocal) or not a reply (kProtocol): nothing more can be read
  };

  ReplyReader() noexcept = default;
  ~ReplyReader() noexcept { End(); }
  ReplyReader(const ReplyReader &) = delete;
  ReplyReader &operator=(const ReplyReader &) = delete;

  // Starts with a new stream. False: no memory.
  bool Begin() noexcept;
  void End() noexcept;

  // Takes bytes of the stream, any number of them at a time. REQUIRES: Begin. What goes wrong is told by Next.
  void Feed(const char *bytes, size_t size) noexcept;
  // Takes the next reply. Of kReply it is the caller's to free; else *reply is kNil.
  Outcome Next(Reply *reply) noexcept;

  Failure FailureSeen() const noexcept { return failure_; }
  const char *Text() const noexcept { return text_; }

  // What the parser's callbacks build; for them only.
  struct Building {
    Reply root{};
    uint32_t elements = 0;
    bool is_error = false;    // root is an error, or holds one
    bool is_refused = false;  // a callback found something that is no reply to us
    Failure failure = Failure::kNone;
    char text[256] = "";
  };

 private:
  Outcome Break(Failure failure, const char *text) noexcept;
  bool IsItemTooLong() const noexcept;
  bool Shrink() noexcept;

  redisReader *reader_ = nullptr;
  size_t high_water_ = 0;  // the most bytes that the parser has held since it was made
  Building building_;
  bool broken_ = false;
  Failure failure_ = Failure::kNone;
  char text_[256] = "";
};

}  // namespace redis
}  // namespace aggcache

#endif
