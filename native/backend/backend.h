// The one contract that a device fulfils.
//
// Every kernel states shapes and whether it writes `=` or `+=`. Tensors are contiguous. Shape letters: T packed tokens,
// S segments, H query heads, K key/value heads, D head size, E in-features, F out-features, V vocabulary, N rows.
// All kernels are deterministic: the order of summation does not depend on threads, tiles or what else is in the batch.
// Linear layers and attention give every output row the same bits whether it is computed alone (decoding) or with
// others (training): that is what makes rollout and training agree exactly.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/gelu_kind.h"
#include "core/memory_use.h"
#include "core/segments.h"
#include "core/stop.h"
#include "core/tensor.h"

namespace vlmr1 {

enum class Write { kSet, kAdd };  // = or +=

// Keys and values of one attention layer in the back end's own layout, grown token by token.
class KvStore {
 public:
  virtual ~KvStore() = default;
};

struct AttentionShape {
  int64_t query_heads = 0;
  int64_t kv_heads = 0;
  int64_t head_size = 0;
  float scale = 1.0f;
  DType products = DType::kF32;  // f32 or bf16: what q, k, v, probabilities and gradients are rounded to for products
};

// Two weights of one shape, and their biases or null.
struct GatedWeights {
  const Tensor *gate = nullptr, *up = nullptr, *gate_bias = nullptr, *up_bias = nullptr;
};

// Memory on the host that somebody keeps and nobody writes, such as a mapped file.
struct HostMemory {
  const void* data = nullptr;
  size_t bytes = 0;
  std::shared_ptr<const void> owner;
  std::function<void(const void* data, size_t bytes)> discard;  // see Storage
};

// One query run against a KvStore: `count` new tokens of `segment`, whose keys were appended before.
struct QueryRun {
  int32_t segment = 0;
  int32_t first = 0;  // index of the first query token inside the segment
  int32_t count = 0;
};

struct SampleOptions {
  float temperature = 1.0f;         // 0: greedy
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // 1: off
};

struct SampleRow {
  SampleOptions options;
  double uniform = 0.0;           // in [0, 1)
  const int32_t* seen = nullptr;  // prompt and completion so far, for the repetition penalty
  int64_t seen_count = 0;
};

struct Sampled {
  int32_t token = 0;
  float logp = 0.0f;  // of the distribution that was sampled from
};

// Of the rows of a softmax: one for all, or one each, in the host's memory.
class Temperatures {
 public:
  Temperatures(float all) : all_(all) {}                      // NOLINT: a number says it
  Temperatures(std::span<const float> each) : each_(each) {}  // NOLINT
  float operator[](int64_t row) const { return each_.empty() ? all_ : each_[static_cast<size_t>(row)]; }

 private:
  float all_ = 1.0f;
  std::span<const float> each_;
};

// Of Σ dentropy · entropy over rows, beside what flows through their log-probabilities.
struct EntropyGrad {
  Tensor entropy;   // [N]
  Tensor dentropy;  // [N]
};

struct AdamWStep {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float bias_correction1, bias_correction2;  // 1 − βᵗ
  float grad_scale;                          // from clipping
  // Of stochastic rounding: element i of a parameter draws by (seed, update, first_element + i).
  uint64_t seed = 0, update = 0;
};

// A moment of n elements: f32, or u8 codes (backend/moment_code.h) with a scale per block of them.
struct Moment {
  Tensor values;  // [n]
  Tensor scales;  // f32 [⌈n / kMomentBlock⌉], or empty
};

// What one step reads and writes of a parameter of n elements.
struct AdamWTensors {
  Tensor grad;                 // f32
  Tensor value;                // f32; or bf16, which the new value is rounded to up or down at random
  Tensor rounded;              // of an f32 value: bf16, = the value rounded to nearest; or empty
  Moment m, v;                 // both f32, or both codes
  uint64_t first_element = 0;  // of stochastic rounding; a multiple of 4
};

struct MemoryCounts {
  size_t used = 0;     // bytes that were asked for and not given back, now
  size_t peak = 0;     // and at most
  size_t held = 0;     // of the device's memory, what is kept for reuse too
  MemoryUse peak_use;  // by kind, at the moment of the peak
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  // Kernels end early with ERR_ABORTED when the flag is set. Only one caller at a time uses a back end.
  virtual void set_stop(const StopFlag& stop) = 0;

