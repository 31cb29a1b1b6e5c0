#include <string>
#include <vector>

#include "tests/testing.h"

int main(int argc, char** argv) { return vlmr1::testing::run_tests(std::vector<std::string>(argv + 1, argv + argc)); }
