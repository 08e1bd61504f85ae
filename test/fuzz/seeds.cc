// Writes the first inputs of the fuzzers: seeds DIRECTORY, which has frame/ and reply/. What fuzzing has added to the
// corpus since is not made by this.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "redis/frame.h"

namespace {

using namespace aggcache;
using namespace aggcache::redis;

std::string directory;

void Write(const std::string &name, const std::string &bytes) {
  const std::string path = directory + "/" + name;
  FILE *file = fopen(path.c_str(), "wb");
  if (file == nullptr || fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || fclose(file) != 0) {
    perror(path.c_str());
    exit(1);
  }
}

void WriteFrame(const std::string &name, uint32_t stamp_count, uint32_t running_count, const std::string &value,
                bool compress) {
  const char key[] = "key of the fuzzer";
  const FrameIdentity identity = {{1, 2}, 3, 4, key, sizeof(key) - 1};
  std::vector<Stamp> stamps(stamp_count);
  for (uint32_t i = 0; i < stamp_count; i++) {
    stamps[i].slot = i * 37 % 1024;
    stamps[i].version = i;
    stamps[i].alternative = i % 2 == 1;
    stamps[i].immediate = i % 3 == 0;
  }
  std::vector<Xid> running(running_count);
  for (uint32_t i = 0; i < running_count; i++) running[i] = 1000 + i;
  FrameContents contents;
  contents.snapshot = {1000, 2000, running.data(), running_count};
  contents.stamps = stamps.data();
  contents.stamp_count = stamp_count;
  contents.stored_at = 700000000000000;
  contents.expires_at = 700000300000000;
  contents.cost_ns = 5000000;
  contents.value = value.data();
  contents.value_size = value.size();
  Buffer frame;
  if (EncodeFrame(identity, contents, compress ? 0 : UINT64_MAX, &frame) != FrameCode::kOk) exit(1);
  const std::string bytes(reinterpret_cast<const char *>(frame.bytes), frame.size);
  frame.Free();
  // As it is, and with a checksum that is made to fit, at another place of memory.
  Write("frame/" + name, '\0' + bytes);
  Write("frame/" + name + "-resealed", std::string(1, 1 | 2 | 3 << 2) + bytes);
}

}  // namespace

int main(int count, char **arguments) {
  if (count != 2) return 2;
  directory = arguments[1];
  std::string mixed;
  for (int i = 0; i < 60; i++) mixed += "value " + std::to_string(i * i) + ", ";
  WriteFrame("empty", 0, 0, "", false);
  WriteFrame("small", 3, 2, "value", false);
  WriteFrame("ids", 0, 40, "v", false);
  WriteFrame("stamps", 30, 0, std::string(32, 'x'), false);
  WriteFrame("compressed", 2, 1, std::string(300, 'x'), true);
  WriteFrame("mixed", 5, 3, mixed, true);

  const std::string long_string(500, 's');
  const std::pair<const char *, std::string> replies[] = {
      {"string", "$5\r\nvalue\r\n"},
      {"strings", "$-1\r\n$0\r\n\r\n$3\r\na\r\n\r\n$500\r\n" + long_string + "\r\n"},
      {"status", "+OK\r\n+PONG\r\n+\r\n"},
      {"integers", ":0\r\n:-1\r\n:9223372036854775807\r\n"},
      {"errors", "-ERR unknown command\r\n-MOVED 3999 127.0.0.1:6381\r\n-ASK 1 [::1]:7\r\n-OOM\r\n-\r\n"},
      {"array", "*3\r\n$1\r\na\r\n:1\r\n$-1\r\n*0\r\n*-1\r\n"},
      {"nested", "*2\r\n*2\r\n+a\r\n*1\r\n:1\r\n-ERR inside\r\n*1\r\n*1\r\n*1\r\n*1\r\n:5\r\n"},
      {"slots",
       "*1\r\n*4\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n"},
      {"scan", "*2\r\n$2\r\n17\r\n*2\r\n$3\r\nkey\r\n$4\r\nkeys\r\n"},
      {"long_announced", "$1073741825\r\nx"},
      {"many_announced", "*1048577\r\n"},
      {"longest_announced", "$9223372036854775808\r\n"},
      {"negative", "$-2\r\n*-2\r\n"},
      {"wrong_end", "$5\r\nvalueXY$1\r\na\r\n"},
      {"third_version", "_\r\n#t\r\n,1.5\r\n%1\r\n+a\r\n+b\r\n~1\r\n+c\r\n>1\r\n+d\r\n"},
      {"noise", "HTTP/1.1 400 Bad Request\r\n\r\n"},
  };
  unsigned char seed = 0;
  for (const auto &[name, stream] : replies) {
    // What announces much is only tried where the first byte is a multiple of 64.
    const bool is_large = name == std::string("many_announced");
    const char cut[2] = {static_cast<char>(is_large ? 64 : seed += 37), 1};
    Write(std::string("reply/") + name, std::string(cut, 2) + stream);
  }
  return 0;
}
