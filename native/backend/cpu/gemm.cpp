// Matrix products: both operands are packed into the order in which the kernel reads them, parameters once per update.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

// K is cut into blocks so that a block of B and some tiles of A stay in the second-level cache. C is stored and loaded
// between blocks, which rounds nothing.
constexpr int64_t kBlock = 2048;
constexpr int64_t kLeftBytes = 256 << 10;
// Rows of B that are laid out at a time, and how much memory they may take: a share of the last-level cache.
constexpr int64_t kPlacedRows = 4096;
constexpr int64_t kPlacedBytes = 4 << 20;
// Of rows that several tiles or panels share so many are read at a time, from one end to the other: each is some pages
// away from the next.
constexpr int64_t kRowsAtOnce = 16;
constexpr int64_t kRowsPerTask = 64;
// Work below which a task costs more than it brings.
constexpr int64_t kTaskFlops = 400'000;
constexpr int64_t kTasksPerThread = 6;
// Up to so many tiles B in bf16 is widened each time it is read, not laid out in f32 once.
constexpr int64_t kMixedTiles = 2;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The same share of k for as few blocks of at most `most` as there can be. Even, so that no pair is cut.
int64_t even_share(int64_t k, int64_t most) {
  const int64_t blocks = std::max<int64_t>(1, ceil_div(k, most));
  return std::max<int64_t>(2, ceil_div(ceil_div(k, blocks), 2) * 2);
}

Cut cut_rows(const Product& p, const KernelTable& kernels) {
  Cut cut{};
  cut.rows = kernels.tile_rows;
  cut.tiles = ceil_div(p.m, cut.rows);
  cut.k_block = even_share(p.k, kBlock);
  cut.k_inside = cut.tiles * cut.rows * p.k * int64_t{sizeof(float)} <= kLeftBytes;
  const int64_t tile_bytes = cut.rows * cut.k_block * int64_t{sizeof(float)};
  cut.row_blocks = ceil_div(cut.tiles, std::max<int64_t>(1, kLeftBytes / std::max<int64_t>(1, tile_bytes)));
  cut.panels = ceil_div(p.n, kernels.panel_width);
  return cut;
}

}  // namespace

// Where weights are held once, their file's pages go as soon as the panels are there.
Panels CpuBackend::packed_weight(const Tensor& w) {
  check(w.dtype() != DType::kI32, ErrorCode::kDType, "linear: expected a floating-point weight, got ",
        dtype_name(w.dtype()));
  const bool keep = w.storage()->persistent;
  PackCache::Entry* entry = keep ? &packs_.entry(w) : nullptr;
  if (keep && entry->panels.storage) return entry->panels;
  const int64_t n = w.shape()[0];
  Panels panels{nullptr, w.storage()->products.weight == DType::kBF16, w.shape()[1], kernels_.panel_width};
  const int64_t count = ceil_div(n, panels.width);
  const MemoryScope scope(keep ? MemoryKind::kWeights : MemoryKind::kWorkspace);
  panels.storage = memory_->allocate(static_cast<size_t>(panels.offset(count, 0)) * sizeof(uint32_t));
  pool_.run(count, [&](int64_t p, int) {
    const int64_t first = p * panels.width;
    pack_panel(kernels_, w, first, std::min(panels.width, n - first), panels, p);
  });
  if (keep) entry->panels = panels;
  if (w.storage()->discard) w.storage()->discard(w.raw(), w.bytes());
  return panels;
}

// fn(k0, k, part, thread) for the parts of all rows [0, rows), some rows at a time.
template <typename Fn>
void CpuBackend::in_row_order(int64_t rows, int64_t parts, const Fn& fn) {
  pool_.run(ceil_div(rows, kRowsPerTask), [&](int64_t task, int thread) {
    const int64_t end = std::min(rows, (task + 1) * kRowsPerTask);
    for (int64_t k0 = task * kRowsPerTask; k0 < end; k0 += kRowsAtOnce)
      for (int64_t part = 0; part < parts; ++part) fn(k0, std::min(kRowsAtOnce, end - k0), part, thread);
  });
}

