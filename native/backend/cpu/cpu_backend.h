// The CPU back end: cuts work into tasks for the pool, calls the kernels of the chosen instruction set. One file per
// family implements it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/product.h"
#include "backend/cpu/sample_scratch.h"
#include "core/memory_pool.h"
#include "core/thread_pool.h"

namespace vlmr1::cpu {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options);

  std::string name() const override;
  void set_stop(const StopFlag& stop) override { pool_.set_stop(stop); }

  Tensor empty(const Shape& shape, DType dtype) override;
  Tensor zeros(const Shape& shape, DType dtype) override;
  void upload(Tensor& to, const void* host) override;
  void download(const Tensor& from, void* host) override;
  void copy(const Tensor& from, Tensor& to) override;
  void fill(Tensor& x, float value) override;
  void convert(const Tensor& from, Tensor& to) override;
  Tensor adopt(const HostMemory& memory, const Shape& shape, DType dtype, ProductTypes products) override;
  MemoryCounts memory() const override;
  void reset_memory_peak() override { memory_->reset_peak(); }
  void trim() override {
    packs_.drop_orphans();
    for (SampleScratch& scratch : sample_scratch_) scratch = {};
    memory_->trim();
  }
  bool dry_run() const override { return dry_run_; }

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, Tensor& y) override;
  void linear_swiglu(const Tensor& x, const GatedWeights& weights, Tensor& gate, Tensor& up, Tensor& y) override;
  void linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) override;
  void linear_grad_weight(const Tensor& dy, const Tensor& x, Tensor& dw) override;
  void linear_grad_bias(const Tensor& dy, Tensor& db) override;

  void rms_norm(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& inv_rms) override;
  void rms_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inv_rms, Tensor& dx,
                     Tensor* dweight) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& mean,
                  Tensor& inv_std) override;
  void layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                       const Tensor& inv_std, Tensor& dx, Tensor* dweight, Tensor* dbias) override;
  void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t head_size, bool inverse, Tensor& y) override;

  void swiglu(const Tensor& gate, const Tensor& up, Tensor& y) override;
  void swiglu_grad(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) override;
  void gelu(const Tensor& x, GeluKind kind, Tensor& y) override;
  void gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) override;
  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void scale(const Tensor& x, float factor, Tensor& y) override;
  void dropout(const Tensor& x, float p, uint64_t seed, uint64_t stream, Tensor& y) override;

  void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) override;
  void scatter_add_rows(const Tensor& dy, const Tensor& index, Tensor& dx) override;
  void scatter_rows(const Tensor& x, const Tensor& index, Tensor& y) override;
  void zero_rows(const Tensor& index, Tensor& x) override;

  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                 const AttentionShape& shape, Tensor& out, Tensor* lse) override;
  void attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                      const Tensor& lse, const SegmentTree& tree, const AttentionShape& shape, Tensor& dq, Tensor& dk,
                      Tensor& dv) override;
  std::unique_ptr<KvStore> kv_create(const AttentionShape& shape) override;
  void kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) override;
  void kv_release(KvStore& store, int32_t segment) override;
  void kv_truncate(KvStore& store, int32_t segment, int64_t length) override;
  void kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree, const std::vector<QueryRun>& runs,
                    const AttentionShape& shape, Tensor& out) override;

  void token_logp(const Tensor& logits, const Tensor& target, const Temperatures& temperatures, Tensor& lse,
                  Tensor& logp, Tensor* entropy) override;
  void token_logp_grad(const Tensor& target, const Tensor& lse, const Tensor& dlogp, const EntropyGrad* entropy,
                       float temperature, Tensor& logits) override;
  void sample(const Tensor& logits, const std::vector<int32_t>& banned, const std::vector<SampleRow>& rows,
              std::vector<Sampled>& out) override;

  double sum_squares(const Tensor& x) override;
  int64_t adamw(const AdamWStep& step, const AdamWTensors& tensors) override;
  void blend(const Tensor& from, float alpha, Tensor& to) override;

 private:
  // The packed left operand; `own`: row blocks may pack their part themselves.
  Left left_side(const Product& p, const Cut& cut, bool own);
  // fn(row_block, first, last, thread) for all row blocks and groups of panels.
  template <typename Fn>
  void blocks(const Product& p, const Left& left, const Pass& pass, const Fn& fn);
  void product(const Product& p);
  void product_of_placed(const Product& p, const Cut& cut);
  Panels packed_weight(const Tensor& w);
  template <typename Fn>
  void in_row_order(int64_t rows, int64_t parts, const Fn& fn);
  // `rows`: where each run begins in k and v.
  void append_rows(KvStore& store, const std::vector<QueryRun>& runs, const std::vector<int64_t>& rows, const Tensor& k,
                   const Tensor& v);
  void kv_pack(KvStore& store, const std::vector<QueryRun>& runs, const std::vector<int64_t>& rows, const float* k,
               const float* v);
  // k, v: of segments that the store does not hold, or null.
  void kv_attend(const Tensor& q, const float* k, const float* v, const KvStore& store, const SegmentTree& tree,
                 const std::vector<QueryRun>& runs, Tensor& out, Tensor* lse);

  // fn(begin, end) over ranges of n; the cut does not depend on the number of threads.
  template <typename Fn>
  void ranges(int64_t n, int64_t grain, const Fn& fn) {
    pool_.run((n + grain - 1) / grain, [&](int64_t task, int) {
      const int64_t begin = task * grain;
      fn(begin, begin + grain < n ? begin + grain : n);
    });
  }

  template <typename ByRows, typename ByColumns>
  void blocks_of_rows(int64_t rows, int64_t cols, const ByRows& by_rows, const ByColumns& by_columns);
  void copy_bytes(void* to, const void* from, size_t bytes);

  const KernelTable& kernels_;
  const bool dry_run_;
  ThreadPool pool_;  // does nothing in a dry run, and so do kernels; what is computed beside it looks at dry_run_
  std::shared_ptr<MemoryPool> memory_;
  PackCache packs_;
  std::vector<SampleScratch> sample_scratch_;  // of each thread
};

}  // namespace vlmr1::cpu
