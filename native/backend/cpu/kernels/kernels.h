// Single-threaded kernels, compiled once per instruction set. The files beside this one hold no std templates: a copy
// instantiated with wide instructions could become the one that the whole program links.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/gelu_kind.h"
#include "backend/moment_code.h"

namespace vlmr1::cpu {

// Keys per attention block: a fixed size, cut only at segment borders, so that decoding and training sum alike.
constexpr int kKeyBlock = 64;
// Row stride of the query-side scratch (head size up to 256, and 16 to spread cache sets).
constexpr int kHeadStride = 272;
constexpr int kMaxHeadSize = 256;
// Rows (query token × head) of one attention tile, and of one of the backward pass, which moves more memory a block.
constexpr int kQueryRows = 112;
constexpr int kGradRows = 224;

// How an operand of a product is packed, step by step, four bytes a lane.
enum class Operand {
  kF32,      // a step is one k
  kRounded,  // the same, of numbers rounded to bf16
  kPairs,    // bf16, a step is two k
};

// out [steps][width] of in, zero past count and k.
struct PackBlock {
  const void* in;     // f32 or bf16
  bool from_bf16;     // (kRounded leaves such numbers as they are)
  int64_t stride;     // elements between rows
  bool k_along_rows;  // in [count][k], or [k][count]
  int64_t count, k;
  int64_t width;
  Operand to;
  uint32_t* out;
};

// C [m, n] (=, +=) A [m, k] · B [k, n], then + bias + residual, for one tile of packed operands.
struct PanelTile {
  int64_t m, n, k;        // m ≤ tile_rows, n ≤ panel_width
  const uint32_t* a;      // [steps][tile_rows]
  const uint32_t* b;      // [steps][panel_width]
  bool a_pairs, b_pairs;  // pairs of bf16 or f32; a is pairs only where b is
  const char* ahead;      // memory that is needed soon: so many of its lines are fetched a step
  int ahead_lines;        // 0, 1 or 2
  float* c;
  int64_t ldc;
  bool accumulate;        // start from C instead of 0
  const float* bias;      // [n] or null
  const float* residual;  // [m, ldr] or null
  int64_t ldr;
};

// Operands of attention are words of 4 bytes: f32, or pairs of bf16 that are neighbours along the sum, with half as
// many of them (rounded up; a partner that is missing is 0). Keys and values are in panels: of the first kPanelColumns
// columns all rows, then of the next, the last panel as narrow as it is.
constexpr int kPanelColumns = 32;

// Tokens [first, first + count) of a block of keys or values, from rows of x.
struct AttentionKeys {
  const float* x;
  int64_t stride;  // between rows of x
  int first, count;
  int64_t head_size;
  bool pairs;
  void* transposed;  // panels of [D, kKeyBlock], pairs along D; or null
  void* rows;        // panels of [kKeyBlock, D], pairs along tokens; or null
};

// Rows of a tile, times `scale`.
struct AttentionQueries {
  int rows;
  const float* const* x;  // [rows], null for a row of zeros
  int64_t head_size;
  float scale;
  bool pairs;
  void* along_head;      // [rows][kHeadStride] words, pairs along D
  uint32_t* along_rows;  // null, or pairs along rows: [rows / 2][kHeadStride]
};

// One block of keys for a tile of query rows: online softmax.
struct AttentionBlock {
  bool pairs;
  int rows;
  int keys;            // valid keys of the block
  const int* visible;  // [rows] keys that a row sees (0 … keys)
  int64_t head_size;
  const void* q;   // [rows][kHeadStride] words, scaled
  const void* kt;  // panels of [D, kKeyBlock]
  const void* v;   // panels of [kKeyBlock, D]
  float* scores;   // [rows][kHeadStride] scratch
  float* factor;   // [rows] scratch
  float* out;      // [rows][kHeadStride] running output
  float* max;      // [rows] running maximum
  float* sum;      // [rows] running sum, of probabilities that are not rounded
};

// With p = exp(q·kᵀ − lse) and ds = p · (dout·vᵀ − delta): dq += ds·k, dk += dsᵀ·q, dv += pᵀ·dout.
struct AttentionGradBlock {
  bool pairs;
  int rows;  // even for pairs
  int keys;
  const int* visible;
  int64_t head_size;
  const void *q, *dout;            // [rows][kHeadStride] words, q scaled
  const void *q_rows, *dout_rows;  // the same with pairs along rows; in f32 the same
  const void *kt, *vt;             // panels of [D, kKeyBlock]
  const void* k;                   // panels of [kKeyBlock, D]
  const float* lse;                // [rows]
  const float* delta;              // [rows] Σ dout · out
  float *p, *ds;                   // [rows][kHeadStride] scratch
  float* dq;                       // [rows][kHeadStride]
  float *dk, *dv;                  // [keys][D]
};

struct AdamWArgs {
  float learning_rate, beta1, beta2, epsilon, weight_decay, bias_correction1, bias_correction2, grad_scale;
};

// A moment of a range of elements that begins with a block.
struct MomentRange {
  float* values;   // f32, or null:
  uint8_t* codes;  // with a scale per block
  float* scales;
  const MomentCode* code;  // of `codes`
};

struct AdamWRange {
  int64_t n;
  float* grad;     // = 0
  float* value;    // or null: the value is `half`, rounded at random
  uint16_t* half;  // bf16: with `value` its copy, rounded to nearest, or null
  MomentRange m, v;
  uint64_t key;    // random_bits(seed, update, a, 0) is mix64(mix64(key ^ a)); element i takes 16 bits of it,
  uint64_t first;  // a = (first + i) / 4, at 16 · (i mod 4)
};

struct KernelTable {
  const char* name;
  int vector_width;
  int tile_rows;    // M of a full matrix tile
  int panel_width;  // N of a packed panel
  bool dots_pairs;  // whether products of pairs of bf16 are one instruction

