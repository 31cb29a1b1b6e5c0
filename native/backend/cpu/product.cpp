#include "backend/cpu/product.h"

#include <algorithm>

namespace vlmr1::cpu {

namespace {

// K is cut into blocks so that a block of B and some tiles of A stay in the second-level cache. C is stored and loaded
// between blocks, which rounds nothing.
constexpr int64_t kBlock = 2048;
constexpr int64_t kLeftBytes = 256 << 10;
// Up to so many tiles B in bf16 is widened each time it is read, not laid out in f32 once.
constexpr int64_t kMixedTiles = 2;

}  // namespace

int64_t even_share(int64_t k, int64_t most) {
  const int64_t blocks = std::max<int64_t>(1, ceil_div(k, most));
  return std::max<int64_t>(2, ceil_div(ceil_div(k, blocks), 2) * 2);
}

Cut cut_product(const Product& p, const KernelTable& kernels) {
  Cut cut{};
  cut.left = !p.rounds ? Operand::kF32 : kernels.dots_pairs ? Operand::kPairs : Operand::kRounded;
  cut.rows = kernels.tile_rows;
  cut.tiles = ceil_div(p.m, cut.rows);
  cut.k_block = even_share(p.k, kBlock);
  cut.k_inside = cut.tiles * cut.rows * p.k * int64_t{sizeof(float)} <= kLeftBytes;
  const int64_t tile_bytes = cut.rows * cut.k_block * int64_t{sizeof(float)};
  cut.row_blocks = ceil_div(cut.tiles, std::max<int64_t>(1, kLeftBytes / tile_bytes));
  cut.panels = ceil_div(p.n, kernels.panel_width);
  return cut;
}

bool reads_panels(const Product& p, const Cut& cut) {
  return p.panels && !p.panels_transposed && (!p.panels->pairs || cut.pairs() || cut.tiles <= kMixedTiles);
}

// What lies past a tile's own rows is never read.
void pack_left_tile(const Product& p, const Cut& cut, const KernelTable& kernels, int64_t tile, int64_t k0, int64_t k,
                    uint32_t* out) {
  const int64_t m0 = cut.first_row(tile, p.m);
  PackBlock block{};
  block.in = p.a + (p.a_transposed ? k0 * p.a_stride + m0 : m0 * p.a_stride + k0);
  block.stride = p.a_stride;
  block.k_along_rows = !p.a_transposed;
  block.count = cut.first_row(tile + 1, p.m) - m0;
  block.k = k;
  block.width = cut.rows;
  block.to = cut.left;
  block.out = out;
  kernels.pack_block(block);
}

void place_right(const Product& p, const Cut& cut, const KernelTable& kernels, int64_t panel, int64_t k0, int64_t k,
                 uint32_t* scratch, uint32_t* out) {
  const int64_t width = kernels.panel_width;
  const int64_t n0 = panel * width;
  if (p.panels && !p.panels_transposed) {
    kernels.widen_pairs(p.panels->at(panel, k0), width, k, reinterpret_cast<float*>(out));
    return;
  }
  PackBlock block{};
  block.from_bf16 = p.panels ? p.panels->pairs : p.b_bf16;
  if (p.panels) {
    unpack_rows(kernels, *p.panels, k0, k, n0, width, scratch);
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
  block.to = cut.left;
  block.out = out;
  kernels.pack_block(block);
}

void Multiply::run(const Pass& pass, int64_t row_block, int64_t first, int64_t last, int thread) const {
  if (cut_.k_inside) {
    for (int64_t panel = first; panel < last; ++panel)
      for (int64_t k0 = pass.k0; k0 == pass.k0 || k0 < pass.k1; k0 += cut_.k_block)
        column(pass, row_block, panel, k0, thread);
    return;
  }
  for (int64_t k0 = pass.k0; k0 == pass.k0 || k0 < pass.k1; k0 += cut_.k_block) {
    if (left_.own) pack_own(pass, row_block, k0, left_.lanes() + thread * left_.own_lanes());
    for (int64_t panel = first; panel < last; ++panel) column(pass, row_block, panel, k0, thread);
  }
}

void Multiply::pack_own(const Pass& pass, int64_t row_block, int64_t k0, uint32_t* out) const {
  const int64_t first = cut_.first_tile(row_block);
  const int64_t last = cut_.first_tile(row_block + 1);
  const int64_t k = std::min(cut_.k_block, pass.k1 - k0);
  for (int64_t tile = first; tile < last; ++tile)
    pack_left_tile(p_, cut_, kernels_, tile, k0, k, out + (tile - first) * cut_.steps(cut_.k_block) * cut_.rows);
}

void Multiply::column(const Pass& pass, int64_t row_block, int64_t panel, int64_t k0, int thread) const {
  const int64_t width = kernels_.panel_width;
  const int64_t n0 = panel * width;
  const int64_t first_tile = cut_.first_tile(row_block);
  const int64_t last_tile = cut_.first_tile(row_block + 1);
  PanelTile t{};
  t.n = std::min(width, p_.n - n0);
  t.k = std::min(cut_.k_block, pass.k1 - k0);
  t.a_pairs = cut_.pairs();
  t.b_pairs = pass.b_pairs;
  t.b = right(pass, panel, k0);
  t.ldc = t.ldr = p_.n;
  t.accumulate = p_.accumulate || k0 > 0;
  const bool end = k0 + t.k == p_.k;
  t.bias = end && p_.bias ? p_.bias + n0 : nullptr;
  const int64_t tile_steps = cut_.steps(left_.own ? cut_.k_block : p_.k);
  const uint32_t* a = left_.own ? left_.lanes() + thread * left_.own_lanes()
                                : left_.lanes() + (first_tile * tile_steps + cut_.steps(k0)) * cut_.rows;
  // The first tiles fetch the block of B that comes next.
  const int64_t steps = pass.b_pairs ? (t.k + 1) / 2 : t.k;
  const int64_t lines = width * 4 / 64;
  t.ahead = reinterpret_cast<const char*>(cut_.k_inside ? t.b + steps * width : right(pass, panel + 1, k0));
  t.ahead_lines = static_cast<int>(last_tile - first_tile == 1 ? lines : 1);
  for (int64_t tile = first_tile; tile < last_tile; ++tile) {
    const int64_t m0 = cut_.first_row(tile, p_.m);
    t.m = cut_.first_row(tile + 1, p_.m) - m0;
    t.a = a + (tile - first_tile) * tile_steps * cut_.rows;
    t.c = p_.c + m0 * p_.n + n0;
    t.residual = end && p_.residual ? p_.residual + m0 * p_.n + n0 : nullptr;
    kernels_.panel_tile(t);
    t.ahead += t.ahead_lines * steps * 64;
    if (tile - first_tile + 1 >= lines) t.ahead_lines = 0;
  }
}

const uint32_t* Multiply::right(const Pass& pass, int64_t panel, int64_t k0) const {
  if (!pass.placed) return p_.panels->at(panel, k0);
  const int64_t k = pass.k1 - pass.k0;
  const int64_t steps = pass.b_pairs ? (k + 1) / 2 : k;
  const int64_t step = pass.b_pairs ? (k0 - pass.k0) / 2 : k0 - pass.k0;
  return pass.placed + ((panel - pass.first_panel) * steps + step) * kernels_.panel_width;
}

}  // namespace vlmr1::cpu
