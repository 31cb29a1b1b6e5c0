#include "rl/objective.h"

#include "core/trace.h"
#include "models/batching.h"
#include "ops/logprob.h"
#include "ops/rows.h"

namespace vlmr1 {

namespace {

std::vector<float> to_host(Backend& backend, const Tensor& x) {
  std::vector<float> host(static_cast<size_t>(x.numel()));
  backend.download(x, host.data());
  return host;
}

ops::HeadLogProb forward(Graph& graph, Model& model, const PackedGroups& packed, AttentionContext& attention,
                         float temperature) {
  const Span span("forward", "tokens", packed.batch.tree->tokens);
  const Variable hidden = model.hidden(graph, packed.batch, attention);
  const Variable rows = model.final_norm(graph, ops::gather_rows(graph, hidden, packed.rows));
  return ops::head_log_prob(graph, rows, nn::leaf(graph, model.head()), packed.targets, temperature);
}

TokenValues split(const std::vector<Group>& groups, const std::vector<float>& flat) {
  TokenValues out(groups.size());
  size_t next = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const auto& completion : groups[g].completions) {
      out[g].emplace_back(flat.begin() + next, flat.begin() + next + completion.size());
      next += completion.size();
    }
  }
  return out;
}

// The inverse of split; `what` names the array in errors.
std::vector<float> join(const std::vector<Group>& groups, const TokenValues& values, const char* what) {
  std::vector<float> flat;
  if (values.empty()) return flat;
  check(values.size() == groups.size(), ErrorCode::kShape, what, ": expected ", groups.size(), " groups, got ",
        values.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto& completions = groups[g].completions;
    check(values[g].size() == completions.size(), ErrorCode::kShape, what, ", group ", g, ": expected ",
          completions.size(), " completions, got ", values[g].size());
    for (size_t c = 0; c < completions.size(); ++c) {
      check(values[g][c].size() == completions[c].size(), ErrorCode::kShape, what, ", group ", g, ", completion ", c,
            ": expected ", completions[c].size(), " tokens, got ", values[g][c].size());
      flat.insert(flat.end(), values[g][c].begin(), values[g][c].end());
    }
  }
  return flat;
}

template <typename T>
void check_per_completion(const std::vector<Group>& groups, const std::vector<std::vector<T>>& values,
                          const char* what) {
  check(values.size() == groups.size(), ErrorCode::kShape, what, ": expected ", groups.size(), " groups, got ",
        values.size());
  for (size_t g = 0; g < groups.size(); ++g)
    check(values[g].size() == groups[g].completions.size(), ErrorCode::kShape, what, ", group ", g, ": expected ",
          groups[g].completions.size(), " values, got ", values[g].size());
}

std::vector<LossSequence> loss_sequences(const std::vector<Group>& groups, const Objective& objective) {
  const bool sft = objective.loss.type == LossType::kSft;
  if (!sft) check_per_completion(groups, objective.advantages, "advantages");
  if (!objective.keep.empty()) check_per_completion(groups, objective.keep, "mask");
  std::vector<LossSequence> out;
  int64_t first = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    for (size_t c = 0; c < groups[g].completions.size(); ++c) {
      const int64_t count = static_cast<int64_t>(groups[g].completions[c].size());
      const bool masked = !objective.keep.empty() && objective.keep[g][c] == 0;
      out.push_back({first, count, sft ? 0.0f : objective.advantages[g][c], masked});
      first += count;
    }
  }
  return out;
}

}  // namespace

TokenScores score(Model& model, const std::vector<Group>& groups, float temperature, AdapterMode::Use adapter,
                  const StopFlag& stop) {
  model.parameters().check_sources();
  StopScope scope(model.backend(), stop);
  const PackedGroups packed = pack_groups(model, groups);
  TreeAttention attention(packed.batch.tree);
  Graph graph(model.backend(), false, {adapter, false, 0});
  const ops::HeadLogProb out = forward(graph, model, packed, attention, temperature);
  return {split(groups, to_host(model.backend(), out.logp.value())),
          split(groups, to_host(model.backend(), out.entropy))};
}

AccumulateResult accumulate(Model& model, const std::vector<Group>& groups, const Objective& objective,
                            const StopFlag& stop) {
  check(model.parameters().trains(), ErrorCode::kState,
        "accumulate: the model was loaded without trainable parameters");
  model.parameters().check_sources();
  StopScope scope(model.backend(), stop);
  Backend& backend = model.backend();
  const std::vector<LossSequence> sequences = loss_sequences(groups, objective);
  const std::vector<float> old_logp = join(groups, objective.old_log_probs, "old log-probabilities");
  const std::vector<float> ref_logp = join(groups, objective.ref_log_probs, "reference log-probabilities");
  const PackedGroups packed = pack_groups(model, groups);
  TreeAttention attention(packed.batch.tree);
  Graph graph(backend, true, {AdapterMode::Use::kOn, true, objective.dropout_seed});
  const ops::HeadLogProb out = forward(graph, model, packed, attention, objective.loss.temperature);
  const std::vector<float> logp = to_host(backend, out.logp.value());
  Span loss_span("loss");
  const LossResult loss = grpo_loss(logp, old_logp, ref_logp, sequences, objective.loss);
  loss_span.end();
  // A batch without pictures reaches nothing of what trains where that is in the vision tower or the merger.
  if (out.logp.needs_grad()) {
    const Span span("backward");
    Tensor dlogp = backend.empty({static_cast<int64_t>(logp.size())});
    backend.upload(dlogp, loss.dlogp.data());
    graph.backward(out.logp, dlogp);
  }

  AccumulateResult result;
  result.loss = loss.loss;
  result.tokens = loss.tokens;
  result.kl_sum = loss.kl_sum;
  result.clip_low_sum = loss.clip_low_sum;
  result.clip_high_sum = loss.clip_high_sum;
  const std::vector<float> entropy = to_host(backend, out.entropy);
  for (const LossSequence& s : sequences)
    for (int64_t i = s.first; !s.masked && i < s.first + s.count; ++i) result.entropy_sum += entropy[i];
  result.log_probs = split(groups, logp);
  return result;
}

}  // namespace vlmr1
