// Our half of the comparison with torch (scripts/bench/torch): a decoder layer, attention, and kernels that go over
// rows or flat arrays. Every line on stdin names a case; one repetition of it is made and one line of JSON answers.
// Usage: vlmr1_native_layer_bench [threads]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "bench/torch/inputs.h"
#include "io/json.h"
#include "models/qwen_vl/decoder.h"
#include "models/qwen_vl/positions.h"
#include "models/qwen_vl/specs.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/norm.h"

namespace vlmr1::bench {

namespace {

constexpr float kEps = 1e-6f;
constexpr uint32_t kSeedGradient = 1000;

// Seconds of the phases of a repetition, and the norms of what came out: both halves must say the same of them.
struct Repetition {
  std::vector<std::pair<std::string, double>> seconds;
  std::vector<double> norms;
};
using Case = std::function<Repetition()>;

double timed(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double norm_of(Backend& backend, const Tensor& x) { return std::sqrt(backend.sum_squares(x)); }

Variable fresh_leaf(const Tensor& x) { return Variable(x, std::make_shared<GradSlot>()); }

using Body = std::function<Variable(Graph&, const std::vector<Variable>&)>;

// Forward and backward of something that the tape records, from inputs that all need a gradient.
Case recorded(Backend& backend, std::vector<Tensor> inputs, Body body, std::function<void()> before = {}) {
  return [&backend, inputs = std::move(inputs), body = std::move(body), before = std::move(before)] {
    if (before) before();
    Graph graph(backend, true);
    std::vector<Variable> leaves;
    for (const Tensor& x : inputs) leaves.push_back(fresh_leaf(x));
    Variable out;
    const double forward = timed([&] { out = body(graph, leaves); });
    Repetition result;
    result.norms.push_back(norm_of(backend, out.value()));
    Tensor gradient = random_tensor(backend, kSeedGradient, out.shape(), 1.0f);
    const double backward = timed([&] { graph.backward(out, std::move(gradient)); });
    for (const Variable& leaf : leaves) result.norms.push_back(norm_of(backend, leaf.slot()->grad));
    result.seconds = {{"forward", forward}, {"backward", backward}};
    return result;
  };
}

std::shared_ptr<const SegmentTree> one_sequence(int64_t tokens) {
  SegmentTree tree{{{0, static_cast<int32_t>(tokens), -1, true}}, static_cast<int32_t>(tokens)};
  tree.validate();
  return std::make_shared<const SegmentTree>(std::move(tree));
}

bool wants_bf16(const Json& spec) {
  const std::string& precision = spec.at("precision").as_string();
  check(precision == "f32" || precision == "bf16", ErrorCode::kArgument, "precision: expected f32 or bf16, got ",
        precision);
  return precision == "bf16";
}

// -- A decoder layer of Qwen2.5-VL with everything trained.

struct Layer {
  qwen_vl::TextConfig config;
  std::unique_ptr<ParameterStore> parameters;
  std::unique_ptr<qwen_vl::Decoder> decoder;
  ops::RopeTable rope;
};

qwen_vl::TextConfig layer_config(const Json& spec) {
  qwen_vl::TextConfig c{};
  c.vocab_size = 1;
  c.layers = 1;
  c.hidden_size = spec.at("width").as_int();
  c.heads = spec.at("heads").as_int();
  c.kv_heads = spec.at("kvHeads").as_int();
  c.head_size = c.hidden_size / c.heads;
  c.intermediate_size = spec.at("inner").as_int();
  c.max_positions = spec.at("tokens").as_int();
  c.rms_eps = kEps;
  c.rope_theta = 1e6;
  const int64_t half = c.head_size / 2;
  c.mrope_section = {half - 2 * (half * 3 / 8), half * 3 / 8, half * 3 / 8};
  c.tied = true;
  return c;
}

// Matrices and biases around 0, norm weights around 1; the seed of each is its place in the layer.
void fill_parameters(Backend& backend, ParameterStore& parameters) {
  uint32_t seed = 0;
  for (Parameter& p : parameters.all()) {
    if (!p.name.starts_with("model.layers.0.")) continue;
    const float offset = p.name.ends_with("layernorm.weight") ? 1.0f : 0.0f;
    std::vector<float> values = random_values(++seed, p.shape.numel(), 0.0625f, offset);
    backend.upload(p.master, values.data());
  }
  parameters.refresh(backend);
}

Case layer_case(Backend& backend, const Json& spec) {
  auto layer = std::make_shared<Layer>();
  layer->config = layer_config(spec);
  qwen_vl::SpecList list;
  qwen_vl::add_decoder(list, layer->config);
  TrainingPlan plan;
  plan.mode = TrainMode::kFull;
  plan.precision = wants_bf16(spec) ? Precision::kBF16 : Precision::kF32;
  layer->parameters = std::make_unique<ParameterStore>(backend, list.all(), plan);
  fill_parameters(backend, *layer->parameters);
  layer->decoder = std::make_unique<qwen_vl::Decoder>(layer->config, *layer->parameters, false);
  const int64_t tokens = spec.at("tokens").as_int();
  std::vector<int32_t> positions(static_cast<size_t>(tokens));
  for (int64_t i = 0; i < tokens; ++i) positions[i] = static_cast<int32_t>(i);
  layer->rope = qwen_vl::text_rope(backend, layer->config, {positions, positions, positions});

  auto attention = std::make_shared<TreeAttention>(one_sequence(tokens));
  const Body body = [layer, attention](Graph& graph, const std::vector<Variable>& in) {
    return layer->decoder->layers(graph, in[0], layer->rope, *attention);
  };
  // As after an update: copies of the weights that the back end keeps in another layout are made again.
  std::function<void()> before;
  if (spec.bool_or("fresh", false)) before = [layer, &backend] { layer->parameters->refresh(backend); };
  return recorded(backend, {random_tensor(backend, 0, {tokens, layer->config.hidden_size}, 2.0f)}, body, before);
}

// -- Kernels.

Case attention_case(Backend& backend, const Json& spec) {
  const int64_t tokens = spec.at("tokens").as_int();
  const int64_t size = spec.at("headSize").as_int();
  AttentionShape shape{spec.at("heads").as_int(), spec.at("kvHeads").as_int(), size,
                       1.0f / std::sqrt(static_cast<float>(size)), wants_bf16(spec) ? DType::kBF16 : DType::kF32};
  std::vector<Tensor> inputs;
  for (const int64_t heads : {shape.query_heads, shape.kv_heads, shape.kv_heads})
    inputs.push_back(random_tensor(backend, static_cast<uint32_t>(inputs.size()) + 1, {tokens, heads * size}, 2.0f));
  const auto tree = one_sequence(tokens);
  return recorded(backend, inputs, [tree, shape](Graph& graph, const std::vector<Variable>& in) {
    return ops::attention(graph, in[0], in[1], in[2], tree, shape);
  });
}

Case norm_case(Backend& backend, const Json& spec) {
  const int64_t width = spec.at("width").as_int();
  std::vector<Tensor> inputs{random_tensor(backend, 1, {spec.at("tokens").as_int(), width}, 2.0f),
                             random_tensor(backend, 2, {width}, 0.0625f, 1.0f)};
  // A parameter's slot holds its gradient from the start.
  Tensor gradient = backend.empty({width});
  return recorded(
      backend, inputs,
      [&backend, gradient](Graph& graph, const std::vector<Variable>& in) {
        in[1].slot()->grad = gradient;
        return ops::rms_norm(graph, in[0], in[1], kEps);
      },
      [&backend, gradient]() mutable { backend.fill(gradient, 0.0f); });
}

Case swiglu_case(Backend& backend, const Json& spec) {
  const Shape shape{spec.at("tokens").as_int(), spec.at("width").as_int()};
  return recorded(backend, {random_tensor(backend, 1, shape, 4.0f), random_tensor(backend, 2, shape, 4.0f)},
                  [](Graph& graph, const std::vector<Variable>& in) { return ops::swiglu(graph, in[0], in[1]); });
}

// The gradient replaces the logits, so that they are put back before each repetition.
Case logprob_case(Backend& backend, const Json& spec) {
  const int64_t rows = spec.at("rows").as_int();
  const int64_t vocab = spec.at("vocab").as_int();
  const Tensor kept = random_tensor(backend, 1, {rows, vocab}, 8.0f);
  std::vector<int32_t> chosen(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) chosen[i] = static_cast<int32_t>(i * 7919 % vocab);
  Tensor target = backend.empty({rows}, DType::kI32);
  backend.upload(target, chosen.data());
  const Tensor gradient = random_tensor(backend, kSeedGradient, {rows}, 1.0f);
  return [&backend, kept, target, gradient, rows, logits = backend.empty({rows, vocab})]() mutable {
    backend.copy(kept, logits);
    Tensor lse = backend.empty({rows});
    Tensor logp = backend.empty({rows});
    const double forward = timed([&] { backend.token_logp(logits, target, 1.0f, lse, logp, nullptr); });
    const double backward = timed([&] { backend.token_logp_grad(target, lse, gradient, nullptr, 1.0f, logits); });
    return Repetition{{{"forward", forward}, {"backward", backward}},
                      {norm_of(backend, logp), norm_of(backend, logits)}};
  };
}

Case adamw_case(Backend& backend, const Json& spec) {
  const Shape shape{spec.at("elements").as_int()};
  Tensor value = random_tensor(backend, 1, shape, 1.0f);
  const Tensor kept = random_tensor(backend, 2, shape, 1.0f);
  return [&backend, value, kept, gradient = backend.empty(shape), m = backend.zeros(shape), v = backend.zeros(shape),
          t = 0]() mutable {
    ++t;
    backend.copy(kept, gradient);  // the update leaves zeros
    const float correction1 = static_cast<float>(1.0 - std::pow(0.9, t));
    const float correction2 = static_cast<float>(1.0 - std::pow(0.999, t));
    const AdamWStep step{1e-3f, 0.9f, 0.999f, 1e-8f, 0.0f, correction1, correction2, 1.0f};
    const double seconds = timed([&] { backend.adamw(step, {gradient, value, {}, {m, {}}, {v, {}}}); });
    return Repetition{{{"update", seconds}}, {norm_of(backend, value)}};
  };
}

Case make_case(Backend& backend, const Json& spec) {
  const std::string& kind = spec.at("kind").as_string();
  if (kind == "layer") return layer_case(backend, spec);
  if (kind == "attention") return attention_case(backend, spec);
  if (kind == "rms_norm") return norm_case(backend, spec);
  if (kind == "swiglu") return swiglu_case(backend, spec);
  if (kind == "logprob") return logprob_case(backend, spec);
  if (kind == "adamw") return adamw_case(backend, spec);
  fail(ErrorCode::kArgument, "kind: expected layer, attention, rms_norm, swiglu, logprob or adamw, got ", kind);
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

void answer(const Repetition& repetition) {
  std::string text = "@bench {\"event\":\"step\",\"seconds\":{";
  const char* comma = "";
  for (const auto& [name, seconds] : repetition.seconds) {
    text += comma + json_quoted(name) + ":" + number_text(seconds);
    comma = ",";
  }
  text += "},\"norms\":[";
  comma = "";
  for (const double norm : repetition.norms) {
    text += comma + number_text(norm);
    comma = ",";
  }
  std::puts((text + "]}").c_str());
  std::fflush(stdout);
}

int serve(int threads) {
  const auto backend = make_cpu_backend({threads, ""});
  const std::string program = json_quoted("vlmr1-native " + cpu_isa_info().selected);
  std::printf("@bench {\"event\":\"ready\",\"program\":%s}\n", program.c_str());
  std::fflush(stdout);
  std::string line, prepared;
  Case body;
  while (std::getline(std::cin, line)) {
    if (line != prepared) {
      body = nullptr;  // the memory of the case before, first
      backend->trim();
      body = make_case(*backend, Json::parse(line, "case"));
      prepared = line;
    }
    answer(body());
  }
  return 0;
}

}  // namespace

}  // namespace vlmr1::bench

int main(int argc, char** argv) {
  try {
    return vlmr1::bench::serve(argc > 1 ? std::stoi(argv[1]) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
