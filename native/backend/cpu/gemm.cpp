// Matrix products: both operands are packed into the order in which the kernel reads them, parameters once per update.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

// K is cut into blocks so that a block of B stays in the second-level cache while A passes over it. C is stored and
// loaded between blocks, which rounds nothing.
constexpr int64_t kBlock = 512;
// Work below which a task costs more than it brings.
constexpr int64_t kTaskFlops = 400'000;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

// Where weights are held once, their file's pages go as soon as the panels are there.
Panels CpuBackend::packed_weight(const Tensor& w) {
  check(w.dtype() != DType::kI32, ErrorCode::kDType, "linear: expected a floating-point weight, got ",
        dtype_name(w.dtype()));
  const bool keep = w.storage()->persistent;
  PackCache::Entry* entry = keep ? &packs_.entry(w) : nullptr;
  if (keep && entry->panels.storage) return entry->panels;
  const int64_t n = w.shape()[0];
  Panels panels{nullptr, w.storage()->products.weight, w.shape()[1], kernels_.panel_width};
  const int64_t count = ceil_div(n, panels.width);
  const int64_t elements = panels.width * panels.k;
  const size_t panel_bytes = static_cast<size_t>(elements) * dtype_size(panels.dtype);
  const MemoryScope scope(keep ? MemoryKind::kWeights : MemoryKind::kWorkspace);
  panels.storage = memory_->allocate(static_cast<size_t>(count) * panel_bytes);
  char* out = static_cast<char*>(panels.storage->data);
  pool_.run(count, [&](int64_t p, int) {
    const int64_t first = p * panels.width;
    pack_panel(w, first, std::min(panels.width, n - first), panels.width, panels.dtype, out + p * panel_bytes);
  });
  if (keep) entry->panels = panels;
  if (w.storage()->discard) w.storage()->discard(w.raw(), w.bytes());
  return panels;
}