// tiles [⌈M / rows⌉][steps][rows]; what lies past a tile's own rows is never read.
void CpuBackend::pack_left(const Product& p, Operand to, uint32_t* out) {
  const Cut cut = cut_rows(p, kernels_);
  const int64_t steps = to == Operand::kPairs ? (p.k + 1) / 2 : p.k;
  const auto pack = [&](int64_t tile, int64_t k0, int64_t k) {
    const int64_t m0 = cut.first_row(tile, p.m);
    PackBlock block{};
    block.in = p.a + (p.a_transposed ? k0 * p.a_stride + m0 : m0 * p.a_stride + k0);
    block.stride = p.a_stride;
    block.k_along_rows = !p.a_transposed;
    block.count = cut.first_row(tile + 1, p.m) - m0;
    block.k = k;
    block.width = cut.rows;
    block.to = to;
    block.out = out + (tile * steps + (to == Operand::kPairs ? k0 / 2 : k0)) * cut.rows;
    kernels_.pack_block(block);
  };
  if (p.a_transposed) {
    in_row_order(p.k, cut.tiles, [&](int64_t k0, int64_t k, int64_t tile, int) { pack(tile, k0, k); });
    return;
  }
  ranges(cut.tiles, std::max<int64_t>(1, 32'768 / std::max<int64_t>(1, cut.rows * p.k)), [&](int64_t b, int64_t e) {
    for (int64_t t = b; t < e; ++t) pack(t, 0, p.k);
  });
}

// Lays rows [k0, k0 + k) of a panel of B out; `scratch` [k][width] is for those that come out of panels.
void CpuBackend::place_right(const Product& p, int64_t panel, int64_t k0, int64_t k, Operand to, uint32_t* scratch,
                             uint32_t* out) const {
  const int64_t width = kernels_.panel_width;
  const int64_t n0 = panel * width;
  if (p.panels && !p.panels_transposed) {
    kernels_.widen_pairs(p.panels->at(panel, k0), width, k, reinterpret_cast<float*>(out));
    return;
  }
  PackBlock block{};
  block.from_bf16 = p.panels ? p.panels->pairs : p.b_bf16;
  if (p.panels) {
    unpack_rows(kernels_, *p.panels, k0, k, n0, width, scratch);
    block.in = scratch;
    block.stride = width;
  } else {
    const size_t size = p.b_bf16 ? sizeof(uint16_t) : sizeof(float);
    block.in = static_cast<const char*>(p.b) + static_cast<size_t>(k0 * p.b_stride + n0) * size;
    block.stride = p.b_stride;
  }
  block.count = std::min(width, p.n - n0);
  block.k = k;
  block.width = width;
  block.to = to;
  block.out = out;
  kernels_.pack_block(block);
}

namespace {

class Multiply {
 public:
  Multiply(const Product& p, const Cut& cut, const KernelTable& kernels, const uint32_t* left)
      : p_(p), cut_(cut), kernels_(kernels), left_(left) {}

  // Tiles of a row block times panels [first, last) of the pass.
  void run(const Pass& pass, int64_t row_block, int64_t first, int64_t last) const {
    if (cut_.k_inside) {
      for (int64_t panel = first; panel < last; ++panel)
        for (int64_t k0 = pass.k0; k0 == pass.k0 || k0 < pass.k1; k0 += cut_.k_block)
          column(pass, row_block, panel, k0);
    } else {
      for (int64_t k0 = pass.k0; k0 == pass.k0 || k0 < pass.k1; k0 += cut_.k_block)
        for (int64_t panel = first; panel < last; ++panel) column(pass, row_block, panel, k0);
    }
  }

