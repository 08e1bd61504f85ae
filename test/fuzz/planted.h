// For the test of the frame fuzzer: the decompressor gets more room than there is. Put before frame.cc by the build.

#ifndef AGGCACHE_TEST_PLANTED_H
#define AGGCACHE_TEST_PLANTED_H

#include <lz4.h>

inline int DecompressTooMuch(const char *from, char *to, int size, int room) {
  const int made = LZ4_decompress_safe(from, to, size, room + 8);
  return made > room ? room : made;
}
#define LZ4_decompress_safe DecompressTooMuch

#endif
