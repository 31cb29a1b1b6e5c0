#include "ops/logprob.h"

#include <algorithm>

#include "ops/rows.h"

namespace vlmr1::ops {

namespace {

constexpr int64_t kChunkBytes = 64 << 20;

struct Head {
  Tensor h, w, targets, lse, entropy;
  float temperature;
  int64_t chunk;
  Tensor kept_logits;  // where one chunk holds all rows they need not be computed again
};

// The logits' gradient in their place; dentropy may be empty.
void logits_gradient(Backend& backend, const Head& head, int64_t begin, int64_t end, const Tensor& dlogp,
                     const Tensor& dentropy, Tensor& logits) {
  EntropyGrad entropy;
  if (dentropy) entropy = {head.entropy.rows(begin, end), dentropy.rows(begin, end)};
  backend.token_logp_grad(head.targets.rows(begin, end), head.lse.rows(begin, end), dlogp.rows(begin, end),
                          dentropy ? &entropy : nullptr, head.temperature, logits);
}

Tensor chunk_logits(Backend& backend, const Tensor& h, const Tensor& w) {
  Tensor logits = backend.empty({h.shape()[0], w.shape()[0]});
  backend.linear(h, w, nullptr, nullptr, logits);
  return logits;
}

void head_backward(Graph& graph, const Head& head, const std::shared_ptr<GradSlot>& h_slot,
                   const std::shared_ptr<GradSlot>& w_slot, const Tensor& dlogp, const Tensor& dentropy) {
  Backend& backend = graph.backend();
  const int64_t rows = head.h.shape()[0];
  Tensor dh = h_slot ? backend.empty(head.h.shape()) : Tensor();
  for (int64_t begin = 0; begin < rows; begin += head.chunk) {
    const int64_t end = std::min(rows, begin + head.chunk);
    const Tensor h = head.h.rows(begin, end);
    Tensor logits = head.kept_logits ? head.kept_logits : chunk_logits(backend, h, head.w);
    logits_gradient(backend, head, begin, end, dlogp, dentropy, logits);
    if (h_slot) {
      Tensor part = dh.rows(begin, end);
      backend.linear_grad_input(logits, head.w, part, Write::kSet);
    }
    if (w_slot) backend.linear_grad_weight(logits, h, w_slot->grad);
  }
  if (h_slot) graph.accumulate(h_slot, dh);
}

}  // namespace

HeadLogProb head_log_prob(Graph& graph, const Variable& h, const Variable& w, const std::vector<int32_t>& targets,
                          float temperature, int64_t chunk_rows) {
  const int64_t rows = h.shape().rows();
  const int64_t vocab = w.shape()[0];
  check(static_cast<int64_t>(targets.size()) == rows && h.shape().cols() == w.shape()[1], ErrorCode::kShape,
        "head_log_prob: h ", h.shape().str(), ", w ", w.shape().str(), ", ", targets.size(), " targets");
  check(temperature >= 1e-4f, ErrorCode::kArgument, "temperature: expected at least 1e-4, got ", temperature);
  for (int32_t t : targets)
    check(t >= 0 && t < vocab, ErrorCode::kTokens, "target: expected a token in [0, ", vocab, "), got ", t);
  Backend& backend = graph.backend();
  Head head{
      h.value(), w.value(), upload_index(backend, targets), backend.empty({rows}), backend.empty({rows}), temperature,
      0,         {}};
  head.chunk = chunk_rows > 0 ? chunk_rows : std::max<int64_t>(1, kChunkBytes / (vocab * int64_t{sizeof(float)}));
  Tensor logp = backend.empty({rows});
  const Variable out = graph.result(logp, {&h, &w});
  const Variable entropy = graph.result(head.entropy, {&h, &w});
  for (int64_t begin = 0; begin < rows; begin += head.chunk) {
    const int64_t end = std::min(rows, begin + head.chunk);
    Tensor logits = chunk_logits(backend, h.value().rows(begin, end), w.value());
    Tensor lse_part = head.lse.rows(begin, end);
    Tensor logp_part = logp.rows(begin, end);
    Tensor entropy_part = head.entropy.rows(begin, end);
    backend.token_logp(logits, head.targets.rows(begin, end), temperature, lse_part, logp_part, &entropy_part);
    if (out.needs_grad() && end - begin == rows) head.kept_logits = logits;
  }
  // One pass back over the logits for both: the tape comes to the entropy first, whose gradient waits.
  const auto dentropy = std::make_shared<Tensor>();
  graph.record(out, [&graph, head, dentropy, h_slot = h.slot(), w_slot = w.slot()](const Tensor& dlogp) {
    head_backward(graph, head, h_slot, w_slot, dlogp, *dentropy);
  });
  graph.record(entropy, [&graph, dentropy, slot = out.slot(), rows](const Tensor& grad) {
    *dentropy = grad;
    if (!slot->grad) slot->grad = graph.backend().zeros({rows});
  });
  return {out, entropy};
}

}  // namespace vlmr1::ops
