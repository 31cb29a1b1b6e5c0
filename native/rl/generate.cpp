#include "rl/generate.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "core/trace.h"
#include "models/batching.h"
#include "ops/linear.h"
#include "ops/rows.h"

namespace vlmr1 {

void SamplingOptions::validate(int64_t vocab_size) const {
  const auto need = [](bool ok, const char* field, const char* expected, double got) {
    check(ok, ErrorCode::kArgument, field, ": expected ", expected, ", got ", got);
  };
  // Logits divided by less would leave the range of f32.
  need(temperature == 0 || (std::isfinite(temperature) && temperature >= 1e-4f), "temperature",
       "0 (greedy) or at least 1e-4", temperature);
  need(top_k >= 0, "top_k", "0 (off) or more", top_k);
  need(top_p > 0 && top_p <= 1, "top_p", "a value in (0, 1]", top_p);
  need(min_p >= 0 && min_p <= 1, "min_p", "a value in [0, 1]", min_p);
  need(std::isfinite(repetition_penalty) && repetition_penalty > 0, "repetition_penalty", "a value above 0",
       repetition_penalty);
  need(max_new_tokens > 0, "max_new_tokens", "1 or more", max_new_tokens);
  for (int32_t token : stop_tokens)
    need(token >= 0 && token < vocab_size, "stop_tokens", "token ids of the vocabulary", token);
}

namespace {

// Tokens that a dry run goes on by at once. Between them every step needs the same memory again: a cache takes it in
// blocks of a multiple of these.
constexpr int32_t kDryStride = 16;

// A completion under way.
struct Row {
  int32_t prompt = 0;
  int32_t index = 0;
  int32_t segment = -1;
  int32_t position = 0;
  std::vector<int32_t> seen;  // prompt and completion, for the repetition penalty
  Completion out;
};

class Generation {
 public:
  Generation(Model& model, const std::vector<Prompt>& prompts, const GenerateOptions& options)
      : model_(model),
        backend_(model.backend()),
        prompts_(prompts),
        n_(options.n),
        sampling_(options.sampling),
        seed_(options.seed),
        first_row_(options.first_row),
        graph_(backend_, false, {options.adapter, false, 0}) {
    options_ = {sampling_.temperature,        sampling_.top_k,           sampling_.top_p, sampling_.min_p,
                sampling_.repetition_penalty, model.info().banned_tokens};
  }

  std::vector<std::vector<Completion>> run(const StopFlag& stop,
                                           const std::function<void(const GenerateProgress&)>& progress) {
    GenerateProgress done;
    done.total = static_cast<int64_t>(prompts_.size()) * n_;
    Tensor logits = prefill();
    for (;;) {
      stop.check();
      take_tokens(logits);
      note_news(done);
      drop_finished(done);
      if (progress) progress(done);
      if (active_.empty()) break;
      logits = decode();
    }
    std::vector<std::vector<Completion>> out(prompts_.size());
    for (auto& completions : out) completions.resize(n_);
    for (Row& row : rows_) out[row.prompt][row.index] = std::move(row.out);
    return out;
  }

 private:
  // Encodes every prompt once; the logits of its last token are the first of all its completions.
  Tensor prefill() {
    const Span span("prefill", "prompts", static_cast<int64_t>(prompts_.size()));
    std::vector<const Prompt*> list;
    for (const Prompt& prompt : prompts_) list.push_back(&prompt);
    const PackedBatch batch = pack_prompts(model_, list);
    std::vector<int32_t> last;
    std::vector<int32_t> segments;
    for (const Segment& segment : batch.tree->segments) {
      segments.push_back(cache_.add_segment(-1));
      cache_.extend(segments.back(), segment.length);
      last.push_back(segment.start + segment.length - 1);
    }
    const Variable hidden = model_.hidden(graph_, batch, cache_);
    cache_.clear_runs();
    const Tensor logits = head(ops::gather_rows(graph_, hidden, last));
    std::vector<int32_t> source;
    for (size_t p = 0; p < prompts_.size(); ++p) {
      const int32_t next = model_.prompt_positions(prompts_[p]).next;
      for (int32_t i = 0; i < n_; ++i) {
        Row row;
        row.prompt = static_cast<int32_t>(p);
        row.index = i;
        row.segment = cache_.add_segment(segments[p]);
        row.position = next;
        if (sampling_.repetition_penalty != 1.0f) row.seen = prompts_[p].tokens;
        active_.push_back(static_cast<int32_t>(rows_.size()));
        rows_.push_back(std::move(row));
        source.push_back(static_cast<int32_t>(p));
      }
    }
    Tensor each = backend_.empty({static_cast<int64_t>(source.size()), logits.shape()[1]});
    backend_.gather_rows(logits, ops::upload_index(backend_, source), each);
    return each;
  }

  Tensor head(const Variable& rows) {
    return ops::linear(graph_, model_.final_norm(graph_, rows), nn::leaf(model_.head()), nullptr, nullptr).value();
  }

