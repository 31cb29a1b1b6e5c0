// Sampling by inversion of the cumulative distribution, row by row. A row is looked at in blocks: their largest scores
// say which of them can hold what a filter keeps, their sums which of them holds the token that is drawn.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

constexpr int64_t kBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Higher scores first; among equals the lower id, so that the order is total.
bool before(const SampleCandidate& a, const SampleCandidate& b) {
  return a.score > b.score || (a.score == b.score && a.token < b.token);
}

class RowSampler {
 public:
  RowSampler(const KernelTable& kernels, const SampleOptions& options, const std::vector<int32_t>& banned,
             SampleScratch& scratch)
      : kernels_(kernels), options_(options), banned_(banned), scratch_(scratch) {}

  Sampled draw(const float* logits, int64_t v, const SampleRow& row) {
    v_ = v;
    scores_ = changed(logits, row);
    find_maxima();
    // All banned, not a number, or one without bounds: the caller names the row.
    if (!(top_ > -kInfinity && top_ < kInfinity)) return {-1, 0.0f};
    const bool greedy = options_.temperature <= 0;
    inverse_ = greedy ? 1.0 : 1.0 / options_.temperature;
    // Scores of the best token times the largest number are 0 still, all others are as far away as can be.
    factor_ = static_cast<float>(std::min<double>(inverse_, std::numeric_limits<float>::max()));
    if (greedy) return {first_of_the_best(), static_cast<float>(-std::log(sum_blocks()))};
    const bool top_k = options_.top_k > 0 && options_.top_k < v;
    if (!top_k && options_.top_p >= 1.0f && options_.min_p <= 0.0f) return from_blocks(row.uniform);
    double total = top_k ? keep_top_k() : keep_likely();
    if (options_.top_p < 1.0f) total = keep_top_p(total);
    if (options_.min_p > 0.0f) total = keep_min_p();
    return from_list(row.uniform, total);
  }

 private:
  const float* changed(const float* logits, const SampleRow& row) {
    const float penalty = options_.repetition_penalty;
    if (penalty == 1.0f && banned_.empty()) return logits;
    std::vector<float>& scores = scratch_.scores;
    scores.assign(logits, logits + v_);
    if (penalty != 1.0f) {
      std::vector<int32_t>& seen = scratch_.seen;
      seen.assign(row.seen, row.seen + row.seen_count);
      std::sort(seen.begin(), seen.end());
      seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
      for (const int32_t token : seen) {
        float& s = scores[token];
        s = s > 0 ? s / penalty : s * penalty;
      }
    }
    for (const int32_t token : banned_) scores[token] = -kInfinity;
    return scores.data();
  }

  int64_t blocks() const { return (v_ + kBlock - 1) / kBlock; }
  int64_t count(int64_t block) const { return std::min(kBlock, v_ - block * kBlock); }

  void find_maxima() {
    scratch_.maxima.resize(blocks());
    for (int64_t b = 0; b < blocks(); ++b) scratch_.maxima[b] = kernels_.largest(scores_ + b * kBlock, count(b));
    top_ = *std::max_element(scratch_.maxima.begin(), scratch_.maxima.end());
  }

  int32_t first_of_the_best() const {
    const auto& maxima = scratch_.maxima;
    const int64_t block = std::find(maxima.begin(), maxima.end(), top_) - maxima.begin();
    const float* begin = scores_ + block * kBlock;
    return static_cast<int32_t>(std::find(begin, begin + count(block), top_) - scores_);
  }

  // Σ of all weights.
  double sum_blocks() {
    scratch_.sums.resize(blocks());
    double total = 0.0;
    for (int64_t b = 0; b < blocks(); ++b)
      total += scratch_.sums[b] = kernels_.exp_sum(scores_ + b * kBlock, count(b), top_, factor_, nullptr);
    return total;
  }

  const float* weights_of(int64_t block) {
    scratch_.weights.resize(kBlock);
    kernels_.exp_sum(scores_ + block * kBlock, count(block), top_, factor_, scratch_.weights.data());
    return scratch_.weights.data();
  }

  Sampled result(int32_t token, double total) const {
    return {token, static_cast<float>((static_cast<double>(scores_[token]) - top_) * inverse_ - std::log(total))};
  }

  // Among all tokens: the block whose interval holds the number, then the token in it.
  Sampled from_blocks(double uniform) {
    const double total = sum_blocks();
    const double target = uniform * total;
    int64_t block = -1;
    double below = 0.0, cumulative = 0.0;
    for (int64_t b = 0; b < blocks(); ++b) {
      if (scratch_.sums[b] <= 0.0) continue;
      block = b;
      below = cumulative;
      cumulative += scratch_.sums[b];
      if (target < cumulative) break;
    }
    const float* weights = weights_of(block);
    int64_t chosen = 0;
    for (int64_t i = 0; i < count(block); ++i) {
      if (weights[i] <= 0.0f) continue;
      chosen = i;
      below += weights[i];
      if (target < below) break;
    }
    return result(static_cast<int32_t>(block * kBlock + chosen), total);
  }

