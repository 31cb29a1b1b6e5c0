// Sampling by inversion of the cumulative distribution, row by row.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

struct Candidate {
  int32_t token;
  double score;  // in double no temperature makes it overflow
  double p = 0.0;
};

// Higher scores first; among equals the lower id, so that the order is total.
bool before(const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.token < b.token);
}

void penalise(std::vector<float>& scores, const SampleOptions& options, const SampleRow& row) {
  if (options.repetition_penalty != 1.0f) {
    std::vector<int32_t> seen(row.seen, row.seen + row.seen_count);
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (int32_t token : seen) {
      float& s = scores[token];
      s = s > 0 ? s / options.repetition_penalty : s * options.repetition_penalty;
    }
  }
  for (int32_t token : options.banned) scores[token] = -std::numeric_limits<float>::infinity();
}

// Probabilities over the candidates; returns the log of their sum above the maximum.
double normalise(std::vector<Candidate>& list) {
  double top = -std::numeric_limits<double>::infinity();
  for (const Candidate& c : list) top = std::max(top, c.score);
  double total = 0.0;
  for (Candidate& c : list) total += c.p = std::exp(c.score - top);
  for (Candidate& c : list) c.p /= total;
  return top + std::log(total);
}

void keep_top_k(std::vector<Candidate>& list, int32_t k) {
  if (k <= 0 || k >= static_cast<int32_t>(list.size())) return;
  std::nth_element(list.begin(), list.begin() + (k - 1), list.end(), before);
  const double border = list[k - 1].score;
  // Ties with the last one stay, as in transformers.
  list.erase(std::remove_if(list.begin(), list.end(), [&](const Candidate& c) { return c.score < border; }),
             list.end());
}

void keep_top_p(std::vector<Candidate>& list, float top_p) {
  if (top_p >= 1.0f) return;
  normalise(list);
  std::sort(list.begin(), list.end(), before);
  // A candidate stays when what lies above it is still less than top_p.
  double above = 0.0;
  size_t count = 0;
  while (count < list.size() && (count == 0 || above < top_p)) above += list[count++].p;
  list.resize(count);
}

void keep_min_p(std::vector<Candidate>& list, float min_p) {
  if (min_p <= 0.0f) return;
  normalise(list);
  double top = 0.0;
  for (const Candidate& c : list) top = std::max(top, c.p);
  list.erase(std::remove_if(list.begin(), list.end(), [&](const Candidate& c) { return c.p < min_p * top; }),
             list.end());
}

Sampled choose(std::vector<Candidate>& list, double uniform) {
  const double log_sum = normalise(list);
  double cumulative = 0.0;
  const Candidate* chosen = nullptr;
  for (const Candidate& c : list) {
    if (c.p <= 0.0) continue;
    chosen = &c;
    cumulative += c.p;
    if (uniform < cumulative) break;
  }
  if (!chosen) chosen = &list.front();
  return {chosen->token, static_cast<float>(chosen->score - log_sum)};
}

Sampled sample_row(const float* logits, int64_t v, const SampleOptions& options, const SampleRow& row) {
  std::vector<float> scores(logits, logits + v);
  penalise(scores, options, row);
  std::vector<Candidate> list;
  list.reserve(v);
  const double inverse = options.temperature > 0 ? 1.0 / options.temperature : 1.0;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  bool bounded = true;
  for (int64_t i = 0; i < v; ++i) {
    if (scores[i] > -kInfinity) list.push_back({static_cast<int32_t>(i), scores[i] * inverse});
    bounded = bounded && scores[i] != kInfinity;
  }
  // All banned, not a number, or one without bounds: the caller names the row.
  if (list.empty() || !bounded) return {-1, 0.0f};
  if (options.temperature <= 0) {
    const Candidate best = *std::min_element(list.begin(), list.end(), before);
    return {best.token, static_cast<float>(best.score - normalise(list))};
  }
  keep_top_k(list, options.top_k);
  keep_top_p(list, options.top_p);
  keep_min_p(list, options.min_p);
  return choose(list, row.uniform);
}

}  // namespace

void CpuBackend::sample(const Tensor& logits, const SampleOptions& options, const std::vector<SampleRow>& rows,
                        std::vector<Sampled>& out) {
  const int64_t v = logits.shape().cols();
  const float* z = logits.data<float>();
  out.resize(rows.size());
  if (dry_run_) {
    int32_t allowed = 0;
    while (std::count(options.banned.begin(), options.banned.end(), allowed) != 0) ++allowed;
    std::fill(out.begin(), out.end(), Sampled{allowed, 0.0f});
    return;
  }
  pool_.run(static_cast<int64_t>(rows.size()),
            [&](int64_t n, int) { out[n] = sample_row(z + n * v, v, options, rows[n]); });
}

}  // namespace vlmr1::cpu
