// What the fuzzers share.

#ifndef AGGCACHE_TEST_FUZZ_H
#define AGGCACHE_TEST_FUZZ_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// A promise that does not hold ends the run, as a sanitizer does.
#define EXPECT(condition)                                                            \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                       \
    }                                                                                \
  } while (0)

inline bool SameBytes(const void *a, const void *b, size_t size) { return size == 0 || memcmp(a, b, size) == 0; }

// One input. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#endif
