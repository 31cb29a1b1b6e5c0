#include "backend/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "core/float16.h"

namespace vlmr1::cpu {

namespace {

struct F32 {
  using Bits = float;
  static float load(float x) { return x; }
  static float store(float x) { return x; }
};
struct BF16 {
  using Bits = uint16_t;
  static float load(uint16_t x) { return bf16_to_f32(x); }
  static uint16_t store(float x) { return f32_to_bf16(x); }
};
struct F16 {
  using Bits = uint16_t;
  static float load(uint16_t x) { return f16_to_f32(x); }
};

// panel [K][width] from rows [count][K]
template <typename From, typename To>
void transpose(const typename From::Bits* rows, int64_t count, int64_t k, int64_t width, typename To::Bits* panel) {
  constexpr int64_t kStep = 16;
  for (int64_t k0 = 0; k0 < k; k0 += kStep) {
    const int64_t k1 = std::min(k, k0 + kStep);
    for (int64_t r = 0; r < width; ++r) {
      const typename From::Bits* row = rows + r * k;
      if (r >= count) {
        for (int64_t i = k0; i < k1; ++i) panel[i * width + r] = 0;
      } else {
        for (int64_t i = k0; i < k1; ++i) panel[i * width + r] = To::store(From::load(row[i]));
      }
    }
  }
}

template <typename From>
void transpose_to(const typename From::Bits* rows, int64_t count, int64_t k, int64_t width, DType dtype, void* panel) {
  if (dtype == DType::kBF16) transpose<From, BF16>(rows, count, k, width, static_cast<uint16_t*>(panel));
  else transpose<From, F32>(rows, count, k, width, static_cast<float*>(panel));
}

// out [rows][width]: column r of in [cols][rows]
template <typename From>
void transpose_block(const typename From::Bits* in, int64_t in_stride, int64_t rows, int64_t cols, int64_t width,
                     float* out) {
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t r = 0; r < rows; ++r) out[r * width + c] = From::load(in[c * in_stride + r]);
}

}  // namespace

void pack_panel(const Tensor& w, int64_t first, int64_t count, int64_t width, DType dtype, void* panel) {
  const int64_t k = w.shape()[1];
  const auto* rows = static_cast<const char*>(w.raw()) + static_cast<size_t>(first * k) * dtype_size(w.dtype());
  if (w.dtype() == DType::kF32) {
    transpose_to<F32>(reinterpret_cast<const float*>(rows), count, k, width, dtype, panel);
  } else if (w.dtype() == DType::kBF16) {
    transpose_to<BF16>(reinterpret_cast<const uint16_t*>(rows), count, k, width, dtype, panel);
  } else {
    transpose_to<F16>(reinterpret_cast<const uint16_t*>(rows), count, k, width, dtype, panel);
  }
}

void pack_rows(const float* b, int64_t stride, int64_t k, int64_t cols, int64_t width, float* block) {
  for (int64_t i = 0; i < k; ++i, b += stride, block += width) {
    std::memcpy(block, b, cols * sizeof(float));
    std::fill(block + cols, block + width, 0.0f);
  }
}

void unpack_rows(const Panels& panels, int64_t n0, int64_t k, int64_t c0, int64_t cols, float* block) {
  const int64_t width = panels.width;
  if (cols < width) std::fill_n(block, k * width, 0.0f);
  for (int64_t done = 0; done < k;) {
    const int64_t n = n0 + done;
    const int64_t inside = n % width;
    const int64_t rows = std::min(k - done, width - inside);
    float* out = block + done * width;
    if (panels.dtype == DType::kBF16)
      transpose_block<BF16>(panels.bf16(n / width, c0) + inside, width, rows, cols, width, out);
    else transpose_block<F32>(panels.f32(n / width, c0) + inside, width, rows, cols, width, out);
    done += rows;
  }
}

PackCache::Entry& PackCache::entry(const Tensor& w) {
  auto it = entries_.find(w.raw());
  if (it == entries_.end()) {
    drop_orphans();  // new parameters are rare: a good moment
    it = entries_.emplace(w.raw(), Entry{}).first;
  }
  Entry& entry = it->second;
  const bool current = entry.panels.storage && entry.owner.lock() == w.storage() &&
                       entry.version == w.storage()->version && entry.shape == w.shape();
  if (!current) entry = {w.storage(), w.storage()->version, w.shape(), {}};
  return entry;
}

void PackCache::drop_orphans() {
  std::erase_if(entries_, [](const auto& item) { return item.second.owner.expired(); });
}

}  // namespace vlmr1::cpu