 private:
  void column(const Pass& pass, int64_t row_block, int64_t panel, int64_t k0) const {
    const int64_t width = kernels_.panel_width;
    const int64_t n0 = panel * width;
    const bool end = std::min(k0 + cut_.k_block, pass.k1) == p_.k;
    const int64_t left_steps = pass.a_pairs ? (p_.k + 1) / 2 : p_.k;
    PanelTile t{};
    t.n = std::min(width, p_.n - n0);
    t.k = std::min(cut_.k_block, pass.k1 - k0);
    t.a_pairs = pass.a_pairs;
    t.b_pairs = pass.b_pairs;
    t.b = right(pass, panel, k0);
    t.ldc = t.ldr = p_.n;
    t.accumulate = p_.accumulate || k0 > 0;
    t.bias = end && p_.bias ? p_.bias + n0 : nullptr;
    const int64_t first_tile = cut_.first_tile(row_block);
    const int64_t last_tile = cut_.first_tile(row_block + 1);
    // The first tiles fetch the block of B that comes next.
    const int64_t steps = pass.b_pairs ? (t.k + 1) / 2 : t.k;
    const int64_t lines = width * 4 / 64;
    t.ahead = reinterpret_cast<const char*>(cut_.k_inside ? t.b + steps * width : right(pass, panel + 1, k0));
    t.ahead_lines = static_cast<int>(last_tile - first_tile == 1 ? lines : 1);
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const int64_t m0 = cut_.first_row(tile, p_.m);
      t.m = cut_.first_row(tile + 1, p_.m) - m0;
      t.a = left_ + (tile * left_steps + (pass.a_pairs ? k0 / 2 : k0)) * cut_.rows;
      t.c = p_.c + m0 * p_.n + n0;
      t.residual = end && p_.residual ? p_.residual + m0 * p_.n + n0 : nullptr;
      kernels_.panel_tile(t);
      t.ahead += t.ahead_lines * steps * 64;
      if (tile - first_tile + 1 >= lines) t.ahead_lines = 0;
    }
  }

  const uint32_t* right(const Pass& pass, int64_t panel, int64_t k0) const {
    if (!pass.placed) return p_.panels->at(panel, k0);
    const int64_t k = pass.k1 - pass.k0;
    const int64_t steps = pass.b_pairs ? (k + 1) / 2 : k;
    const int64_t step = pass.b_pairs ? (k0 - pass.k0) / 2 : k0 - pass.k0;
    return pass.placed + ((panel - pass.first_panel) * steps + step) * kernels_.panel_width;
  }

  const Product& p_;
  const Cut& cut_;
  const KernelTable& kernels_;
  const uint32_t* left_;
};

}  // namespace

// The packed left operand, and how the product goes on from there.
struct CpuBackend::LeftSide {
  Cut cut;
  Operand type;
  std::shared_ptr<Storage> storage;
  const uint32_t* lanes() const { return static_cast<const uint32_t*>(storage->data); }
  bool pairs() const { return type == Operand::kPairs; }
  // Whether B is read where it is, in the weight's own panels.
  bool in_place(const Product& p) const {
    return p.panels && !p.panels_transposed && (!p.panels->pairs || pairs() || cut.tiles <= kMixedTiles);
  }
};

CpuBackend::LeftSide CpuBackend::left_side(const Product& p) {
  LeftSide left{cut_rows(p, kernels_), Operand::kF32, nullptr};
  if (p.rounds) left.type = kernels_.dots_pairs ? Operand::kPairs : Operand::kRounded;
  const int64_t steps = left.pairs() ? (p.k + 1) / 2 : p.k;
  left.storage = memory_->allocate(static_cast<size_t>(left.cut.tiles * left.cut.rows * steps) * sizeof(uint32_t));
  pack_left(p, left.type, static_cast<uint32_t*>(left.storage->data));
  return left;
}