  // -- Memory. `empty` is uninitialised; freed blocks are kept for reuse until `trim`.
  virtual Tensor empty(const Shape& shape, DType dtype = DType::kF32) = 0;
  virtual Tensor zeros(const Shape& shape, DType dtype = DType::kF32) = 0;
  virtual void upload(Tensor& to, const void* host) = 0;      // to = host
  virtual void download(const Tensor& from, void* host) = 0;  // host = from
  virtual void copy(const Tensor& from, Tensor& to) = 0;      // to = from
  virtual void fill(Tensor& x, float value) = 0;              // x = value
  virtual void convert(const Tensor& from, Tensor& to) = 0;   // to = from, of another floating-point type
  // A parameter that is only read, of what `memory` holds; gather_rows reads it as products do.
  virtual Tensor adopt(const HostMemory& memory, const Shape& shape, DType dtype, ProductTypes products) = 0;
  virtual MemoryCounts memory() const = 0;  // from any thread
  virtual void reset_memory_peak() = 0;
  virtual void trim() = 0;
  // Whether this is a dry run: memory is counted and not used, copies and kernels do nothing, sums are 0, `sample`
  // draws a token that is not banned.
  virtual bool dry_run() const = 0;
  size_t memory_used() const { return memory().used; }

  // -- Linear. x [T, E], w [F, E], y [T, F], bias [F]. w is f32, or a parameter of any floating-point type; the others
  // and all sums are f32. ProductTypes of w, or of dw, say what both operands of a product are rounded to.
  virtual void linear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual,
                      Tensor& y) = 0;  // y = x·wᵀ + bias + residual
  // gate = x·w_gateᵀ + bias, up = x·w_upᵀ + bias, y = silu(gate) · up.
  virtual void linear_swiglu(const Tensor& x, const GatedWeights& weights, Tensor& gate, Tensor& up, Tensor& y) = 0;
  virtual void linear_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Write write) = 0;  // dx (=, +=) dy·w
  virtual void linear_grad_weight(const Tensor& dy, const Tensor& x, Tensor& dw) = 0;              // dw += dyᵀ·x
  virtual void linear_grad_bias(const Tensor& dy, Tensor& db) = 0;                                 // db += Σ_T dy

  // -- Norms. x, y [T, E], weight [E], inv_rms [T]. y = x · inv_rms · weight.
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& inv_rms) = 0;
  // dx =; dweight += (null when frozen).
  virtual void rms_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inv_rms, Tensor& dx,
                             Tensor* dweight) = 0;
  // weight, bias [E], mean, inv_std [T]. y = (x − mean) · inv_std · weight + bias.
  virtual void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y, Tensor& mean,
                          Tensor& inv_std) = 0;
  // dx =; dweight, dbias += (null when frozen).
  virtual void layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& inv_std, Tensor& dx, Tensor* dweight, Tensor* dbias) = 0;

  // -- Rotary embedding. x [T, heads·D], cos and sin [T, D/2]; pairs (i, i + D/2). y = rotation of x; `inverse` turns
  // back.
  virtual void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t head_size, bool inverse,
                    Tensor& y) = 0;

  // -- Elementwise.
  virtual void swiglu(const Tensor& gate, const Tensor& up, Tensor& y) = 0;  // y = silu(gate) · up
  virtual void swiglu_grad(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) = 0;
  virtual void gelu(const Tensor& x, GeluKind kind, Tensor& y) = 0;
  virtual void gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) = 0;
  virtual void add(const Tensor& a, const Tensor& b, Tensor& y) = 0;  // y = a + b; y may be a
  virtual void scale(const Tensor& x, float factor, Tensor& y) = 0;   // y = factor · x; y may be x
  // y[i] = x[i] / (1 − p) where random_uniform(seed, stream, i, 0) ≥ p, otherwise 0. Its own gradient.
  virtual void dropout(const Tensor& x, float p, uint64_t seed, uint64_t stream, Tensor& y) = 0;

  // -- Rows. index [N] i32.
  virtual void gather_rows(const Tensor& x, const Tensor& index,
                           Tensor& y) = 0;  // y[n] = x[index[n]]; also the embedding, whose x is of any float type
  virtual void scatter_add_rows(const Tensor& dy, const Tensor& index,
                                Tensor& dx) = 0;                                   // dx[index[n]] += dy[n], n ascending
  virtual void scatter_rows(const Tensor& x, const Tensor& index, Tensor& y) = 0;  // y[index[n]] = x[n]; indices differ
  virtual void zero_rows(const Tensor& index, Tensor& x) = 0;                      // x[index[n]] = 0

  // -- Attention over a segment tree. q [T, H·D], k and v [T, K·D], out [T, H·D], lse [T, H].
  virtual void attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                         const AttentionShape& shape, Tensor& out, Tensor* lse) = 0;
  virtual void attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                              const Tensor& lse, const SegmentTree& tree, const AttentionShape& shape, Tensor& dq,
                              Tensor& dk, Tensor& dv) = 0;
  // The same attention with the tree kept between calls. Segment lengths in `tree` are those after `append`. Places of
  // released segments are given to new ones: a parent may have a higher index than its children, and empty places are
  // among the others.
  virtual std::unique_ptr<KvStore> kv_create(const AttentionShape& shape) = 0;
  // k, v [N, K·D]: the tokens of `runs`, one run after the other.
  virtual void kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) = 0;
  virtual void kv_release(KvStore& store, int32_t segment) = 0;
  // Forgets the tokens of a segment from `length` on, where there are any.
  virtual void kv_truncate(KvStore& store, int32_t segment, int64_t length) = 0;
  virtual void kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree, const std::vector<QueryRun>& runs,
                            const AttentionShape& shape, Tensor& out) = 0;

  // -- Token log-probability. logits [N, V], target [N] i32; of softmax(logits / temperature): lse, logp, entropy [N].
  virtual void token_logp(const Tensor& logits, const Tensor& target, const Temperatures& temperatures, Tensor& lse,
                          Tensor& logp, Tensor* entropy) = 0;
  // logits = d/dlogits of Σ dlogp·logp, in place; with `entropy`, which may be null, of Σ dlogp·logp +
  // dentropy·entropy.
  virtual void token_logp_grad(const Tensor& target, const Tensor& lse, const Tensor& dlogp, const EntropyGrad* entropy,
                               float temperature, Tensor& logits) = 0;

  // One token per row of logits [N, V] with that row's options, by inversion of the cumulative distribution; none of
  // `banned`, and -1 where nothing is left. Order of the filters as in transformers: repetition penalty, ban,
  // temperature, top-k, top-p, min-p. `rows` has N.
  virtual void sample(const Tensor& logits, const std::vector<int32_t>& banned, const std::vector<SampleRow>& rows,
                      std::vector<Sampled>& out) = 0;

  // -- Optimizer, over flat arrays.
  // Σ x² in double, by fixed blocks; NaN or infinity come through.
  virtual double sum_squares(const Tensor& x) = 0;
  // One step of value, m and v by grad, in one pass over memory; grad = 0. An element whose new value, or a new moment,
  // would be infinite or NaN keeps value and moments; how many these are. With a learning rate of 0 only moments
  // change.
  virtual int64_t adamw(const AdamWStep& step, const AdamWTensors& tensors) = 0;
  // to = alpha · from + (1 − alpha) · to, computed in f32; with alpha 1, to = from. `to` is f32 or bf16 (rounded to
  // nearest), `from` of any floating-point type.
  virtual void blend(const Tensor& from, float alpha, Tensor& to) = 0;
};

// While it lives, kernels of the model's back end end early when the flag is set.
class StopScope {
 public:
  StopScope(Backend& backend, const StopFlag& stop) : backend_(backend) { backend_.set_stop(stop); }
  ~StopScope() { backend_.set_stop(StopFlag()); }
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  Backend& backend_;
};

struct CpuOptions {
  int threads = 0;       // 0: one per core
  std::string isa;       // empty: the best this CPU runs
  bool dry_run = false;  // see Backend::dry_run
};
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

struct CudaStatus {
  bool available = false;
  std::string reason;
};
CudaStatus cuda_status();
std::unique_ptr<Backend> make_cuda_backend();  // throws ERR_DEVICE with the reason

struct CpuIsaInfo {
  std::vector<std::string> compiled, supported;
  std::string selected;
  int logical_cores = 0;
};
CpuIsaInfo cpu_isa_info();

}  // namespace vlmr1