  Tensor decode() {
    const Span span("decode step", "rows", static_cast<int64_t>(active_.size()));
    PackedBatch batch;
    cache_.clear_runs();
    for (int32_t r : active_) {
      Row& row = rows_[r];
      batch.tokens.push_back(row.out.tokens.back());
      for (auto& axis : batch.positions) axis.push_back(row.position);
      const int32_t count = backend_.dry_run() ? repeat_last(row) : 1;
      row.position += count;
      cache_.extend(row.segment, count);
    }
    return head(model_.hidden(graph_, batch, cache_));
  }

  // Draws tokens like the last; one less than what the cache has to take then.
  int32_t repeat_last(Row& row) const {
    Completion& out = row.out;
    const int32_t more = std::min(kDryStride, sampling_.max_new_tokens - static_cast<int32_t>(out.tokens.size())) - 1;
    for (auto* values : {&out.log_probs, &out.sampling_log_probs}) values->insert(values->end(), more, 0.0f);
    out.tokens.insert(out.tokens.end(), more, out.tokens.back());
    return more + 1;
  }

  void take_tokens(const Tensor& logits) {
    const Span span("sampling", "rows", static_cast<int64_t>(active_.size()));
    std::vector<SampleRow> samples;
    for (int32_t r : active_) {
      const Row& row = rows_[r];
      const uint64_t stream = first_row_ + static_cast<uint64_t>(row.prompt);
      samples.push_back({random_uniform(seed_, stream, static_cast<uint64_t>(row.index), row.out.tokens.size()),
                         row.seen.data(), static_cast<int64_t>(row.seen.size())});
    }
    std::vector<Sampled> sampled;
    backend_.sample(logits, options_, samples, sampled);
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < sampled.size(); ++i) {
      check(sampled[i].token >= 0, ErrorCode::kState, "generate: prompt ", rows_[active_[i]].prompt, ", token ",
            rows_[active_[i]].out.tokens.size(),
            ": every logit is banned or not a number; the weights may have diverged");
      tokens.push_back(sampled[i].token);
    }
    const std::vector<float> plain = plain_log_probs(logits, tokens);
    for (size_t i = 0; i < tokens.size(); ++i) {
      Row& row = rows_[active_[i]];
      row.out.tokens.push_back(tokens[i]);
      row.out.log_probs.push_back(plain[i]);
      row.out.sampling_log_probs.push_back(sampled[i].logp);
      if (sampling_.repetition_penalty != 1.0f) row.seen.push_back(tokens[i]);
    }
  }

  // The same kernel as in training, on the same logits.
  std::vector<float> plain_log_probs(const Tensor& logits, const std::vector<int32_t>& tokens) {
    const int64_t n = static_cast<int64_t>(tokens.size());
    Tensor lse = backend_.empty({n});
    Tensor logp = backend_.empty({n});
    const float temperature = sampling_.temperature > 0 ? sampling_.temperature : 1.0f;
    backend_.token_logp(logits, ops::upload_index(backend_, tokens), temperature, lse, logp, nullptr);
    std::vector<float> host(tokens.size());
    backend_.download(logp, host.data());
    return host;
  }

  void note_news(GenerateProgress& done) const {
    done.tokens += static_cast<int64_t>(active_.size());
    done.news.clear();
    for (int32_t r : active_)
      done.news.push_back({int64_t{rows_[r].prompt} * n_ + rows_[r].index, rows_[r].out.tokens.back()});
  }

  void drop_finished(GenerateProgress& done) {
    std::vector<int32_t> still;
    for (int32_t r : active_) {
      Row& row = rows_[r];
      const auto& stops = sampling_.stop_tokens;
      row.out.stopped = std::find(stops.begin(), stops.end(), row.out.tokens.back()) != stops.end();
      if (row.out.stopped || static_cast<int32_t>(row.out.tokens.size()) >= sampling_.max_new_tokens) {
        cache_.release(backend_, row.segment);
        done.finished++;
      } else {
        still.push_back(r);
      }
    }
    active_ = std::move(still);
  }

  Model& model_;
  Backend& backend_;
  const std::vector<Prompt>& prompts_;
  int32_t n_;
  const SamplingOptions& sampling_;
  uint64_t seed_;
  uint64_t first_row_;
  Graph graph_;
  SampleOptions options_;
  KvCache cache_;
  std::vector<Row> rows_;
  std::vector<int32_t> active_;
};

}  // namespace

std::vector<std::vector<Completion>> generate(Model& model, const std::vector<Prompt>& prompts,
                                              const GenerateOptions& options, const StopFlag& stop,
                                              const std::function<void(const GenerateProgress&)>& progress) {
  options.sampling.validate(model.info().vocab_size);
  check(options.n > 0, ErrorCode::kArgument, "n: expected 1 or more, got ", options.n);
  check(!prompts.empty(), ErrorCode::kArgument, "prompts: expected at least one");
  model.parameters().check_sources();
  for (size_t i = 0; i < prompts.size(); ++i) model.check_prompt(prompts[i], "prompt " + std::to_string(i));
  const StopScope scope(model.backend(), stop);
  return Generation(model, prompts, options).run(stop, progress);
}

}  // namespace vlmr1
