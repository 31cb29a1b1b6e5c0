// Operands of matrix products in the order in which the kernel reads them.
#pragma once

#include <map>
#include <memory>

#include "backend/cpu/kernels/kernels.h"
#include "core/tensor.h"

namespace vlmr1::cpu {

// A weight [N, K] as panels [⌈N / width⌉][steps][width], zero past N. A step is one k in f32, a pair of them in bf16;
// either way a lane has four bytes.
struct Panels {
  std::shared_ptr<Storage> storage;
  bool pairs = false;
  int64_t k = 0;
  int64_t width = 0;

  int64_t steps() const { return pairs ? (k + 1) / 2 : k; }
  // Lanes before depth k0 (even for pairs) of panel p.
  int64_t offset(int64_t panel, int64_t k0) const { return (panel * steps() + (pairs ? k0 / 2 : k0)) * width; }
  uint32_t* at(int64_t panel, int64_t k0) const { return static_cast<uint32_t*>(storage->data) + offset(panel, k0); }
};

// Packs the rows [first, first + count) of w [·, K], any floating-point type, as panel `index`.
void pack_panel(const KernelTable& kernels, const Tensor& w, int64_t first, int64_t count, const Panels& panels,
                int64_t index);

// out [k][cols] of w [N, K] itself: rows n0 … n0 + k and columns c0 … c0 + cols, out of its panels and in their type;
// cols even and c0 a multiple of the width. Pairs of numbers side by side take one lane of four bytes.
void unpack_rows(const KernelTable& kernels, const Panels& panels, int64_t n0, int64_t k, int64_t c0, int64_t cols,
                 uint32_t* out);

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
