#include "tests/guarded_backend.h"

#include <algorithm>
#include <limits>

namespace vlmr1::testing {

namespace {
// Longer than what any kernel reads at once, and odd: tensors do not start at a multiple of a vector.
constexpr int64_t kGuardWords = 301;
constexpr uint32_t kGuard = 0x7fc0beefu;  // a quiet NaN that no arithmetic makes

bool intact(const uint32_t* begin, int64_t words) {
  return std::all_of(begin, begin + words, [](uint32_t word) { return word == kGuard; });
}
}  // namespace

void poison_free_memory(Backend& backend) {
  std::vector<Tensor> blocks;
  for (int64_t words = 16; words <= 1 << 18; words *= 2) {
    for (int i = 0; i < 2; ++i) {
      blocks.push_back(backend.empty({words}));
      backend.fill(blocks.back(), std::numeric_limits<float>::quiet_NaN());
    }
  }
}

Tensor GuardedBackend::empty(const Shape& shape, DType dtype) {
  const int64_t words = (shape.numel() * static_cast<int64_t>(dtype_size(dtype)) + 3) / 4;
  Tensor whole = inner_.empty({words + 2 * kGuardWords});
  const std::vector<uint32_t> guard(static_cast<size_t>(whole.numel()), kGuard);
  inner_.upload(whole, guard.data());
  allocations_.push_back({whole, words, shape});
  return Tensor(whole.storage(), kGuardWords * sizeof(uint32_t), shape, dtype);
}

Tensor GuardedBackend::zeros(const Shape& shape, DType dtype) {
  Tensor x = empty(shape, dtype);
  const std::vector<char> nothing(x.bytes(), 0);
  inner_.upload(x, nothing.data());
  return x;
}

std::string GuardedBackend::check_guards() {
  std::vector<uint32_t> words;
  for (const Allocation& a : allocations_) {
    words.resize(static_cast<size_t>(a.whole.numel()));
    inner_.download(a.whole, words.data());
    if (!intact(words.data(), kGuardWords)) return "memory before a tensor " + a.shape.str() + " was overwritten";
    if (!intact(words.data() + kGuardWords + a.words, kGuardWords))
      return "memory behind a tensor " + a.shape.str() + " was overwritten";
  }
  return "";
}

}  // namespace vlmr1::testing
