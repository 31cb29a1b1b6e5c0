#include "backend/cpu/pack.h"

#include <algorithm>
#include <vector>

#include "core/float16.h"

namespace vlmr1::cpu {

void pack_panel(const KernelTable& kernels, const Tensor& w, int64_t first, int64_t count, const Panels& panels,
                int64_t index) {
  const int64_t k = panels.k;
  PackBlock block{};
  block.in = static_cast<const char*>(w.raw()) + static_cast<size_t>(first * k) * dtype_size(w.dtype());
  block.from_bf16 = w.dtype() == DType::kBF16;
  std::vector<float> wide;
  if (w.dtype() == DType::kF16) {
    const auto* half = static_cast<const uint16_t*>(block.in);
    wide.resize(static_cast<size_t>(count * k));
    std::transform(half, half + count * k, wide.begin(), [](uint16_t bits) { return f16_to_f32(bits); });
    block.in = wide.data();
  }
  block.stride = k;
  block.k_along_rows = true;
  block.count = count;
  block.k = k;
  block.width = panels.width;
  block.to = panels.pairs ? Operand::kPairs : Operand::kF32;
  block.out = panels.at(index, 0);
  kernels.pack_block(block);
}

// The panels that the rows lie in, turned back lane by lane.
void unpack_rows(const KernelTable& kernels, const Panels& panels, int64_t n0, int64_t k, int64_t c0, int64_t cols,
                 uint32_t* out) {
  const int64_t lanes = panels.pairs ? cols / 2 : cols;
  for (int64_t done = 0; done < k;) {
    const int64_t n = n0 + done;
    const int64_t inside = n % panels.width;
    const int64_t rows = std::min(k - done, panels.width - inside);
    PackBlock block{};
    block.in = panels.at(n / panels.width, c0) + inside;
    block.stride = panels.width;
    block.k_along_rows = true;
    block.count = std::min(lanes, panels.steps() - (panels.pairs ? c0 / 2 : c0));
    block.k = rows;
    block.width = lanes;
    block.to = Operand::kF32;
    block.out = out + done * lanes;
    kernels.pack_block(block);
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