// fn(row_block, first, last) for all row blocks and groups of panels.
template <typename Fn>
void CpuBackend::blocks(const Product& p, const Cut& cut, const Pass& pass, const Fn& fn) {
  const int64_t panels = pass.last_panel - pass.first_panel;
  const int64_t most = ceil_div(panels * cut.row_blocks, kTasksPerThread * pool_.threads());
  const int64_t flops = 2 * kernels_.panel_width * (pass.k1 - pass.k0) * ceil_div(p.m, cut.row_blocks);
  const int64_t group = std::min(panels, std::max(most, kTaskFlops / std::max<int64_t>(1, flops)));
  const int64_t groups = ceil_div(panels, std::max<int64_t>(1, group));
  pool_.run(groups * cut.row_blocks, [&](int64_t task, int) {
    const int64_t first = pass.first_panel + task % groups * group;
    fn(task / groups, first, std::min(pass.last_panel, first + group));
  });
}

void CpuBackend::product(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const MemoryScope scope(MemoryKind::kWorkspace);
  const LeftSide left = left_side(p);
  if (!left.in_place(p)) return product_of_placed(p, left);
  const Multiply multiply(p, left.cut, kernels_, left.lanes());
  const Pass pass{0, p.k, 0, left.cut.panels, nullptr, left.pairs(), p.panels->pairs};
  blocks(p, left.cut, pass,
         [&](int64_t row_block, int64_t first, int64_t last) { multiply.run(pass, row_block, first, last); });
}

// B is laid out by all threads, a part at a time.
void CpuBackend::product_of_placed(const Product& p, const LeftSide& left) {
  const Cut& cut = left.cut;
  const int64_t width = kernels_.panel_width;
  const Multiply multiply(p, cut, kernels_, left.lanes());
  const int64_t k_most = even_share(p.k, kPlacedRows);
  const int64_t n_most = std::clamp<int64_t>(kPlacedBytes / (k_most * width * 4), 1, cut.panels);
  const auto storage = memory_->allocate(static_cast<size_t>(n_most * k_most * width) * sizeof(uint32_t));
  uint32_t* placed = static_cast<uint32_t*>(storage->data);
  const int64_t turned_lanes = p.panels_transposed ? kRowsAtOnce * width : 0;
  const auto scratch = memory_->allocate(static_cast<size_t>(pool_.threads() * turned_lanes) * sizeof(uint32_t));
  for (int64_t n0 = 0; n0 < cut.panels; n0 += n_most) {
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += k_most) {
      const int64_t k = std::min(k_most, p.k - k0);
      const Pass pass{k0, k0 + k, n0, std::min(cut.panels, n0 + n_most), placed, left.pairs(), left.pairs()};
      const int64_t steps = left.pairs() ? (k + 1) / 2 : k;
      in_row_order(k, pass.last_panel - n0, [&](int64_t from, int64_t rows, int64_t panel, int thread) {
        uint32_t* turned = static_cast<uint32_t*>(scratch->data) + thread * turned_lanes;
        uint32_t* out = placed + (panel * steps + (left.pairs() ? from / 2 : from)) * width;
        place_right(p, n0 + panel, k0 + from, rows, left.type, turned, out);
      });
      blocks(p, cut, pass,
             [&](int64_t row_block, int64_t first, int64_t last) { multiply.run(pass, row_block, first, last); });
    }
  }
}

namespace {

Product weight_product(const Tensor& x, const Tensor& w, const Panels& panels, const Tensor* bias,
                       const Tensor* residual, Tensor& y) {
  Product p;
  p.m = x.shape().rows();
  p.n = w.shape()[0];
  p.k = w.shape()[1];
  p.rounds = w.storage()->products.input == DType::kBF16;
  p.a = x.data<float>();
  p.a_stride = p.k;
  p.panels = &panels;
  p.c = y.data<float>();
  p.bias = bias ? bias->data<float>() : nullptr;
  p.residual = residual ? residual->data<float>() : nullptr;
  return p;
}

}  // namespace

void CpuBackend::linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, Tensor& y) {
  const Panels panels = packed_weight(w);
  product(weight_product(x, w, panels, bias, residual, y));
}