// tiles [⌈M / rows⌉][K][rows]; what lies past M is never read.
void CpuBackend::pack_left(const Product& p, float* out) {
  const int64_t rows = kernels_.tile_rows;
  const int64_t tiles = ceil_div(p.m, rows);
  const auto pack = [&](int64_t t) {
    const int64_t m0 = t * rows;
    const int64_t count = std::min(rows, p.m - m0);
    float* tile = out + t * rows * p.k;
    if (p.a_transposed) {
      for (int64_t k = 0; k < p.k; ++k) std::memcpy(tile + k * rows, p.a + k * p.a_stride + m0, count * sizeof(float));
      return;
    }
    constexpr int64_t kStep = 16;
    for (int64_t k0 = 0; k0 < p.k; k0 += kStep) {
      const int64_t k1 = std::min(p.k, k0 + kStep);
      for (int64_t m = 0; m < count; ++m) {
        const float* row = p.a + (m0 + m) * p.a_stride;
        for (int64_t k = k0; k < k1; ++k) tile[k * rows + m] = row[k];
      }
    }
  };
  const int64_t group = std::max<int64_t>(1, 32'768 / std::max<int64_t>(1, rows * p.k));
  ranges(tiles, group, [&](int64_t b, int64_t e) {
    for (int64_t t = b; t < e; ++t) pack(t);
  });
}

// Points the tile at its block of B: in the panels themselves, or laid out in `scratch` for the tiles that follow.
void CpuBackend::place_right(const Product& p, int64_t panel, int64_t k0, bool reused, float* scratch,
                             MatrixTile& t) const {
  const int64_t width = kernels_.panel_width;
  const int64_t n0 = panel * width;
  t.b = scratch;
  t.b_bf16 = nullptr;
  if (p.b) {
    pack_rows(p.b + k0 * p.b_stride + n0, p.b_stride, t.k, t.n, width, scratch);
  } else if (p.panels_transposed) {
    unpack_rows(*p.panels, k0, t.k, n0, t.n, scratch);
  } else if (p.panels->dtype == DType::kF32) {
    t.b = p.panels->f32(panel, k0);
  } else if (reused) {
    kernels_.widen(p.panels->bf16(panel, k0), scratch, t.k * width);
  } else {
    t.b_bf16 = p.panels->bf16(panel, k0);
  }
}

void CpuBackend::product(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const int64_t rows = kernels_.tile_rows;
  const int64_t width = kernels_.panel_width;
  const int64_t tiles = ceil_div(p.m, rows);
  const int64_t panels = ceil_div(p.n, width);
  const MemoryScope scope(MemoryKind::kWorkspace);
  const auto left = memory_->allocate(static_cast<size_t>(tiles * rows * p.k) * sizeof(float));
  float* a = static_cast<float*>(left->data);
  pack_left(p, a);

  const bool in_place = !p.b && !p.panels_transposed && p.panels->dtype == DType::kF32;
  const size_t scratch_bytes = static_cast<size_t>(pool_.threads() * kBlock * width) * sizeof(float);
  const auto scratch = in_place ? nullptr : memory_->allocate(scratch_bytes);
  // Few panels are cut over M as well; small ones are done several to a task.
  const int64_t cuts = std::clamp<int64_t>(ceil_div(4 * pool_.threads(), panels), 1, tiles);
  const int64_t tiles_per_cut = ceil_div(tiles, cuts);
  const int64_t flops = 2 * width * p.k * std::min(p.m, tiles_per_cut * rows);
  const int64_t jobs = panels * ceil_div(tiles, tiles_per_cut);
  const auto job = [&](int64_t index, int thread) {
    const int64_t panel = index % panels;
    const int64_t first = index / panels * tiles_per_cut;
    const int64_t last = std::min(tiles, first + tiles_per_cut);
    const int64_t n0 = panel * width;
    float* block = scratch ? static_cast<float*>(scratch->data) + thread * kBlock * width : nullptr;
    MatrixTile t{};
    t.n = std::min(width, p.n - n0);
    t.layout = LeftLayout::kPacked;
    t.ldb = width;
    t.ldc = t.ldr = p.n;
    for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += kBlock) {
      t.k = std::min(kBlock, p.k - k0);
      place_right(p, panel, k0, last - first > 1, block, t);
      const bool end = k0 + kBlock >= p.k;
      t.accumulate = p.accumulate || k0 > 0;
      t.bias = end && p.bias ? p.bias + n0 : nullptr;
      for (int64_t tile = first; tile < last; ++tile) {
        t.m = std::min(rows, p.m - tile * rows);
        t.a = a + tile * rows * p.k + k0 * rows;
        t.c = p.c + tile * rows * p.n + n0;
        t.residual = end && p.residual ? p.residual + tile * rows * p.n + n0 : nullptr;
        kernels_.matrix_tile(t);
      }
    }
  };
  const int64_t group = std::clamp<int64_t>(kTaskFlops / std::max<int64_t>(1, flops), 1, jobs);
  pool_.run(ceil_div(jobs, group), [&](int64_t task, int thread) {
    for (int64_t i = task * group; i < std::min(jobs, (task + 1) * group); ++i) job(i, thread);
  });
}

void CpuBackend::linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, Tensor& y) {
  const Panels panels = packed_weight(w);
  Product p;
  p.m = x.shape().rows();
  p.n = w.shape()[0];
  p.k = w.shape()[1];
  p.a = x.data<float>();
  p.a_stride = p.k;
  p.panels = &panels;
  p.c = y.data<float>();
  p.bias = bias ? bias->data<float>() : nullptr;
  p.residual = residual ? residual->data<float>() : nullptr;
  product(p);
}

void CpuBackend::linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) {
  // Rows that may have left the memory, or are of another type than the panels, are taken out of those.
  const bool from_panels =
      w.dtype() != DType::kF32 || w.storage()->products.weight != DType::kF32 || w.storage()->discard != nullptr;
  const Panels panels = from_panels ? packed_weight(w) : Panels{};
  Product p;
  p.m = dy.shape().rows();
  p.n = w.shape()[1];
  p.k = w.shape()[0];
  p.a = dy.data<float>();
  p.a_stride = p.k;
  if (from_panels) {
    p.panels = &panels;
    p.panels_transposed = true;
  } else {
    p.b = w.data<float>();
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
  p.a = dy.data<float>();
  p.a_stride = p.m;
  p.a_transposed = true;
  p.b = x.data<float>();
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
