// Libraries that the same products are measured with, where CMake found them. Each is a file beside this one.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace vlmr1::bench {

enum class Layout { kLinear, kGradInput, kGradWeight };

// A product as backend.h has it: tokens T, out-features F, in-features E, row-major. `to` is y, dx or dw.
struct Product {
  Layout layout = Layout::kLinear;
  int64_t tokens = 0, out = 0, in = 0;
  bool bf16 = false;
  const float* left = nullptr;   // x, dy or dy
  const float* right = nullptr;  // w, w or x
  float* to = nullptr;           // =, and += for dw
};

struct Library {
  std::string name, version;
  // Empty where the library has no such product. Whatever can be done once a weight is done here, not in the call.
  std::function<std::function<void()>(const Product&)> prepare;
};

const std::vector<Library>& libraries();

struct LibraryRegistration {
  explicit LibraryRegistration(Library library);
};

}  // namespace vlmr1::bench
