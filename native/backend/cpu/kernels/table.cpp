#include "backend/cpu/kernels/simd_bf16.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

#define VLMR1_TEXT2(x) #x
#define VLMR1_TEXT(x) VLMR1_TEXT2(x)

const KernelTable& table() {
  static constexpr KernelTable kTable = {
      VLMR1_TEXT(VLMR1_ISA),
      W,
      kTileRows,
      kPanelWidth,
      kDotsPairs,
      panel_tile,
      pack_block,
      widen_pairs,
      attention_pack_keys,
      attention_pack_queries,
      attention_block,
      attention_grad_block,
      row_dots,
      rms_norm,
      rms_norm_grad,
      rms_norm_grad_weight,
      layer_norm,
      layer_norm_grad,
      layer_norm_grad_weight,
      column_sum,
      rope,
      swiglu,
      swiglu_grad,
      gelu,
      gelu_grad,
      add_arrays,
      scale_array,
      dropout,
      token_logp,
      token_logp_grad,
      token_logp_entropy_grad,
      largest,
      exp_sum,
      sum_squares,
      adamw,
      blend,
      bf16_from_f32,
      f32_from_bf16,
      f32_from_f16,
      round_to_bf16_values,
  };
  return kTable;
}

}  // namespace vlmr1::cpu::VLMR1_ISA