  void (*panel_tile)(const PanelTile&);
  void (*pack_block)(const PackBlock&);
  // out [k][width] f32 of pairs [steps][width]; the width a multiple of the vector width
  void (*widen_pairs)(const uint32_t* pairs, int64_t width, int64_t k, float* out);
  void (*attention_pack_keys)(const AttentionKeys&);
  void (*attention_pack_queries)(const AttentionQueries&);
  void (*attention_block)(const AttentionBlock&);
  void (*attention_grad_block)(const AttentionGradBlock&);
  void (*row_dots)(const float* a, const float* b, float* y, int64_t rows, int64_t n);  // y [rows] = Σ a · b

  // y [rows, e] = x · inv_rms · weight
  void (*rms_norm)(const float* x, const float* weight, float eps, float* y, float* inv_rms, int64_t rows, int64_t e);
  void (*rms_norm_grad)(const float* dy, const float* x, const float* weight, const float* inv_rms, float* dx,
                        int64_t rows, int64_t e);
  // dweight[begin, end) += Σ_rows dy · x · inv_rms, rows ascending
  void (*rms_norm_grad_weight)(const float* dy, const float* x, const float* inv_rms, float* dweight, int64_t rows,
                               int64_t e, int64_t begin, int64_t end);
  // y [rows, e] = x̂ · weight + bias with x̂ = (x − mean) · inv_std
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* y, float* mean,
                     float* inv_std, int64_t rows, int64_t e);
  void (*layer_norm_grad)(const float* dy, const float* x, const float* weight, const float* mean, const float* inv_std,
                          float* dx, int64_t rows, int64_t e);
  // dweight[begin, end) += Σ_rows dy · x̂, rows ascending
  void (*layer_norm_grad_weight)(const float* dy, const float* x, const float* mean, const float* inv_std,
                                 float* dweight, int64_t rows, int64_t e, int64_t begin, int64_t end);
  // sum[begin, end) += Σ_rows x, rows ascending
  void (*column_sum)(const float* x, float* sum, int64_t rows, int64_t cols, int64_t begin, int64_t end);
  void (*rope)(const float* x, const float* cos, const float* sin, float* y, int64_t rows, int64_t heads,
               int64_t head_size, bool inverse);
  void (*swiglu)(const float* gate, const float* up, float* y, int64_t n);
  void (*swiglu_grad)(const float* dy, const float* gate, const float* up, float* dgate, float* dup, int64_t n);
  void (*gelu)(GeluKind kind, const float* x, float* y, int64_t n);
  void (*gelu_grad)(GeluKind kind, const float* dy, const float* x, float* dx, int64_t n);
  void (*add)(const float* a, const float* b, float* y, int64_t n);
  void (*scale)(const float* x, float factor, float* y, int64_t n);
  // y[i] = kept · x[i], or 0 where the number that `key` gives to element first + i is below `drop_below` · 2⁻⁵³
  void (*dropout)(const float* x, uint64_t drop_below, float kept, uint64_t key, uint64_t first, float* y, int64_t n);
  // log-sum-exp, log-probability of the target and entropy of softmax(row · inv_temperature)
  void (*token_logp)(const float* logits, int64_t v, int32_t target, float inv_temperature, float* lse, float* logp,
                     float* entropy);
  void (*token_logp_grad)(float* logits, int64_t v, int32_t target, float inv_temperature, float lse, float dlogp);
  void (*token_logp_entropy_grad)(float* logits, int64_t v, int32_t target, float inv_temperature, float lse,
                                  float dlogp, float entropy, float dentropy);
  // The largest element, minus infinity where there is none. NaN is passed over.
  float (*largest)(const float* x, int64_t n);
  // Σ e^((x − top) · factor) in double, the same bits on every instruction set; weights [n], or null, = its terms. The
  // term of minus infinity and of NaN is 0.
  double (*exp_sum)(const float* x, int64_t n, float top, float factor, float* weights);
  double (*sum_squares)(const float* x, int64_t n);  // the same bits on every instruction set
  // See Backend::adamw; how many elements were left as they were.
  int64_t (*adamw)(const AdamWArgs&, const AdamWRange&);
  void (*blend)(const float* from, float alpha, float keep, float* to, int64_t n);  // to = alpha · from + keep · to
  void (*bf16_from_f32)(const float* x, uint16_t* y, int64_t n);
  void (*f32_from_bf16)(const uint16_t* x, float* y, int64_t n);
  void (*f32_from_f16)(const uint16_t* x, float* y, int64_t n);
  void (*round_to_bf16_values)(const float* x, float* y, int64_t n);  // y may be x
};

}  // namespace vlmr1::cpu
