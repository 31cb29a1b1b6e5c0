// Loops that do nothing but what is measured; compiled once per instruction set, as kernels are.
#pragma once

#include <cstdint>

namespace vlmr1::bench {

struct PeakLoops {
  double f32_flops;  // of a round
  float (*f32)(int64_t rounds);
  double bf16_flops;
  float (*bf16)(int64_t rounds);  // null: products of bf16 are made as those of f32
  float (*read)(const float* x, int64_t n);
};
constexpr int64_t kReadUnit = 256;  // n of `read` is a multiple of it

namespace baseline {
const PeakLoops& loops();
}
#ifdef VLMR1_X86
namespace avx2 {
const PeakLoops& loops();
}
namespace avx512 {
const PeakLoops& loops();
}
namespace avx512_bf16 {
const PeakLoops& loops();
}
#endif

}  // namespace vlmr1::bench
