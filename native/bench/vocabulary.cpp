// Kernels over rows of logits: log-probabilities and sampling.
#include <memory>

#include "bench/cases.h"

namespace vlmr1::bench {

namespace {

struct Logits {
  Tensor logits, target, lse, logp, entropy, dlogp;
};

std::shared_ptr<Logits> make_logits(Backend& backend, const Shape& shape) {
  Logits l;
  l.logits = random_tensor(backend, shape, 1);
  std::vector<int32_t> targets(static_cast<size_t>(shape[0]));
  for (size_t i = 0; i < targets.size(); ++i)
    targets[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(shape[1]));
  l.target = backend.empty({shape[0]}, DType::kI32);
  backend.upload(l.target, targets.data());
  for (Tensor* x : {&l.lse, &l.logp, &l.entropy}) *x = backend.empty({shape[0]});
  l.dlogp = random_tensor(backend, {shape[0]}, 2);
  backend.token_logp(l.logits, l.target, 1.0f, l.lse, l.logp, &l.entropy);
  return std::make_shared<Logits>(std::move(l));
}

std::function<void()> token_logp(Backend& b, const Shape& shape) {
  const auto l = make_logits(b, shape);
  return [&b, l] { b.token_logp(l->logits, l->target, 1.0f, l->lse, l->logp, &l->entropy); };
}

std::function<void()> token_logp_grad(Backend& b, const Shape& shape) {
  const auto l = make_logits(b, shape);
  return [&b, l] { b.token_logp_grad(l->target, l->lse, l->dlogp, nullptr, 1.0f, l->logits); };
}

std::function<void()> sample(Backend& b, const Shape& shape, const SampleOptions& options) {
  const Tensor logits = random_tensor(b, shape, 1);
  std::vector<SampleRow> rows(static_cast<size_t>(shape[0]));
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = {options, (static_cast<double>(i) + 0.5) / static_cast<double>(rows.size())};
  const auto drawn = std::make_shared<std::vector<Sampled>>();
  return [&b, logits, rows, drawn] { b.sample(logits, {}, rows, *drawn); };
}

SampleOptions sampling(float temperature, int32_t top_k, float top_p) {
  SampleOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  return options;
}

}  // namespace

std::vector<Case> vocabulary_cases(const Sizes& sizes) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& group, const std::string& name, const Shape& shape, double streams,
                       std::function<std::function<void()>(Backend&)> prepare) {
    const std::string full = name + " " + std::to_string(shape[0]) + "x" + std::to_string(shape[1]);
    cases.push_back({group, full, true, [shape, streams, prepare](Backend& backend) {
                       Work work;
                       work.bytes = streams * 4.0 * static_cast<double>(shape.numel());
                       work.contestants.push_back({"own", prepare(backend)});
                       return work;
                     }});
  };
  const auto shapes = [&](int64_t rows) {
    return sizes.quick ? std::vector<Shape>{{4, 100}} : std::vector<Shape>{{rows, 32000}, {rows, 151936}};
  };
  for (const Shape& shape : shapes(128)) {
    add("logprob", "token_logp", shape, 1, [shape](Backend& b) { return token_logp(b, shape); });
    add("logprob", "token_logp_grad", shape, 2, [shape](Backend& b) { return token_logp_grad(b, shape); });
  }
  struct Drawn {
    const char* name;
    SampleOptions options;
  };
  const std::vector<Drawn> draws{{"sample greedy", sampling(0.0f, 0, 1.0f)},
                                 {"sample", sampling(1.0f, 0, 1.0f)},
                                 {"sample top_k=50", sampling(1.0f, 50, 1.0f)},
                                 {"sample top_p=0.9", sampling(1.0f, 0, 0.9f)}};
  for (const Shape& shape : shapes(16))
    for (const Drawn& d : draws)
      add("sampling", d.name, shape, 1, [shape, options = d.options](Backend& b) { return sample(b, shape, options); });
  return cases;
}

}  // namespace vlmr1::bench
