#include "backend/profiled_backend.h"

#include <string>
#include <utility>
#include <vector>

#include "core/trace.h"

namespace vlmr1 {

namespace {

double bytes_of(const Tensor& x) { return static_cast<double>(x.bytes()); }
double bytes_of(const Tensor* x) { return x == nullptr ? 0.0 : bytes_of(*x); }

template <typename... Tensors>
double bytes(const Tensors&... tensors) {
  return (bytes_of(tensors) + ...);
}

// A kernel that goes over rows: its time is that of memory.
template <typename... Tensors>
Work rows_work(const Tensor& x, const Tensors&... others) {
  return {"rows,columns", {x.shape().rows(), x.shape().cols()}, 0.0, bytes(x, others...)};
}

// The product of T × E and E × F, in whichever order.
template <typename... Tensors>
Work product_work(int64_t t, int64_t e, int64_t f, const Tensors&... tensors) {
  const double flops = 2.0 * static_cast<double>(t) * static_cast<double>(e) * static_cast<double>(f);
  return {"T,E,F", {t, e, f}, flops, bytes(tensors...)};
}

// Tokens above a segment.
double context(const SegmentTree& tree, const Segment& segment) {
  double tokens = 0.0;
  for (int32_t p = segment.parent; p >= 0; p = tree.segments[p].parent) tokens += tree.segments[p].length;
  return tokens;
}

// Pairs of a query and a key that it sees, for `count` queries from `first` on.
double pairs(const SegmentTree& tree, const Segment& segment, int32_t first, int32_t count) {
  const double n = count;
  const double own = segment.causal ? n * first + n * (n + 1) / 2 : n * segment.length;
  return own + n * context(tree, segment);
}

double pairs(const SegmentTree& tree) {
  double sum = 0.0;
  for (const Segment& segment : tree.segments) sum += pairs(tree, segment, 0, segment.length);
  return sum;
}

double pairs(const SegmentTree& tree, const std::vector<QueryRun>& runs) {
  double sum = 0.0;
  for (const QueryRun& run : runs) sum += pairs(tree, tree.segments[run.segment], run.first, run.count);
  return sum;
}

// `products`: of a vector of a head per pair. Two in the forward pass, five in the backward one, which takes the
// probabilities anew.
template <typename... Tensors>
Work attention_work(double products, double pair_count, const AttentionShape& shape, const Tensor& q,
                    const Tensors&... others) {
  const double flops = 2.0 * products * pair_count * static_cast<double>(shape.query_heads * shape.head_size);
  return {
      "T,H,K,D", {q.shape().rows(), shape.query_heads, shape.kv_heads, shape.head_size}, flops, bytes(q, others...)};
}

class ProfiledBackend final : public Backend {
 public:
  explicit ProfiledBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string name() const override { return inner_->name(); }
  void set_stop(const StopFlag& stop) override { inner_->set_stop(stop); }
  Tensor empty(const Shape& shape, DType dtype) override { return inner_->empty(shape, dtype); }
  Tensor zeros(const Shape& shape, DType dtype) override {
    const Span span("zeros", [&] {
      const double size = static_cast<double>(shape.numel()) * static_cast<double>(dtype_size(dtype));
      return Work{"rows,columns", {shape.rows(), shape.cols()}, 0.0, size};
    });
    return inner_->zeros(shape, dtype);
  }
  void upload(Tensor& to, const void* host) override {
    const Span span("upload", [&] { return rows_work(to); });
    inner_->upload(to, host);
  }
  void download(const Tensor& from, void* host) override {
    const Span span("download", [&] { return rows_work(from); });
    inner_->download(from, host);
  }
  void copy(const Tensor& from, Tensor& to) override {
    const Span span("copy", [&] { return rows_work(from, to); });
    inner_->copy(from, to);
  }
  void fill(Tensor& x, float value) override {
    const Span span("fill", [&] { return rows_work(x); });
    inner_->fill(x, value);
  }
  void convert(const Tensor& from, Tensor& to) override {
    const Span span("convert", [&] { return rows_work(from, to); });
    inner_->convert(from, to);
  }
  Tensor adopt(const HostMemory& memory, const Shape& shape, DType dtype, ProductTypes products) override {
    return inner_->adopt(memory, shape, dtype, products);
  }
  MemoryCounts memory() const override { return inner_->memory(); }
  void reset_memory_peak() override { inner_->reset_memory_peak(); }
  void trim() override { inner_->trim(); }
  bool dry_run() const override { return inner_->dry_run(); }

  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, Tensor& y) override {
    const Span span("linear", [&] {
      return product_work(x.shape().rows(), x.shape().cols(), y.shape().cols(), x, w, bias, residual, y);
    });
    inner_->linear(x, w, bias, residual, y);
  }
  void linear_swiglu(const Tensor& x, const GatedWeights& weights, Tensor& gate, Tensor& up, Tensor& y) override {
    const Span span("linear_swiglu", [&] {
      return product_work(x.shape().rows(), x.shape().cols(), 2 * gate.shape().cols(), x, *weights.gate, *weights.up,
                          weights.gate_bias, weights.up_bias, gate, up, y);
    });
    inner_->linear_swiglu(x, weights, gate, up, y);
  }
  void linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) override {
    const Span span("linear_grad_input", [&] {
      const Tensor* read = write == Write::kAdd ? &dx : nullptr;
      return product_work(dy.shape().rows(), dx.shape().cols(), dy.shape().cols(), dy, w, dx, read);
    });
    inner_->linear_grad_input(dy, w, dx, write);
  }
  void linear_grad_weight(const Tensor& dy, const Tensor& x, Tensor& dw) override {
    const Span span("linear_grad_weight", [&] {
      return product_work(dy.shape().rows(), x.shape().cols(), dy.shape().cols(), dy, x, dw, dw);
    });
    inner_->linear_grad_weight(dy, x, dw);
  }
  void linear_grad_bias(const Tensor& dy, Tensor& db) override {
    const Span span("linear_grad_bias", [&] { return rows_work(dy, db, db); });
    inner_->linear_grad_bias(dy, db);
  }

