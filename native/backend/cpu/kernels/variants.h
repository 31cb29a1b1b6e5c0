// What the files of one instruction set share.
#pragma once

#include "backend/cpu/kernels/kernels.h"

namespace vlmr1::cpu::VLMR1_ISA {

void panel_tile(const PanelTile& t);
void pack_block(const PackBlock& b);
void widen_pairs(const uint32_t* pairs, int64_t width, int64_t k, float* out);
void attention_pack_keys(const AttentionKeys& t);
void attention_pack_queries(const AttentionQueries& t);
void attention_block(const AttentionBlock& b);
void attention_grad_block(const AttentionGradBlock& b);
void row_dots(const float* a, const float* b, float* y, int64_t rows, int64_t n);
void rms_norm(const float* x, const float* weight, float eps, float* y, float* inv_rms, int64_t rows, int64_t e);
void rms_norm_grad(const float* dy, const float* x, const float* weight, const float* inv_rms, float* dx, int64_t rows,
                   int64_t e);
void rms_norm_grad_weight(const float* dy, const float* x, const float* inv_rms, float* dweight, int64_t rows,
                          int64_t e, int64_t begin, int64_t end);
void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y, float* mean,
                float* inv_std, int64_t rows, int64_t e);
void layer_norm_grad(const float* dy, const float* x, const float* weight, const float* mean, const float* inv_std,
                     float* dx, int64_t rows, int64_t e);
void layer_norm_grad_weight(const float* dy, const float* x, const float* mean, const float* inv_std, float* dweight,
                            int64_t rows, int64_t e, int64_t begin, int64_t end);
void column_sum(const float* x, float* sum, int64_t rows, int64_t cols, int64_t begin, int64_t end);
void rope(const float* x, const float* cos, const float* sin, float* y, int64_t rows, int64_t heads, int64_t head_size,
          bool inverse);
void swiglu(const float* gate, const float* up, float* y, int64_t n);
void swiglu_grad(const float* dy, const float* gate, const float* up, float* dgate, float* dup, int64_t n);
void gelu(GeluKind kind, const float* x, float* y, int64_t n);
void gelu_grad(GeluKind kind, const float* dy, const float* x, float* dx, int64_t n);
void add_arrays(const float* a, const float* b, float* y, int64_t n);
void scale_array(const float* x, float factor, float* y, int64_t n);
void dropout(const float* x, uint64_t drop_below, float kept, uint64_t key, uint64_t first, float* y, int64_t n);
void token_logp(const float* logits, int64_t v, int32_t target, float inv_temperature, float* lse, float* logp,
                float* entropy);
void token_logp_grad(float* logits, int64_t v, int32_t target, float inv_temperature, float lse, float dlogp);
void token_logp_entropy_grad(float* logits, int64_t v, int32_t target, float inv_temperature, float lse, float dlogp,
                             float entropy, float dentropy);
float largest(const float* x, int64_t n);
double exp_sum(const float* x, int64_t n, float top, float factor, float* weights);
double sum_squares(const float* x, int64_t n);
int64_t adamw(const AdamWArgs& args, const AdamWRange& range);
void blend(const float* from, float alpha, float keep, float* to, int64_t n);
void bf16_from_f32(const float* x, uint16_t* y, int64_t n);
void f32_from_bf16(const uint16_t* x, float* y, int64_t n);
void f32_from_f16(const uint16_t* x, float* y, int64_t n);
void round_to_bf16_values(const float* x, float* y, int64_t n);

const KernelTable& table();

}  // namespace vlmr1::cpu::VLMR1_ISA
