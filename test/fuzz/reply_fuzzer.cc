// Any bytes as what a Redis sends: ReplyReader must give the same replies however the stream is cut, none after it is
// broken, and stay within its limits.
//
// The first two bytes of an input say how the rest is cut into pieces.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fuzz.h"
#include "redis/reply.h"

namespace {

using namespace aggcache::redis;

// Writes a reply down, with what is promised of it checked, and counts its elements.
void Describe(const Reply &reply, size_t *elements, std::string *to) {
  *to += std::to_string(static_cast<int>(reply.type)) + ':';
  switch (reply.type) {
    case Reply::Type::kNil: break;
    case Reply::Type::kString:
    case Reply::Type::kStatus:
      EXPECT(reply.size == 0 || reply.bytes != nullptr);
      to->append(reply.bytes, reply.size);
      break;
    case Reply::Type::kInteger: *to += std::to_string(reply.integer); break;
    case Reply::Type::kArray:
      EXPECT(reply.element_count == 0 || reply.elements != nullptr);
      *elements += reply.element_count;
      EXPECT(*elements <= kMostElements);
      for (size_t i = 0; i < reply.element_count; i++) Describe(reply.elements[i], elements, to);
      break;
    default: EXPECT(!"a type that there is");
  }
  *to += ';';
}

// How long the pieces are: from one byte to a few, or longer.
class Cuts {
 public:
  explicit Cuts(unsigned seed) : state_(seed) {}
  size_t Next() {
    state_ = state_ * 1103515245 + 12345;
    return 1 + (state_ >> 16) % (1 + (state_ >> 8) % 40);
  }

 private:
  unsigned state_;
};

// Everything that the stream says. `whole`: in one piece.
std::string Read(const uint8_t *stream, size_t size, bool whole, unsigned seed) {
  std::string said;
  ReplyReader reader;
  EXPECT(reader.Begin());
  Cuts cuts(seed);
  bool broken = false;
  for (size_t done = 0; done < size;) {
    size_t piece = whole ? size : cuts.Next();
    if (piece > size - done) piece = size - done;
    // Memory of its own, gone before the reply is taken: nothing may point there.
    auto *bytes = static_cast<char *>(malloc(piece));
    memcpy(bytes, stream + done, piece);
    done += piece;
#ifdef AGGCACHE_FUZZ_SELF_TEST
    if (!whole && bytes[piece - 1] == '\n') piece--;  // a byte gets lost
#endif
    reader.Feed(bytes, piece);
    free(bytes);
    for (bool more = true; more;) {
      Reply reply;
      const ReplyReader::Outcome outcome = reader.Next(&reply);
      EXPECT(!broken || outcome == ReplyReader::Outcome::kBroken);
      if (outcome == ReplyReader::Outcome::kReply) {
        size_t elements = 0;
        Describe(reply, &elements, &said);
        FreeReply(&reply);
      } else {
        EXPECT(reply.type == Reply::Type::kNil && reply.bytes == nullptr && reply.elements == nullptr);
      }
      if (outcome == ReplyReader::Outcome::kError) {
        EXPECT(reader.FailureSeen() != Failure::kNone && reader.FailureSeen() < Failure::kCount);
        said += "error " + std::to_string(static_cast<int>(reader.FailureSeen())) + reader.Text() + ';';
      }
      if (outcome == ReplyReader::Outcome::kBroken) {
        EXPECT(reader.FailureSeen() == Failure::kProtocol || reader.FailureSeen() == Failure::kLocal);
        if (!broken) said += "broken;";
        broken = true;
      }
      more = outcome == ReplyReader::Outcome::kReply || outcome == ReplyReader::Outcome::kError;
    }
  }
  return said;
}

// Whether the stream announces an array so long that making and freeing it takes the time of a thousand other inputs.
bool AnnouncesMuch(const uint8_t *stream, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (stream[i] != '*') continue;
    size_t digits = 0;
    while (i + 1 + digits < size && stream[i + 1 + digits] >= '0' && stream[i + 1 + digits] <= '9') digits++;
    if (digits > 4) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size < 2) return 0;
  if (input[0] % 64 != 0 && AnnouncesMuch(input + 2, size - 2)) return 0;
  const unsigned seed = input[0] | static_cast<unsigned>(input[1]) << 8;
  const std::string in_pieces = Read(input + 2, size - 2, false, seed);
  const std::string whole = Read(input + 2, size - 2, true, 0);
  EXPECT(in_pieces == whole);
  return 0;
}
