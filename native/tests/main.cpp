#include <cstdlib>
#include <string>
#include <vector>

#include "tests/testing.h"

// Arguments are parts of test names; `--list` prints the names, `--bench` the speed of the ops that run.
int main(int argc, char** argv) {
  std::vector<std::string> filters(argv + 1, argv + argc);
  if (std::erase(filters, "--bench") > 0) ::setenv("VLMR1_BENCH", "1", 1);
  return vlmr1::testing::run_tests(filters);
}
