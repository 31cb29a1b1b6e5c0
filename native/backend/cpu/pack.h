// Operands of matrix products in the order in which the kernel reads them.
#pragma once

#include <map>
#include <memory>

#include "core/tensor.h"

namespace vlmr1::cpu {

// A weight [N, K] as panels [⌈N / width⌉][K][width] of f32 or bf16, zero past N.
struct Panels {
  std::shared_ptr<Storage> storage;
  DType dtype = DType::kF32;
  int64_t k = 0;
  int64_t width = 0;

  // The start of panel p at depth k0.
  const float* f32(int64_t panel, int64_t k0) const { return static_cast<const float*>(at(panel, k0)); }
  const uint16_t* bf16(int64_t panel, int64_t k0) const { return static_cast<const uint16_t*>(at(panel, k0)); }

 private:
  const void* at(int64_t panel, int64_t k0) const {
    return static_cast<const char*>(storage->data) + static_cast<size_t>((panel * k + k0) * width) * dtype_size(dtype);
  }
};

// Packs the rows [first, first + count) of w [·, K], any floating-point type, into one panel of `dtype`.
void pack_panel(const Tensor& w, int64_t first, int64_t count, int64_t width, DType dtype, void* panel);

// block [k][width] from f32 rows with a stride, zero past cols.
void pack_rows(const float* b, int64_t stride, int64_t k, int64_t cols, int64_t width, float* block);

// block [k][width] of w [N, K] itself, rows n0 … n0 + k and columns c0 … c0 + cols, out of its panels.
void unpack_rows(const Panels& panels, int64_t n0, int64_t k, int64_t c0, int64_t cols, float* block);

// Panels of parameters, kept until the parameter changes or is gone.
class PackCache {
 public:
  struct Entry {
    std::weak_ptr<Storage> owner;
    uint64_t version = 0;
    Shape shape;
    Panels panels;
  };
  // Empty panels where there are none of this version.
  Entry& entry(const Tensor& w);
  // Lets go of the panels of parameters that are gone.
  void drop_orphans();

 private:
  std::map<const void*, Entry> entries_;
};

}  // namespace vlmr1::cpu
