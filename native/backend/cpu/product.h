// How a matrix product is cut into blocks that fit the caches, and what one thread does with a block. Nothing of it
// changes a result: every element is one sum over ascending k.
#pragma once

#include <memory>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/pack.h"

namespace vlmr1::cpu {

// C [m, n] (=, +=) A · B + bias + residual, with A as it lies in memory.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  int64_t a_stride = 0;
  bool a_transposed = false;  // A(m, k) = a[k · a_stride + m]
  bool rounds = false;        // both operands are rounded to bf16
  const void* b = nullptr;    // rows [K, N] with stride b_stride, or null:
  bool b_bf16 = false;
  int64_t b_stride = 0;
  const Panels* panels = nullptr;  // B of a weight [N, K], or of [K, N]:
  bool panels_transposed = false;
  float* c = nullptr;
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The blocks of a product.
struct Cut {
  int64_t rows;   // of a full tile
  int64_t tiles;  // of M
  int64_t k_block;
  bool k_inside;       // A is in the cache with all of K: panels are read from one end to the other
  int64_t row_blocks;  // groups of tiles whose part of A stays in the cache
  int64_t panels;      // of N
  Operand left;        // how A is packed

  bool pairs() const { return left == Operand::kPairs; }
  int64_t steps(int64_t k) const { return pairs() ? (k + 1) / 2 : k; }
  int64_t first_row(int64_t tile, int64_t m) const { return tile * m / tiles; }
  int64_t first_tile(int64_t row_block) const { return row_block * tiles / row_blocks; }
  int64_t most_tiles() const { return ceil_div(tiles, row_blocks); }  // of a row block
};
Cut cut_product(const Product& p, const KernelTable& kernels);

// Whether B is read where it is, in the weight's own panels; else it is laid out first.
bool reads_panels(const Product& p, const Cut& cut);

// The same share of k for as few blocks of at most `most` as there can be. Even, so that no pair is cut.
int64_t even_share(int64_t k, int64_t most);

// The rows of B that a pass multiplies with, and where they are.
struct Pass {
  int64_t k0, k1;
  int64_t first_panel, last_panel;
  const uint32_t* placed;  // [panels][steps][width], or null: in the weight's own panels
  bool b_pairs;
};

// The packed left operand: all of it, tiles [tiles][steps][rows], or room for a row block and a block of k per thread.
// A part of an operand whose rows are along k is packed by its row block; columns are packed together, row by row.
struct Left {
  Cut cut;
  bool own = false;
  std::shared_ptr<Storage> storage;
  uint32_t* lanes() const { return static_cast<uint32_t*>(storage->data); }
  int64_t own_lanes() const { return cut.most_tiles() * cut.rows * cut.steps(cut.k_block); }
};

// out [steps][rows] of a tile, rows k0 … k0 + k of it.
void pack_left_tile(const Product& p, const Cut& cut, const KernelTable& kernels, int64_t tile, int64_t k0, int64_t k,
                    uint32_t* out);

// Lays rows [k0, k0 + k) of a panel of B out; `scratch` [k][width] is for those that come out of panels.
void place_right(const Product& p, const Cut& cut, const KernelTable& kernels, int64_t panel, int64_t k0, int64_t k,
                 uint32_t* scratch, uint32_t* out);

class Multiply {
 public:
  Multiply(const Product& p, const Left& left, const KernelTable& kernels)
      : p_(p), left_(left), cut_(left.cut), kernels_(kernels) {}

  // Tiles of a row block times panels [first, last) of the pass.
  void run(const Pass& pass, int64_t row_block, int64_t first, int64_t last, int thread) const;

 private:
  void pack_own(const Pass& pass, int64_t row_block, int64_t k0, uint32_t* out) const;
  void column(const Pass& pass, int64_t row_block, int64_t panel, int64_t k0, int thread) const;
  const uint32_t* right(const Pass& pass, int64_t panel, int64_t k0) const;

  const Product& p_;
  const Left& left_;
  const Cut& cut_;
  const KernelTable& kernels_;
};

// Of rows that several tiles or panels share so many are read at a time, from one end to the other: each is some pages
// away from the next.
constexpr int64_t kRowsAtOnce = 16;

}  // namespace vlmr1::cpu