  // All tokens whose score is at least that, by id; returns the sum of their weights.
  double collect(float least) {
    std::vector<SampleCandidate>& list = scratch_.list;
    list.clear();
    double total = 0.0;
    for (int64_t b = 0; b < blocks(); ++b) {
      if (scratch_.maxima[b] < least || scratch_.maxima[b] == -kInfinity) continue;
      const float* scores = scores_ + b * kBlock;
      const float* weights = weights_of(b);
      for (int64_t i = 0; i < count(b); ++i) {
        if (!(scores[i] >= least && scores[i] > -kInfinity)) continue;
        list.push_back({static_cast<int32_t>(b * kBlock + i), scores[i], weights[i]});
        total += weights[i];
      }
    }
    return total;
  }

  template <typename Drop>
  double drop_if(const Drop& drop) {
    std::vector<SampleCandidate>& list = scratch_.list;
    list.erase(std::remove_if(list.begin(), list.end(), drop), list.end());
    double total = 0.0;
    for (const SampleCandidate& c : list) total += c.weight;
    return total;
  }

  // At least k tokens reach the k-th of the blocks' largest scores.
  double keep_top_k() {
    const int64_t k = options_.top_k;
    float least = -kInfinity;
    if (k <= blocks()) {
      std::vector<float>& ordered = scratch_.ordered;
      ordered = scratch_.maxima;
      std::nth_element(ordered.begin(), ordered.begin() + (k - 1), ordered.end(), std::greater<float>());
      least = ordered[k - 1];
    }
    const double total = collect(least);
    std::vector<SampleCandidate>& ranking = scratch_.ranking;
    ranking = scratch_.list;
    if (k >= static_cast<int64_t>(ranking.size())) return total;
    std::nth_element(ranking.begin(), ranking.begin() + (k - 1), ranking.end(), before);
    const float border = ranking[k - 1].score;
    // Ties with the last one stay, as in transformers.
    return drop_if([border](const SampleCandidate& c) { return c.score < border; });
  }

  // Without top-k: what top-p or min-p can keep, and something more; returns the sum of all weights. All tokens lighter
  // than (1 − top_p) · total / V together are less than what top-p leaves out.
  double keep_likely() {
    double total = 0.0;
    double least = options_.min_p;
    if (options_.top_p < 1.0f) {
      total = sum_blocks();
      // What min-p leaves out counts for top-p, which is applied first.
      least = (1.0 - options_.top_p) * total / static_cast<double>(v_);
    }
    // Half of it, because weights are rounded.
    const double border = top_ + std::log(0.5 * least) / inverse_;
    collect(static_cast<float>(std::max<double>(border, std::numeric_limits<float>::lowest())));
    return total;
  }

  // A token stays when what lies above it is less than top_p of the total.
  double keep_top_p(double total) {
    std::vector<SampleCandidate>& ranking = scratch_.ranking;
    ranking = scratch_.list;
    const double limit = options_.top_p * total;
    double above = 0.0;
    auto begin = ranking.begin(), end = ranking.end();
    // The first half of the range by rank holds the border, or all of it lies above the border.
    while (end - begin > 1) {
      const auto middle = begin + (end - begin) / 2;
      std::nth_element(begin, middle, end, before);
      double half = 0.0;
      for (auto it = begin; it != middle; ++it) half += it->weight;
      if (above + half < limit) {
        above += half;
        begin = middle;
      } else {
        end = middle;
      }
    }
    const SampleCandidate last = *begin;
    return drop_if([&last](const SampleCandidate& c) { return before(last, c); });
  }

  // The weight of the best token is 1.
  double keep_min_p() {
    const double least = options_.min_p;
    return drop_if([least](const SampleCandidate& c) { return c.weight < least; });
  }

  Sampled from_list(double uniform, double total) const {
    const double target = uniform * total;
    int32_t token = scratch_.list.front().token;
    double cumulative = 0.0;
    for (const SampleCandidate& c : scratch_.list) {
      if (c.weight <= 0.0) continue;
      token = c.token;
      cumulative += c.weight;
      if (target < cumulative) break;
    }
    return result(token, total);
  }

  const KernelTable& kernels_;
  const SampleOptions& options_;
  const std::vector<int32_t>& banned_;
  SampleScratch& scratch_;
  const float* scores_ = nullptr;
  int64_t v_ = 0;
  float top_ = 0.0f;
  double inverse_ = 1.0;
  float factor_ = 1.0f;
};

}  // namespace

void CpuBackend::sample(const Tensor& logits, const std::vector<int32_t>& banned, const std::vector<SampleRow>& rows,
                        std::vector<Sampled>& out) {
  const int64_t v = logits.shape().cols();
  const float* z = logits.data<float>();
  out.resize(rows.size());
  if (dry_run_) {
    int32_t allowed = 0;
    while (std::count(banned.begin(), banned.end(), allowed) != 0) ++allowed;
    std::fill(out.begin(), out.end(), Sampled{allowed, 0.0f});
    return;
  }
  pool_.run(static_cast<int64_t>(rows.size()), [&](int64_t n, int thread) {
    out[n] = RowSampler(kernels_, rows[n].options, banned, sample_scratch_[thread]).draw(z + n * v, v, rows[n]);
  });
}

}  // namespace vlmr1::cpu
