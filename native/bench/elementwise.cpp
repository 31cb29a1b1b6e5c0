// Kernels that memory bounds: norms, activations, rotary embedding, the optimizer.
#include <memory>

#include "backend/moment_code.h"
#include "bench/cases.h"

namespace vlmr1::bench {

namespace {

// A kernel over tensors of one shape; `streams` counts how often that much memory is read or written.
struct Kernel {
  std::string name;
  double streams;
  std::function<std::function<void()>(Backend&, const Shape&)> prepare;
};

// Tensors that closures share.
using Tensors = std::shared_ptr<std::vector<Tensor>>;

Tensors make_tensors(Backend& backend, const Shape& shape, int count) {
  auto list = std::make_shared<std::vector<Tensor>>();
  for (int i = 0; i < count; ++i) list->push_back(random_tensor(backend, shape, static_cast<uint64_t>(i)));
  return list;
}

constexpr float kEpsilon = 1e-6f;

std::function<void()> rms_norm(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 2), w = make_tensors(b, {shape[1]}, 1), s = make_tensors(b, {shape[0]}, 1);
  return [&b, x, w, s] { b.rms_norm((*x)[0], (*w)[0], kEpsilon, (*x)[1], (*s)[0]); };
}

std::function<void()> rms_norm_grad(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 3), w = make_tensors(b, {shape[1]}, 2), s = make_tensors(b, {shape[0]}, 1);
  return [&b, x, w, s] { b.rms_norm_grad((*x)[0], (*x)[1], (*w)[0], (*s)[0], (*x)[2], &(*w)[1]); };
}

std::function<void()> layer_norm(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 2), w = make_tensors(b, {shape[1]}, 2), s = make_tensors(b, {shape[0]}, 2);
  return [&b, x, w, s] { b.layer_norm((*x)[0], (*w)[0], (*w)[1], kEpsilon, (*x)[1], (*s)[0], (*s)[1]); };
}

std::function<void()> layer_norm_grad(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 3), w = make_tensors(b, {shape[1]}, 3), s = make_tensors(b, {shape[0]}, 2);
  return [&b, x, w, s] { b.layer_norm_grad((*x)[0], (*x)[1], (*w)[0], (*s)[0], (*s)[1], (*x)[2], &(*w)[1], &(*w)[2]); };
}

// Heads of 64.
std::function<void()> rope(Backend& b, const Shape& shape) {
  const int64_t head = shape[1] % 64 == 0 ? 64 : shape[1];
  const Tensors x = make_tensors(b, shape, 2), angles = make_tensors(b, {shape[0], head / 2}, 2);
  return [&b, x, angles, head] { b.rope((*x)[0], (*angles)[0], (*angles)[1], head, false, (*x)[1]); };
}

std::function<void()> swiglu(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 3);
  return [&b, x] { b.swiglu((*x)[0], (*x)[1], (*x)[2]); };
}

std::function<void()> swiglu_grad(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 5);
  return [&b, x] { b.swiglu_grad((*x)[0], (*x)[1], (*x)[2], (*x)[3], (*x)[4]); };
}

template <GeluKind kKind>
std::function<void()> gelu(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 2);
  return [&b, x] { b.gelu((*x)[0], kKind, (*x)[1]); };
}

template <GeluKind kKind>
std::function<void()> gelu_grad(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 3);
  return [&b, x] { b.gelu_grad((*x)[0], (*x)[1], kKind, (*x)[2]); };
}

std::function<void()> add(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 3);
  return [&b, x] { b.add((*x)[0], (*x)[1], (*x)[2]); };
}

Moment zero_moment(Backend& b, const Shape& shape, bool coded) {
  if (!coded) return {b.zeros(shape), {}};
  return {b.zeros(shape, DType::kU8), b.zeros({(shape.numel() + kMomentBlock - 1) / kMomentBlock})};
}

