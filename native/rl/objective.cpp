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

// Tokens of each completion, [group][completion].
using Lengths = std::vector<std::vector<size_t>>;

template <typename Completions>
std::vector<size_t> sizes(const Completions& completions) {
  std::vector<size_t> out;
  for (const auto& completion : completions) out.push_back(completion.size());
  return out;
}

Lengths lengths_of(const std::vector<Group>& groups) {
  Lengths out;
  for (const Group& group : groups) out.push_back(sizes(group.completions));
  return out;
}

Lengths lengths_of(const TokenValues& values) {
  Lengths out;
  for (const auto& group : values) out.push_back(sizes(group));
  return out;
}

TokenValues split(const Lengths& lengths, const std::vector<float>& flat) {
  TokenValues out(lengths.size());
  size_t next = 0;
  for (size_t g = 0; g < lengths.size(); ++g) {
    for (const size_t count : lengths[g]) {
      out[g].emplace_back(flat.begin() + next, flat.begin() + next + count);
      next += count;
    }
  }
  return out;
}

// The inverse of split; `what` names the array in errors.
template <typename T>
std::vector<T> join(const Lengths& lengths, const std::vector<std::vector<std::vector<T>>>& values, const char* what) {
  std::vector<T> flat;
  if (values.empty()) return flat;
  check(values.size() == lengths.size(), ErrorCode::kShape, what, ": expected ", lengths.size(), " groups, got ",
        values.size());
  for (size_t g = 0; g < lengths.size(); ++g) {
    check(values[g].size() == lengths[g].size(), ErrorCode::kShape, what, ", group ", g, ": expected ",
          lengths[g].size(), " completions, got ", values[g].size());
    for (size_t c = 0; c < lengths[g].size(); ++c) {
      check(values[g][c].size() == lengths[g][c], ErrorCode::kShape, what, ", group ", g, ", completion ", c,
            ": expected ", lengths[g][c], " tokens, got ", values[g][c].size());
      flat.insert(flat.end(), values[g][c].begin(), values[g][c].end());
    }
  }
  return flat;
}

template <typename T>
void check_per_completion(const Lengths& lengths, const std::vector<std::vector<T>>& values, const char* what) {
  check(values.size() == lengths.size(), ErrorCode::kShape, what, ": expected ", lengths.size(), " groups, got ",
        values.size());
  for (size_t g = 0; g < lengths.size(); ++g)
    check(values[g].size() == lengths[g].size(), ErrorCode::kShape, what, ", group ", g, ": expected ",
          lengths[g].size(), " values, got ", values[g].size());
}

std::vector<LossSequence> loss_sequences(const Lengths& lengths, const Objective& objective) {
  const bool sft = objective.loss.type == LossType::kSft;
  if (!sft) check_per_completion(lengths, objective.advantages, "advantages");
  if (!objective.keep.empty()) check_per_completion(lengths, objective.keep, "mask");
  std::vector<LossSequence> out;
  int64_t first = 0;
  for (size_t g = 0; g < lengths.size(); ++g) {
    for (size_t c = 0; c < lengths[g].size(); ++c) {
      const int64_t count = static_cast<int64_t>(lengths[g][c]);
      const bool masked = !objective.keep.empty() && objective.keep[g][c] == 0;
      out.push_back({first, count, sft ? 0.0f : objective.advantages[g][c], masked});
      first += count;
    }
  }
  return out;
}

// What the loss is computed of, but for what a forward pass gives.
LossInputs loss_inputs(const Lengths& lengths, const Objective& objective) {
  LossInputs in;
  in.old_logp = join(lengths, objective.old_log_probs, "old log-probabilities");
  in.ref_logp = join(lengths, objective.ref_log_probs, "reference log-probabilities");
  in.token_mask = join(lengths, objective.token_mask, "token mask");
  return in;
}

void backward(Graph& graph, const ops::HeadLogProb& out, const LossResult& loss) {
  // A batch without pictures reaches nothing of what trains where that is in the vision tower or the merger.
  if (!out.logp.needs_grad()) return;
  const Span span("backward");
  const auto seed = [&](const std::vector<float>& values) {
    Tensor tensor = graph.backend().empty({static_cast<int64_t>(values.size())});
    graph.backend().upload(tensor, values.data());
    return tensor;
  };
  if (!loss.dentropy.empty()) graph.accumulate(out.entropy.slot(), seed(loss.dentropy));
  graph.backward(out.logp, seed(loss.dlogp));
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
  const Lengths lengths = lengths_of(groups);
  return {split(lengths, to_host(model.backend(), out.logp.value())),
          split(lengths, to_host(model.backend(), out.entropy.value()))};
}

LossGradient loss_gradient(const TokenScores& scores, const Objective& objective) {
  const Lengths lengths = lengths_of(scores.log_probs);
  LossInputs in = loss_inputs(lengths, objective);
  in.logp = join(lengths, scores.log_probs, "log-probabilities");
  in.entropy = join(lengths, scores.entropy, "entropies");
  LossGradient result;
  result.sums = grpo_loss(in, loss_sequences(lengths, objective), objective.loss);
  result.d_log_prob = split(lengths, result.sums.dlogp);
  if (!result.sums.dentropy.empty()) result.d_entropy = split(lengths, result.sums.dentropy);
  result.sums.dlogp.clear();
  result.sums.dentropy.clear();
  return result;
}

AccumulateResult accumulate(Model& model, const std::vector<Group>& groups, const Objective& objective,
                            const StopFlag& stop) {
  check(model.parameters().trains(), ErrorCode::kState,
        "accumulate: the model was loaded without trainable parameters");
  model.parameters().check_sources();
  StopScope scope(model.backend(), stop);
  Backend& backend = model.backend();
  const Lengths lengths = lengths_of(groups);
  const std::vector<LossSequence> sequences = loss_sequences(lengths, objective);
  LossInputs in = loss_inputs(lengths, objective);
  const PackedGroups packed = pack_groups(model, groups);
  TreeAttention attention(packed.batch.tree);
  Graph graph(backend, true, {AdapterMode::Use::kOn, true, objective.dropout_seed});
  const ops::HeadLogProb out = forward(graph, model, packed, attention, objective.loss.temperature);
  in.logp = to_host(backend, out.logp.value());
  in.entropy = to_host(backend, out.entropy.value());
  Span loss_span("loss");
  const LossResult loss = grpo_loss(in, sequences, objective.loss);
  loss_span.end();
  backward(graph, out, loss);

  AccumulateResult result;
  result.loss = loss.loss;
  result.policy_loss = loss.policy_loss;
  result.tokens = loss.tokens;
  result.entropy_sum = loss.entropy_sum;
  result.kl_sum = loss.kl_sum;
  result.clip = loss.clip;
  result.log_probs = split(lengths, in.logp);
  return result;
}

}  // namespace vlmr1
