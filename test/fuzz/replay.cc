// Gives each file named on the command line to the fuzzer's function: for compilers without libFuzzer.

#include <cstdio>
#include <vector>

#include "fuzz.h"

int main(int count, char **names) {
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(names[i], "rb");
    if (file == nullptr) {
      perror(names[i]);
      return 1;
    }
    std::vector<uint8_t> input;
    for (int byte; (byte = getc(file)) != EOF;) input.push_back(static_cast<uint8_t>(byte));
    fclose(file);
    fprintf(stderr, "Running: %s\n", names[i]);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
