// Matrix products: both operands are packed into the order in which the kernel reads them, parameters once per update.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

// Rows of B that are laid out at a time, and how much memory they may take: a share of the last-level cache.
constexpr int64_t kPlacedRows = 4096;
constexpr int64_t kPlacedBytes = 8 << 20;
constexpr int64_t kRowsPerTask = 64;
// Work below which a task costs more than it brings.
constexpr int64_t kTaskFlops = 400'000;
constexpr int64_t kTasksPerThread = 20;
// With so many row blocks a thread each has enough to do that none is cut over N: its part of A is packed by itself.
constexpr int64_t kOwnBlocksPerThread = 5;

}  // namespace

// Where weights are held once, their file's pages go as soon as the panels are there.
Panels CpuBackend::packed_weight(const Tensor& w) {
  check(is_floating(w.dtype()), ErrorCode::kDType, "linear: expected a floating-point weight, got ",
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

Left CpuBackend::left_side(const Product& p, const Cut& cut, bool own) {
  Left left{cut, own && !p.a_transposed && !cut.k_inside && cut.row_blocks >= kOwnBlocksPerThread * pool_.threads(),
            nullptr};
  const int64_t steps = cut.steps(p.k);
  const int64_t lanes = left.own ? pool_.threads() * left.own_lanes() : cut.tiles * cut.rows * steps;
  left.storage = memory_->allocate(static_cast<size_t>(lanes) * sizeof(uint32_t));
  if (left.own) return left;
  const auto pack = [&](int64_t tile, int64_t k0, int64_t k) {
    pack_left_tile(p, cut, kernels_, tile, k0, k, left.lanes() + (tile * steps + cut.steps(k0)) * cut.rows);
  };
  if (p.a_transposed) {
    in_row_order(p.k, cut.tiles, [&](int64_t k0, int64_t k, int64_t tile, int) { pack(tile, k0, k); });
  } else {
    ranges(cut.tiles, std::max<int64_t>(1, 32'768 / std::max<int64_t>(1, cut.rows * p.k)), [&](int64_t b, int64_t e) {
      for (int64_t t = b; t < e; ++t) pack(t, 0, p.k);
    });
  }
  return left;
}

template <typename Fn>
void CpuBackend::blocks(const Product& p, const Left& left, const Pass& pass, const Fn& fn) {
  const Cut& cut = left.cut;
  const int64_t panels = pass.last_panel - pass.first_panel;
  const int64_t most = ceil_div(panels * cut.row_blocks, kTasksPerThread * pool_.threads());
  const int64_t flops = 2 * kernels_.panel_width * (pass.k1 - pass.k0) * ceil_div(p.m, cut.row_blocks);
  const int64_t least = std::max(most, kTaskFlops / std::max<int64_t>(1, flops));
  const int64_t group = std::max<int64_t>(1, left.own ? panels : std::min(panels, least));
  const int64_t groups = ceil_div(panels, group);
  pool_.run(groups * cut.row_blocks, [&](int64_t task, int thread) {
    const int64_t first = pass.first_panel + task % groups * group;
    fn(task / groups, first, std::min(pass.last_panel, first + group), thread);
  });
}

void CpuBackend::product(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const MemoryScope scope(MemoryKind::kWorkspace);
  const Cut cut = cut_product(p, kernels_);
  if (!reads_panels(p, cut)) return product_of_placed(p, cut);
  const Left left = left_side(p, cut, true);
  const Multiply multiply(p, left, kernels_);
  const Pass pass{0, p.k, 0, cut.panels, nullptr, p.panels->pairs};
  blocks(p, left, pass, [&](int64_t row_block, int64_t first, int64_t last, int thread) {
    multiply.run(pass, row_block, first, last, thread);
  });
}

// B is laid out by all threads, a part at a time.
void CpuBackend::product_of_placed(const Product& p, const Cut& cut) {
  const int64_t width = kernels_.panel_width;
  const int64_t k_most = even_share(p.k, kPlacedRows);
  const int64_t n_most = std::clamp<int64_t>(kPlacedBytes / (k_most * width * 4), 1, cut.panels);
  const Left left = left_side(p, cut, n_most == cut.panels);
  const Multiply multiply(p, left, kernels_);
  const auto storage = memory_->allocate(static_cast<size_t>(n_most * k_most * width) * sizeof(uint32_t));
  uint32_t* placed = static_cast<uint32_t*>(storage->data);
  const int64_t turned_lanes = p.panels_transposed ? kRowsAtOnce * width : 0;
  const auto scratch = memory_->allocate(static_cast<size_t>(pool_.threads() * turned_lanes) * sizeof(uint32_t));
  for (int64_t n0 = 0; n0 < cut.panels; n0 += n_most) {
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += k_most) {
      const int64_t k = std::min(k_most, p.k - k0);
      const Pass pass{k0, k0 + k, n0, std::min(cut.panels, n0 + n_most), placed, cut.pairs()};
      in_row_order(k, pass.last_panel - n0, [&](int64_t from, int64_t rows, int64_t panel, int thread) {
        uint32_t* turned = static_cast<uint32_t*>(scratch->data) + thread * turned_lanes;
        uint32_t* out = placed + (panel * cut.steps(k) + cut.steps(from)) * width;
        place_right(p, cut, kernels_, n0 + panel, k0 + from, rows, turned, out);
      });
      blocks(p, left, pass, [&](int64_t row_block, int64_t first, int64_t last, int thread) {
        multiply.run(pass, row_block, first, last, thread);
      });
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
  const Cut cut = cut_product(g, kernels_);
  if (g.rounds != u.rounds || !reads_panels(g, cut) || !reads_panels(u, cut)) {
    product(g);
    product(u);
    swiglu(gate, up, y);
    return;
  }
  const MemoryScope scope(MemoryKind::kWorkspace);
  const Left left = left_side(g, cut, false);  // both products read it
  const Multiply multiply_gate(g, left, kernels_);
  const Multiply multiply_up(u, left, kernels_);
  const Pass gate_pass{0, g.k, 0, cut.panels, nullptr, gate_panels.pairs};
  const Pass up_pass{0, g.k, 0, cut.panels, nullptr, up_panels.pairs};
  float* out = y.data<float>();
  blocks(g, left, gate_pass, [&](int64_t row_block, int64_t first, int64_t last, int thread) {
    multiply_gate.run(gate_pass, row_block, first, last, thread);
    multiply_up.run(up_pass, row_block, first, last, thread);
    const int64_t n0 = first * kernels_.panel_width;
    const int64_t cols = std::min(g.n, last * kernels_.panel_width) - n0;
    const int64_t end = cut.first_row(cut.first_tile(row_block + 1), g.m);
    for (int64_t m = cut.first_row(cut.first_tile(row_block), g.m); m < end; ++m)
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
  ranges(cols, 256, [&](int64_t b, int64_t e) { kernels_.column_sum(in, out, rows, cols, b, e); });
}

}  // namespace vlmr1::cpu