  void rms_norm(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& inv_rms) override {
    const Span span("rms_norm", [&] { return rows_work(x, weight, y, inv_rms); });
    inner_->rms_norm(x, weight, eps, y, inv_rms);
  }
  void rms_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inv_rms, Tensor& dx,
                     Tensor* dweight) override {
    const Span span("rms_norm_grad", [&] { return rows_work(x, dy, weight, inv_rms, dx, dweight, dweight); });
    inner_->rms_norm_grad(dy, x, weight, inv_rms, dx, dweight);
  }
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& mean,
                  Tensor& inv_std) override {
    const Span span("layer_norm", [&] { return rows_work(x, weight, bias, y, mean, inv_std); });
    inner_->layer_norm(x, weight, bias, eps, y, mean, inv_std);
  }
  void layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                       const Tensor& inv_std, Tensor& dx, Tensor* dweight, Tensor* dbias) override {
    const Span span("layer_norm_grad",
                    [&] { return rows_work(x, dy, weight, mean, inv_std, dx, dweight, dweight, dbias, dbias); });
    inner_->layer_norm_grad(dy, x, weight, mean, inv_std, dx, dweight, dbias);
  }
  void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t head_size, bool inverse,
            Tensor& y) override {
    const Span span("rope", [&] { return rows_work(x, cos, sin, y); });
    inner_->rope(x, cos, sin, head_size, inverse, y);
  }

  void swiglu(const Tensor& gate, const Tensor& up, Tensor& y) override {
    const Span span("swiglu", [&] { return rows_work(gate, up, y); });
    inner_->swiglu(gate, up, y);
  }
  void swiglu_grad(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) override {
    const Span span("swiglu_grad", [&] { return rows_work(gate, dy, up, dgate, dup); });
    inner_->swiglu_grad(dy, gate, up, dgate, dup);
  }
  void gelu(const Tensor& x, GeluKind kind, Tensor& y) override {
    const Span span("gelu", [&] { return rows_work(x, y); });
    inner_->gelu(x, kind, y);
  }
  void gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) override {
    const Span span("gelu_grad", [&] { return rows_work(x, dy, dx); });
    inner_->gelu_grad(dy, x, kind, dx);
  }
  void add(const Tensor& a, const Tensor& b, Tensor& y) override {
    const Span span("add", [&] { return rows_work(a, b, y); });
    inner_->add(a, b, y);
  }
  void scale(const Tensor& x, float factor, Tensor& y) override {
    const Span span("scale", [&] { return rows_work(x, y); });
    inner_->scale(x, factor, y);
  }
  void dropout(const Tensor& x, float p, uint64_t seed, uint64_t stream, Tensor& y) override {
    const Span span("dropout", [&] { return rows_work(x, y); });
    inner_->dropout(x, p, seed, stream, y);
  }

  void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) override {
    const Span span("gather_rows", [&] { return rows_work(y, y, index); });
    inner_->gather_rows(x, index, y);
  }
  void scatter_add_rows(const Tensor& dy, const Tensor& index, Tensor& dx) override {
    const Span span("scatter_add_rows", [&] { return rows_work(dy, dy, dy, index); });
    inner_->scatter_add_rows(dy, index, dx);
  }
  void scatter_rows(const Tensor& x, const Tensor& index, Tensor& y) override {
    const Span span("scatter_rows", [&] { return rows_work(x, x, index); });
    inner_->scatter_rows(x, index, y);
  }
  void zero_rows(const Tensor& index, Tensor& x) override {
    const Span span("zero_rows", [&] {
      const int64_t columns = x.shape().cols();
      const double written = static_cast<double>(index.numel() * columns) * static_cast<double>(dtype_size(x.dtype()));
      return Work{"rows,columns", {index.numel(), columns}, 0.0, bytes(index) + written};
    });
    inner_->zero_rows(index, x);
  }

  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                 const AttentionShape& shape, Tensor& out, Tensor* lse) override {
    const Span span("attention", [&] { return attention_work(2, pairs(tree), shape, q, k, v, out, lse); });
    inner_->attention(q, k, v, tree, shape, out, lse);
  }
  void attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                      const Tensor& lse, const SegmentTree& tree, const AttentionShape& shape, Tensor& dq, Tensor& dk,
                      Tensor& dv) override {
    const Span span("attention_grad",
                    [&] { return attention_work(5, pairs(tree), shape, q, dout, k, v, out, lse, dq, dk, dv); });
    inner_->attention_grad(dout, q, k, v, out, lse, tree, shape, dq, dk, dv);
  }
  std::unique_ptr<KvStore> kv_create(const AttentionShape& shape) override { return inner_->kv_create(shape); }
  void kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) override {
    const Span span("kv_append", [&] { return rows_work(k, k, v, v); });
    inner_->kv_append(store, runs, k, v);
  }
  void kv_release(KvStore& store, int32_t segment) override { inner_->kv_release(store, segment); }
  void kv_truncate(KvStore& store, int32_t segment, int64_t length) override {
    inner_->kv_truncate(store, segment, length);
  }
  // Without the bytes of what is stored, whose layout is the back end's.
  void kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree, const std::vector<QueryRun>& runs,
                    const AttentionShape& shape, Tensor& out) override {
    const Span span("kv_attention", [&] {
      Work work = attention_work(2, pairs(tree, runs), shape, q);
      work.bytes = 0.0;
      return work;
    });
    inner_->kv_attention(q, store, tree, runs, shape, out);
  }

  void token_logp(const Tensor& logits, const Tensor& target, const Temperatures& temperatures, Tensor& lse,
                  Tensor& logp, Tensor* entropy) override {
    const Span span("token_logp", [&] { return rows_work(logits, target, lse, logp, entropy); });
    inner_->token_logp(logits, target, temperatures, lse, logp, entropy);
  }
  void token_logp_grad(const Tensor& target, const Tensor& lse, const Tensor& dlogp, const EntropyGrad* entropy,
                       float temperature, Tensor& logits) override {
    const Span span("token_logp_grad", [&] {
      return entropy ? rows_work(logits, logits, target, lse, dlogp, entropy->entropy, entropy->dentropy)
                     : rows_work(logits, logits, target, lse, dlogp);
    });
    inner_->token_logp_grad(target, lse, dlogp, entropy, temperature, logits);
  }
  void sample(const Tensor& logits, const std::vector<int32_t>& banned, const std::vector<SampleRow>& rows,
              std::vector<Sampled>& out) override {
    const Span span("sample", [&] { return rows_work(logits); });
    inner_->sample(logits, banned, rows, out);
  }

  double sum_squares(const Tensor& x) override {
    const Span span("sum_squares", [&] { return rows_work(x); });
    return inner_->sum_squares(x);
  }
  int64_t adamw(const AdamWStep& step, const AdamWTensors& t) override {
    const Span span("adamw", [&] {
      Work work = rows_work(t.value, t.value, t.grad, t.grad, t.m.values, t.m.values, t.v.values, t.v.values);
      if (t.rounded) work.bytes += bytes_of(t.rounded);
      if (t.m.scales) work.bytes += 2 * bytes(t.m.scales, t.v.scales);
      return work;
    });
    return inner_->adamw(step, t);
  }
  void blend(const Tensor& from, float alpha, Tensor& to) override {
    const Span span("blend", [&] { return rows_work(from, to, to); });
    inner_->blend(from, alpha, to);
  }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace

std::unique_ptr<Backend> make_profiled_backend(std::unique_ptr<Backend> inner) {
  return std::make_unique<ProfiledBackend>(std::move(inner));
}

}  // namespace vlmr1
