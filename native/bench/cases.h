// What the program measures: kernels of the back end's contract at the shapes of training and decoding, each with what
// it costs at least, so that a time becomes a share of what this machine can do.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace vlmr1::bench {

// One way to do the work.
struct Contestant {
  std::string name;
  std::function<void()> run;
  int warmup = 1;  // calls until nothing is done for the first time any more
};

// Operands live as long as the functions that hold them.
struct Work {
  double flops = 0.0;  // 0: only memory bounds it
  double bytes = 0.0;  // operands and results, each once
  bool bf16 = false;   // whose peak counts
  bool from_dram = false;
  std::vector<Contestant> contestants;  // the back end's comes first
};

struct Sizes {
  bool quick = false;  // tiny ones, to try the program out
  double last_level_cache = 0.0;
};

struct Case {
  std::string group, name;
  bool standard = false;  // among those that are measured when nothing is chosen
  std::function<Work(Backend&)> make;
};

std::vector<Case> gemm_cases(const Sizes& sizes);
std::vector<Case> attention_cases(const Sizes& sizes);
std::vector<Case> elementwise_cases(const Sizes& sizes);
std::vector<Case> vocabulary_cases(const Sizes& sizes);

// Values in [−1, 1) that are the same in every run.
Tensor random_tensor(Backend& backend, const Shape& shape, uint64_t seed);
// A parameter, as products of this precision read it.
Tensor random_weight(Backend& backend, const Shape& shape, uint64_t seed, bool bf16);

inline const char* precision_name(bool bf16) { return bf16 ? "bf16" : "f32"; }

}  // namespace vlmr1::bench
