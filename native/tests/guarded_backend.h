// A back end whose tensors lie between guard regions. Every word outside a tensor holds a NaN: writing there is found
// by `check_guards`, and reading there turns what is computed from it into a NaN. New tensors hold the same NaN, so
// that elements which a kernel forgets to write are seen too. Tensors do not start at a cache line, as rows of larger
// ones may not.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"

namespace vlmr1::testing {

// Leaves NaN in the memory that the back end hands out next, where kernels' scratch comes from.
void poison_free_memory(Backend& backend);

class GuardedBackend : public Backend {
 public:
  explicit GuardedBackend(Backend& inner) : inner_(inner) {}

  // What is wrong, empty when no kernel wrote outside its tensors.
  std::string check_guards();

  std::string name() const override { return inner_.name(); }
  void set_stop(const StopFlag& stop) override { inner_.set_stop(stop); }
  Tensor empty(const Shape& shape, DType dtype = DType::kF32) override;
  Tensor zeros(const Shape& shape, DType dtype = DType::kF32) override;
  void upload(Tensor& to, const void* host) override { inner_.upload(to, host); }
  void download(const Tensor& from, void* host) override { inner_.download(from, host); }
  void copy(const Tensor& from, Tensor& to) override { inner_.copy(from, to); }
  void fill(Tensor& x, float value) override { inner_.fill(x, value); }
  void convert(const Tensor& from, Tensor& to) override { inner_.convert(from, to); }
  Tensor adopt(const HostMemory& memory, const Shape& shape, DType dtype, ProductTypes products) override {
    return inner_.adopt(memory, shape, dtype, products);
  }
  MemoryCounts memory() const override { return inner_.memory(); }
  void reset_memory_peak() override { inner_.reset_memory_peak(); }
  bool dry_run() const override { return inner_.dry_run(); }
  void trim() override { inner_.trim(); }

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, Tensor& y) override {
    inner_.linear(x, w, bias, residual, y);
  }
  void linear_swiglu(const Tensor& x, const GatedWeights& weights, Tensor& gate, Tensor& up, Tensor& y) override {
    inner_.linear_swiglu(x, weights, gate, up, y);
  }
  void linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) override {
    inner_.linear_grad_input(dy, w, dx, write);
  }
  void linear_grad_weight(const Tensor& dy, const Tensor& x, Tensor& dw) override {
    inner_.linear_grad_weight(dy, x, dw);
  }
  void linear_grad_bias(const Tensor& dy, Tensor& db) override { inner_.linear_grad_bias(dy, db); }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& inv_rms) override {
    inner_.rms_norm(x, weight, eps, y, inv_rms);
  }
  void rms_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inv_rms, Tensor& dx,
                     Tensor* dweight) override {
    inner_.rms_norm_grad(dy, x, weight, inv_rms, dx, dweight);
  }
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& mean,
                  Tensor& inv_std) override {
    inner_.layer_norm(x, weight, bias, eps, y, mean, inv_std);
  }
  void layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                       const Tensor& inv_std, Tensor& dx, Tensor* dweight, Tensor* dbias) override {
    inner_.layer_norm_grad(dy, x, weight, mean, inv_std, dx, dweight, dbias);
  }
  void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t head_size, bool inverse,
            Tensor& y) override {
    inner_.rope(x, cos, sin, head_size, inverse, y);
  }
  void swiglu(const Tensor& gate, const Tensor& up, Tensor& y) override { inner_.swiglu(gate, up, y); }
  void swiglu_grad(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) override {
    inner_.swiglu_grad(dy, gate, up, dgate, dup);
  }
  void gelu(const Tensor& x, GeluKind kind, Tensor& y) override { inner_.gelu(x, kind, y); }
  void gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) override {
    inner_.gelu_grad(dy, x, kind, dx);
  }
  void add(const Tensor& a, const Tensor& b, Tensor& y) override { inner_.add(a, b, y); }
  void scale(const Tensor& x, float factor, Tensor& y) override { inner_.scale(x, factor, y); }
  void dropout(const Tensor& x, float p, uint64_t seed, uint64_t stream, Tensor& y) override {
    inner_.dropout(x, p, seed, stream, y);
  }
  void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) override { inner_.gather_rows(x, index, y); }
  void scatter_add_rows(const Tensor& dy, const Tensor& index, Tensor& dx) override {
    inner_.scatter_add_rows(dy, index, dx);
  }
  void scatter_rows(const Tensor& x, const Tensor& index, Tensor& y) override { inner_.scatter_rows(x, index, y); }
  void zero_rows(const Tensor& index, Tensor& x) override { inner_.zero_rows(index, x); }
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                 const AttentionShape& shape, Tensor& out, Tensor* lse) override {
    inner_.attention(q, k, v, tree, shape, out, lse);
  }
  void attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                      const Tensor& lse, const SegmentTree& tree, const AttentionShape& shape, Tensor& dq, Tensor& dk,
                      Tensor& dv) override {
    inner_.attention_grad(dout, q, k, v, out, lse, tree, shape, dq, dk, dv);
  }
  std::unique_ptr<KvStore> kv_create(const AttentionShape& shape) override { return inner_.kv_create(shape); }
  void kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) override {
    inner_.kv_append(store, runs, k, v);
  }
  void kv_release(KvStore& store, int32_t segment) override { inner_.kv_release(store, segment); }
  void kv_truncate(KvStore& store, int32_t segment, int64_t length) override {
    inner_.kv_truncate(store, segment, length);
  }
  void kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree, const std::vector<QueryRun>& runs,
                    const AttentionShape& shape, Tensor& out) override {
    inner_.kv_attention(q, store, tree, runs, shape, out);
  }
  void token_logp(const Tensor& logits, const Tensor& target, const Temperatures& temperatures, Tensor& lse,
                  Tensor& logp, Tensor* entropy) override {
    inner_.token_logp(logits, target, temperatures, lse, logp, entropy);
  }
  void token_logp_grad(const Tensor& target, const Tensor& lse, const Tensor& dlogp, const EntropyGrad* entropy,
                       float temperature, Tensor& logits) override {
    inner_.token_logp_grad(target, lse, dlogp, entropy, temperature, logits);
  }
  void sample(const Tensor& logits, const std::vector<int32_t>& banned, const std::vector<SampleRow>& rows,
              std::vector<Sampled>& out) override {
    inner_.sample(logits, banned, rows, out);
  }
  double sum_squares(const Tensor& x) override { return inner_.sum_squares(x); }
  int64_t adamw(const AdamWStep& step, const AdamWTensors& tensors) override { return inner_.adamw(step, tensors); }
  void blend(const Tensor& from, float alpha, Tensor& to) override { inner_.blend(from, alpha, to); }

 private:
  struct Allocation {
    Tensor whole;
    int64_t words;  // of the tensor between the guards
    Shape shape;
  };
  Backend& inner_;
  std::vector<Allocation> allocations_;
};

}  // namespace vlmr1::testing
