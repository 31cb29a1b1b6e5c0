// Linear layers and their two gradients at the shapes of the presets, beside the libraries that were found.
#include <algorithm>
#include <cmath>
#include <memory>

#include "bench/cases.h"
#include "bench/libraries/library.h"

namespace vlmr1::bench {

namespace {

struct Layer {
  std::string name;
  int64_t out, in;
  bool standard;
};

// Attention's and the feed-forward layer's matrices; `vision` is the picture tower's.
const std::vector<Layer> kLayers{
    {"bench-10m attention", 256, 256, false}, {"bench-10m up", 768, 256, true},
    {"bench-10m down", 256, 768, false},      {"bench-10m head", 1351, 256, false},  // the food example's vocabulary
    {"bench-10m vision up", 480, 160, false}, {"bench-80m attention", 640, 640, false},
    {"bench-80m up", 1920, 640, true},        {"bench-80m down", 640, 1920, false},
    {"bench-80m head", 1351, 640, false},     {"bench-80m vision up", 960, 320, false},
    {"3b attention", 2048, 2048, false},      {"3b up", 11008, 2048, true},
    {"3b down", 2048, 11008, false},          {"3b vision qkv", 3840, 1280, false},
    {"3b vision up", 3420, 1280, true},       {"3b vision down", 1280, 3420, false},
};

const char* layout_name(Layout layout) {
  switch (layout) {
    case Layout::kLinear: return "linear";
    case Layout::kGradInput: return "linear_grad_input";
    case Layout::kGradWeight: return "linear_grad_weight";
  }
  return "";
}

// Up to so many rows a product is decoding's: each layer's weights are read once and come from memory.
constexpr int64_t kDecodingRows = 32;
constexpr double kMostCopiedBytes = 768e6;

int copies_of(int64_t tokens, double weight_bytes, const Sizes& sizes) {
  if (sizes.quick || tokens > kDecodingRows) return 1;
  const double wanted = 2.0 * sizes.last_level_cache / weight_bytes;
  return std::max(2, static_cast<int>(std::min(wanted, kMostCopiedBytes / weight_bytes)) + 1);
}

// Everything that a product reads and writes.
struct Operands {
  Tensor left;
  std::vector<Tensor> right;  // several copies of a weight, or one x
  Tensor to;
  Tensor answer;  // `to` after the first call
};

// What lies in the result before: products into a weight's gradient are added to it.
Tensor result_of(Backend& backend, const Product& p) {
  if (p.layout == Layout::kGradWeight) {
    Tensor gradient = random_tensor(backend, {p.out, p.in}, 3);
    if (p.bf16) gradient.storage()->products = {DType::kBF16, DType::kBF16};
    return gradient;
  }
  return backend.zeros({p.tokens, p.layout == Layout::kLinear ? p.out : p.in});
}

Operands make_operands(Backend& backend, const Product& p, int copies) {
  Operands o;
  o.left = random_tensor(backend, {p.tokens, p.layout == Layout::kLinear ? p.in : p.out}, 1);
  o.to = result_of(backend, p);
  if (p.layout == Layout::kGradWeight) o.right.push_back(random_tensor(backend, {p.tokens, p.in}, 2));
  else
    for (int i = 0; i < copies; ++i) o.right.push_back(random_weight(backend, {p.out, p.in}, 2, p.bf16));
  return o;
}

std::function<void()> own(Backend& backend, Layout layout, const std::shared_ptr<Operands>& o) {
  const auto next = std::make_shared<size_t>(0);
  return [&backend, layout, o, next] {
    const Tensor& right = o->right[(*next)++ % o->right.size()];
    switch (layout) {
      case Layout::kLinear: return backend.linear(o->left, right, nullptr, nullptr, o->to);
      case Layout::kGradInput: return backend.linear_grad_input(o->left, right, o->to, Write::kSet);
      case Layout::kGradWeight: return backend.linear_grad_weight(o->left, right, o->to);
    }
  };
}

// Both sides of a comparison must do the same work.
void expect_same(const Tensor& got, const Tensor& expected, const Product& p, const std::string& library) {
  const float *a = got.data<float>(), *b = expected.data<float>();
  float difference = 0.0f, largest = 0.0f;
  for (int64_t i = 0; i < got.numel(); ++i) {
    difference = std::max(difference, std::fabs(a[i] - b[i]));
    largest = std::max(largest, std::fabs(b[i]));
  }
  check(difference <= 1e-3f * largest, ErrorCode::kState, layout_name(p.layout), " ", p.tokens, "x", p.out, "x", p.in,
        ": ", library, " answers something else; build the benchmark without it");
}

// The library's calls, one copy of the weight after the other; empty where it has no such product.
std::function<void()> of_library(Backend& backend, const Library& library, Product p,
                                 const std::shared_ptr<Operands>& o) {
  const Tensor to = result_of(backend, p);
  p.left = o->left.data<float>();
  p.to = to.data<float>();
  std::vector<std::function<void()>> calls;
  std::vector<Tensor> wide;  // libraries are handed f32
  for (const Tensor& right : o->right) {
    wide.push_back(backend.empty(right.shape()));
    backend.convert(right, wide.back());
    p.right = wide.back().data<float>();
    calls.push_back(library.prepare(p));
    if (!calls.back()) return {};
  }
  calls.front()();
  expect_same(to, o->answer, p, library.name);
  const auto next = std::make_shared<size_t>(0);
  return [calls, next, o, to, wide] { calls[(*next)++ % calls.size()](); };
}

Work make_work(Backend& backend, const Product& p, const Sizes& sizes) {
  const double weight_bytes = static_cast<double>(p.out * p.in) * (p.bf16 ? 2 : 4);
  const auto copies = copies_of(p.tokens, weight_bytes, sizes);
  const auto operands = std::make_shared<Operands>(make_operands(backend, p, copies));
  const auto call = own(backend, p.layout, operands);
  call();
  operands->answer = backend.empty(operands->to.shape());
  backend.copy(operands->to, operands->answer);
  Work work;
  work.bf16 = p.bf16;
  work.from_dram = copies > 1;
  work.flops = 2.0 * static_cast<double>(p.tokens * p.out * p.in);
  // A weight's gradient is f32, read and written.
  work.bytes = 4.0 * static_cast<double>(p.tokens * (p.out + p.in)) +
               (p.layout == Layout::kGradWeight ? 8.0 * static_cast<double>(p.out * p.in) : weight_bytes);
  work.contestants.push_back({"own", call, copies});
  for (const Library& library : libraries())
    if (const auto other = of_library(backend, library, p, operands))
      work.contestants.push_back({library.name, other, copies});
  return work;
}

// The first product after a step of the optimizer: what the back end keeps of the weight is made anew.
Work make_updated(Backend& backend, const Layer& layer, bool bf16) {
  const Tensor x = random_tensor(backend, {1, layer.in}, 1), w = random_weight(backend, {layer.out, layer.in}, 2, bf16);
  Tensor y = backend.empty({1, layer.out});
  Work work;
  work.bf16 = bf16;
  work.flops = 2.0 * static_cast<double>(w.numel());
  work.bytes = static_cast<double>(w.numel()) * (4 + (bf16 ? 2 : 4));
  work.contestants.push_back({"own", [&backend, x, w, y]() mutable {
                                ++w.storage()->version;
                                backend.linear(x, w, nullptr, nullptr, y);
                              }});
  return work;
}

Case make_case(const Layer& layer, const Product& p, bool standard, const Sizes& sizes) {
  const std::string shape = std::to_string(p.tokens) + "x" + std::to_string(p.out) + "x" + std::to_string(p.in);
  const std::string name =
      std::string(layout_name(p.layout)) + " " + precision_name(p.bf16) + " " + layer.name + " " + shape;
  return {"gemm", name, standard, [p, sizes](Backend& backend) { return make_work(backend, p, sizes); }};
}

}  // namespace

std::vector<Case> gemm_cases(const Sizes& sizes) {
  const std::vector<int64_t> tokens =
      sizes.quick ? std::vector<int64_t>{1, 33} : std::vector<int64_t>{1, 4, 8, 16, 32, 97, 300, 1024, 1218};
  const auto layers = sizes.quick ? std::vector<Layer>{{"quick", 48, 40, true}} : kLayers;
  std::vector<Case> cases;
  for (const bool bf16 : {false, true}) {
    for (const Layer& layer : layers)
      cases.push_back({"gemm",
                       std::string("linear after update ") + precision_name(bf16) + " " + layer.name + " 1x" +
                           std::to_string(layer.out) + "x" + std::to_string(layer.in),
                       layer.standard, [layer, bf16](Backend& backend) { return make_updated(backend, layer, bf16); }});
    for (const Layout layout : {Layout::kLinear, Layout::kGradInput, Layout::kGradWeight})
      for (const Layer& layer : layers)
        for (const int64_t t : tokens) {
          if (layout != Layout::kLinear && t <= kDecodingRows) continue;  // nothing is trained on so little
          const bool typical = t == 1218 || (layout == Layout::kLinear && (t == 1 || t == 16 || t == 300));
          cases.push_back(make_case(layer, {layout, t, layer.out, layer.in, bf16},
                                    layer.standard && (typical || sizes.quick), sizes));
        }
  }
  return cases;
}

}  // namespace vlmr1::bench
