// ReplyReader and ClassifyError, fed byte by byte and all at once.

#include "redis/reply.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "harness.h"

namespace aggcache {
namespace redis {
namespace {

// What a stream says, as texts; fed in pieces of a size.
std::vector<std::string> Read(const std::string &stream, size_t piece) {
  std::vector<std::string> found;
  ReplyReader reader;
  EXPECT_TRUE(reader.Begin());
  for (size_t i = 0; i < stream.size(); i += piece) {
    reader.Feed(stream.data() + i, std::min(piece, stream.size() - i));
    for (;;) {
      Reply reply;
      const ReplyReader::Outcome outcome = reader.Next(&reply);
      if (outcome == ReplyReader::Outcome::kNothing) break;
      if (outcome == ReplyReader::Outcome::kBroken) {
        found.push_back(NameOf(reader.FailureSeen()));
        EXPECT_EQ(reader.Next(&reply), ReplyReader::Outcome::kBroken);
        return found;
      }
      if (outcome == ReplyReader::Outcome::kError) {
        found.push_back(NameOf(reader.FailureSeen()) + (" " + std::string(reader.Text())));
      } else {
        found.push_back(TextOf(reply));
      }
      FreeReply(&reply);
    }
  }
  return found;
}

using Texts = std::vector<std::string>;

TEST(ReplyTest, StreamsInPiecesOfAnySize) {
  const std::string stream =
      "+OK\r\n$3\r\nabc\r\n$-1\r\n$0\r\n\r\n:-12\r\n*-1\r\n*0\r\n*3\r\n$1\r\nx\r\n*2\r\n:1\r\n:2\r\n$-1\r\n-ERR no\r\n"
      "-MOVED 12 1.2.3.4:5\r\n*2\r\n-NOAUTH in\r\n$1\r\ny\r\n+\r\n";
  const Texts expected = {"OK",
                          "abc",
                          "(nil)",
                          "",
                          "(integer) -12",
                          "(nil)",
                          "[]",
                          "[x [(integer) 1 (integer) 2] (nil)]",
                          "!reply ERR no",
                          "!cluster MOVED 12 1.2.3.4:5",
                          "!authentication NOAUTH in",
                          ""};
  for (size_t piece = 1; piece <= stream.size(); piece++) EXPECT_EQ(Read(stream, piece), expected) << piece;
}

TEST(ReplyTest, LargeStringsAndWhatFollows) {
  const std::string large(3 << 20, 'x');
  const std::string stream = "$" + std::to_string(large.size()) + "\r\n" + large + "\r\n+OK\r\n";
  for (const size_t piece : {size_t{1000}, size_t{65536}, stream.size()}) {
    const Texts found = Read(stream + stream, piece);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_TRUE(found[0] == large && found[2] == large);
    EXPECT_EQ(found[1], "OK");
    EXPECT_EQ(found[3], "OK");
  }
}

TEST(ReplyTest, Limits) {
  EXPECT_EQ(Read("*1048576\r\n", 100), Texts{});
  EXPECT_EQ(Read("*1048577\r\n", 100), Texts{"!protocol"});
  EXPECT_EQ(Read("*2\r\n*1048574\r\n", 100), Texts{});
  EXPECT_EQ(Read("*2\r\n*1048575\r\n", 100), Texts{"!protocol"});
  // of one reply, not of all
  std::string many;
  for (int i = 0; i < 3; i++) {
    many += "*600000\r\n";
    for (int k = 0; k < 600000; k++) many += "$-1\r\n";
  }
  EXPECT_EQ(Read(many, 65536).size(), 3u);
  EXPECT_EQ(Read("$1073741824\r\n", 100), Texts{});
  EXPECT_EQ(Read("$1073741825\r\n", 100), Texts{"!protocol"});
  EXPECT_EQ(Read("+" + std::string(70000, 'x'), 1000), Texts{"!protocol"});
  EXPECT_EQ(Read("$" + std::string(70000, 'x'), 1000), Texts{"!protocol"});
  EXPECT_EQ(Read("+" + std::string(60000, 'x') + "\r\n", 1000)[0].size(), 60000u);
}

// A million arrays in each other would be as many calls on the stack.
TEST(ReplyTest, Depth) {
  std::string deep;
  for (int i = 0; i < kDeepestArray; i++) deep += "*1\r\n";
  EXPECT_EQ(Read(deep + ":1\r\n", 100).at(0).substr(0, 4), "[[[[");
  for (int i = 0; i < 10; i++) deep += "*1\r\n";
  EXPECT_EQ(Read(deep + ":1\r\n", 100), Texts{"!protocol"});
  for (int i = 0; i < 100000; i++) deep += "*1\r\n";
  EXPECT_EQ(Read(deep + ":1\r\n", 65536), Texts{"!protocol"});
}

TEST(ReplyTest, AStringEndsWhereItSays) {
  EXPECT_EQ(Read("$3\r\nabcd\r\n", 100), Texts{"!protocol"});
  EXPECT_EQ(Read("$3\r\nab\r\n+OK\r\n", 100), Texts{"!protocol"});
}

// Whatever is broken in the middle is given back: what the sanitizers look at.
TEST(ReplyTest, BrokenInTheMiddle) {
  for (const char *stream :
       {"*2\r\n$3\r\nabc\r\n?", "*3\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n$x\r\n", "*2\r\n*2\r\n+a\r\n"}) {
    for (size_t piece = 1; piece < 20; piece++) Read(stream, piece);
  }
}

TEST(ReplyTest, KindsOfErrors) {
  const auto kind = [](const char *text) { return ClassifyError(text, strlen(text)); };
  EXPECT_EQ(kind("NOAUTH Authentication required."), Failure::kAuthentication);
  EXPECT_EQ(kind("NOAUTH"), Failure::kAuthentication);
  EXPECT_EQ(kind("NOAUTHX"), Failure::kReply);
  EXPECT_EQ(kind("NOPERM this user has no permissions"), Failure::kAuthentication);
  EXPECT_EQ(kind("OOM command not allowed"), Failure::kOutOfMemory);
  EXPECT_EQ(kind("READONLY You can't write"), Failure::kReadOnly);
  EXPECT_EQ(kind("LOADING Redis is loading"), Failure::kLoading);
  EXPECT_EQ(kind("CLUSTERDOWN The cluster is down"), Failure::kCluster);
  EXPECT_EQ(kind("ERR unknown command"), Failure::kReply);
  EXPECT_EQ(kind(""), Failure::kReply);
  EXPECT_EQ(kind(" OOM"), Failure::kReply);
  EXPECT_EQ(ClassifyError("OOMX", 3), Failure::kOutOfMemory);
}

}  // namespace
}  // namespace redis
}  // namespace aggcache