// `kValue`: the weight's type; `kCoded`: moments of one byte.
template <DType kValue, bool kCoded>
std::function<void()> adamw(Backend& b, const Shape& shape) {
  AdamWTensors t;
  t.grad = random_tensor(b, shape, 0);
  t.value = random_tensor(b, shape, 1);
  if (kValue == DType::kBF16) {
    const Tensor wide = t.value;
    t.value = b.empty(shape, DType::kBF16);
    b.convert(wide, t.value);
  }
  t.m = zero_moment(b, shape, kCoded);
  t.v = zero_moment(b, shape, kCoded);
  // The gradient is zero after the first call: with these moments nothing decays into subnormal numbers.
  const AdamWStep step{1e-6f, 1.0f, 1.0f, 1e-8f, 0.01f, 0.1f, 0.001f, 1.0f};
  return [&b, t, step] { b.adamw(step, t); };
}

std::function<void()> sum_squares(Backend& b, const Shape& shape) {
  const Tensors x = make_tensors(b, shape, 1);
  return [&b, x] { b.sum_squares((*x)[0]); };
}

const std::vector<Kernel> kNorms{
    {"rms_norm", 2, rms_norm},
    {"rms_norm_grad", 3, rms_norm_grad},
    {"layer_norm", 2, layer_norm},
    {"layer_norm_grad", 3, layer_norm_grad},
    {"rope", 2, rope},
    {"add", 3, add},
};

const std::vector<Kernel> kActivations{
    {"swiglu", 3, swiglu},
    {"swiglu_grad", 5, swiglu_grad},
    {"gelu exact", 2, gelu<GeluKind::kExact>},
    {"gelu_grad exact", 3, gelu_grad<GeluKind::kExact>},
    {"gelu quick", 2, gelu<GeluKind::kQuick>},
    {"gelu_grad quick", 3, gelu_grad<GeluKind::kQuick>},
};

// Weight and two moments are read and written, the gradient is read and zeroed. A stream has four bytes an element.
const std::vector<Kernel> kOptimizer{{"adamw", 8, adamw<DType::kF32, false>},
                                     {"adamw int8 moments", 5, adamw<DType::kF32, true>},
                                     {"adamw bf16 stochastic", 7, adamw<DType::kBF16, false>},
                                     {"adamw bf16 stochastic, int8 moments", 4, adamw<DType::kBF16, true>},
                                     {"sum_squares", 1, sum_squares}};

void add_cases(std::vector<Case>& cases, const std::string& group, const std::vector<Kernel>& kernels,
               const std::vector<Shape>& shapes, bool all_standard) {
  for (const Kernel& kernel : kernels)
    for (size_t i = 0; i < shapes.size(); ++i) {
      const Shape& shape = shapes[i];
      std::string name = kernel.name + " " + std::to_string(shape[0]);
      if (shape.rank() > 1) name += "x" + std::to_string(shape[1]);
      cases.push_back({group, name, all_standard || i + 1 == shapes.size(), [kernel, shape](Backend& backend) {
                         Work work;
                         work.bytes = kernel.streams * 4.0 * static_cast<double>(shape.numel());
                         work.contestants.push_back({"own", kernel.prepare(backend, shape)});
                         return work;
                       }});
    }
}

}  // namespace

std::vector<Case> elementwise_cases(const Sizes& sizes) {
  std::vector<Case> cases;
  if (sizes.quick) {
    add_cases(cases, "norm", kNorms, {{4, 24}}, true);
    add_cases(cases, "activation", kActivations, {{4, 24}}, true);
    add_cases(cases, "optimizer", kOptimizer, {{1000}}, true);
    return cases;
  }
  // Widths of bench-10m, of a 3B vision tower and of a 3B decoder; the last is measured when nothing is chosen.
  add_cases(cases, "norm", kNorms, {{1218, 256}, {1218, 1280}, {1218, 2048}}, false);
  add_cases(cases, "activation", kActivations, {{1218, 768}, {1218, 3420}, {1218, 11008}}, false);
  add_cases(cases, "optimizer", kOptimizer, {{1 << 20}, {10 << 20}}, false);
  return cases;
}

}  // namespace vlmr1::bench