// x is packed once, and the gate is applied while a block of both products is in the cache.
void CpuBackend::linear_swiglu(const Tensor& x, const GatedWeights& weights, Tensor& gate, Tensor& up, Tensor& y) {
  const Panels gate_panels = packed_weight(*weights.gate);
  const Panels up_panels = packed_weight(*weights.up);
  const Product g = weight_product(x, *weights.gate, gate_panels, weights.gate_bias, nullptr, gate);
  const Product u = weight_product(x, *weights.up, up_panels, weights.up_bias, nullptr, up);
  if (g.m == 0 || g.n == 0) return;
  const MemoryScope scope(MemoryKind::kWorkspace);
  const LeftSide left = left_side(g);
  if (g.rounds != u.rounds || !left.in_place(g) || !left.in_place(u)) {
    product(g);
    product(u);
    swiglu(gate, up, y);
    return;
  }
  const Multiply multiply_gate(g, left.cut, kernels_, left.lanes());
  const Multiply multiply_up(u, left.cut, kernels_, left.lanes());
  const Pass gate_pass{0, g.k, 0, left.cut.panels, nullptr, left.pairs(), gate_panels.pairs};
  const Pass up_pass{0, g.k, 0, left.cut.panels, nullptr, left.pairs(), up_panels.pairs};
  float* out = y.data<float>();
  blocks(g, left.cut, gate_pass, [&](int64_t row_block, int64_t first, int64_t last) {
    multiply_gate.run(gate_pass, row_block, first, last);
    multiply_up.run(up_pass, row_block, first, last);
    const int64_t n0 = first * kernels_.panel_width;
    const int64_t cols = std::min(g.n, last * kernels_.panel_width) - n0;
    const int64_t end = left.cut.first_row(left.cut.first_tile(row_block + 1), g.m);
    for (int64_t m = left.cut.first_row(left.cut.first_tile(row_block), g.m); m < end; ++m)
      kernels_.swiglu(g.c + m * g.n + n0, u.c + m * g.n + n0, out + m * g.n + n0, cols);
  });
}

void CpuBackend::linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) {
  const ProductTypes types = w.storage()->products;
  // Rows that may have left the memory, or that forward rounded, are taken out of its panels.
  const bool same = types.weight == w.dtype() || (types.input == DType::kBF16 && w.dtype() == DType::kF32);
  const bool from_panels = !same || w.storage()->discard != nullptr;
  const Panels panels = from_panels ? packed_weight(w) : Panels{};
  Product p;
  p.m = dy.shape().rows();
  p.n = w.shape()[1];
  p.k = w.shape()[0];
  p.rounds = types.input == DType::kBF16;
  p.a = dy.data<float>();
  p.a_stride = p.k;
  if (from_panels) {
    p.panels = &panels;
    p.panels_transposed = true;
  } else {
    p.b = w.raw();
    p.b_bf16 = w.dtype() == DType::kBF16;
    p.b_stride = p.n;
  }
  p.c = dx.data<float>();
  p.accumulate = write == Write::kAdd;
  product(p);
}

void CpuBackend::linear_grad_weight(const Tensor& dy, const Tensor& x, Tensor& dw) {
  Product p;
  p.m = dw.shape()[0];
  p.n = dw.shape()[1];
  p.k = dy.shape().rows();
  p.rounds = dw.storage()->products.input == DType::kBF16;
  p.a = dy.data<float>();
  p.a_stride = p.m;
  p.a_transposed = true;
  p.b = x.raw();
  p.b_stride = p.n;
  p.c = dw.data<float>();
  p.accumulate = true;
  product(p);
}

void CpuBackend::linear_grad_bias(const Tensor& dy, Tensor& db) {
  const float* in = dy.data<float>();
  float* out = db.data<float>();
  const int64_t rows = dy.shape().rows();
  const int64_t cols = dy.shape().cols();
  ranges(cols, 64, [&](int64_t b, int64_t e) { kernels_.column_sum(in, out, rows, cols, b, e); });
}

}  // namespace vlmr1::cpu
