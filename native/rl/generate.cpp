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
// Room that a completion gets at once for its tokens; longer ones grow.
constexpr int32_t kReservedTokens = 512;

constexpr const char* kNoToken =
    ": every logit is banned, or one is infinite or not a number; the weights may have diverged";

// A completion under way.
struct Row {
  int32_t prompt = 0;
  int32_t index = 0;
  int32_t segment = -1;
  int32_t position = 0;
  std::vector<int32_t> seen;  // prompt and completion, for the repetition penalty
  Completion out;
};

// A prompt that was encoded, for as long as completions of it are under way or to come.
struct EncodedPrompt {
  int32_t segment = -1;
  int32_t next_position = 0;
  int32_t unfinished = 0;
};

// Completions join in the order of the prompts, as soon as there is room. One pass over the weights computes the
// prompts that join and a token of every completion that goes on.
class Generation {
 public:
  Generation(Model& model, const std::vector<Prompt>& prompts, const GenerateOptions& options)
      : model_(model),
        backend_(model.backend()),
        prompts_(prompts),
        n_(options.n),
        total_(static_cast<int64_t>(prompts.size()) * options.n),
        max_rows_(options.max_rows > 0 ? std::min<int64_t>(options.max_rows, total_) : total_),
        sampling_(options.sampling),
        seed_(options.seed),
        first_row_(options.first_row),
        graph_(backend_, false, {options.adapter, false, 0}),
        encoded_(prompts.size()),
        out_(prompts.size(), std::vector<Completion>(options.n)) {
    options_ = {sampling_.temperature,        sampling_.top_k,           sampling_.top_p, sampling_.min_p,
                sampling_.repetition_penalty, model.info().banned_tokens};
  }

  std::vector<std::vector<Completion>> run(const StopFlag& stop,
                                           const std::function<void(const GenerateProgress&)>& progress) {
    GenerateProgress done;
    done.total = total_;
    while (done.finished < total_) {
      stop.check();
      take_tokens(next_logits());
      note_news(done);
      drop_finished(done);
      if (progress) progress(done);
    }
    return std::move(out_);
  }

 private:
  // What each completion's next token is drawn from, in the order of active_.
  Tensor next_logits() {
    const size_t going_on = active_.size();
    // Some completions of a prompt began before and left no room for the others.
    const bool resumed = next_ % n_ != 0 && going_on < static_cast<size_t>(max_rows_);
    admit();
    // Where prompts join, those that go on are in the same pass.
    const Span span(joining_.empty() ? "decode step" : "prefill", [&] {
      return Work{"prompts,rows", {static_cast<int64_t>(joining_.size()), static_cast<int64_t>(going_on)}};
    });
    const Tensor rows = hidden_rows(going_on, resumed);
    if (next_ % n_ == 0) begin_ = Tensor();
    // One each, in their order.
    if (!resumed && rows.shape()[0] == static_cast<int64_t>(active_.size())) return head(rows);
    return spread(head(rows), going_on);
  }

  // Lets completions begin where there is room, and notes the prompts that they are the first of.
  void admit() {
    joining_.clear();
    for (; static_cast<int64_t>(active_.size()) < max_rows_ && next_ < total_; ++next_) {
      const int32_t p = static_cast<int32_t>(next_ / n_);
      EncodedPrompt& prompt = encoded_[p];
      if (next_ % n_ == 0) {
        if (backend_.dry_run()) dry_release(p);
        prompt = {cache_.add_segment(-1), model_.prompt_positions(prompts_[p]).next, n_};
        joining_.push_back(p);
      }
      Row row;
      row.prompt = p;
      row.index = static_cast<int32_t>(next_ % n_);
      row.segment = cache_.add_segment(prompt.segment);
      row.position = prompt.next_position;
      if (sampling_.repetition_penalty != 1.0f) row.seen = prompts_[p].tokens;
      row.out.tokens.reserve(std::min(sampling_.max_new_tokens, kReservedTokens));
      for (auto* values : {&row.out.log_probs, &row.out.sampling_log_probs}) values->reserve(row.out.tokens.capacity());
      active_.push_back(std::move(row));
    }
  }

  // Hidden states that a token follows: of the completions that go on, of the prompts that join, of the one that is
  // resumed.
  Tensor hidden_rows(size_t going_on, bool resumed) {
    fill_batch(going_on);
    if (joining_.empty() && !resumed) return model_.hidden(graph_, batch_, cache_).value();
    const int64_t fresh = static_cast<int64_t>(last_.size());
    Tensor rows = backend_.empty({fresh + (resumed ? 1 : 0), model_.info().hidden_size});
    if (fresh > 0) {
      Tensor part = rows.rows(0, fresh);
      const Variable hidden = model_.hidden(graph_, batch_, cache_);
      backend_.gather_rows(hidden.value(), ops::upload_index(backend_, last_), part);
    }
    if (resumed) {
      Tensor part = rows.rows(fresh, fresh + 1);
      backend_.copy(begin_, part);
    }
    // Only completions of the last prompt can have found no room.
    if (!joining_.empty() && next_ % n_ != 0) {
      begin_ = backend_.empty({1, rows.shape()[1]});
      backend_.copy(rows.rows(fresh - 1, fresh), begin_);
    }
    return rows;
  }

  // The prompts that join, then a token of each completion that goes on. last_ is where a token follows, the
  // completions first.
  void fill_batch(size_t going_on) {
    cache_.clear_runs();
    if (joining_.empty()) batch_.clear();
    else pack_joining();
    last_.clear();
    for (size_t i = 0; i < going_on; ++i) {
      Row& row = active_[i];
      last_.push_back(static_cast<int32_t>(batch_.tokens.size()));
      batch_.tokens.push_back(row.out.tokens.back());
      for (auto& axis : batch_.positions) axis.push_back(row.position);
      const int32_t count = backend_.dry_run() ? repeat_last(row) : 1;
      row.position += count;
      cache_.extend(row.segment, count);
    }
    for (size_t i = 0; i < joining_.size(); ++i) {
      const Segment& segment = batch_.tree->segments[i];
      last_.push_back(segment.start + segment.length - 1);
    }
  }

  void pack_joining() {
    std::vector<const Prompt*> list;
    for (const int32_t p : joining_) list.push_back(&prompts_[p]);
    batch_ = pack_prompts(model_, list);
    for (size_t i = 0; i < joining_.size(); ++i)
      cache_.extend(encoded_[joining_[i]].segment, batch_.tree->segments[i].length);
  }

  Tensor head(const Tensor& rows) {
    const Variable normed = model_.final_norm(graph_, Variable(rows));
    return ops::linear(graph_, normed, nn::leaf(graph_, model_.head()), nullptr, nullptr).value();
  }

  // Logits of hidden_rows to those of each completion: the first tokens of a prompt's completions share theirs.
  Tensor spread(const Tensor& logits, size_t going_on) {
    std::vector<int32_t> source;
    for (size_t i = 0; i < active_.size(); ++i) {
      const auto joined = std::find(joining_.begin(), joining_.end(), active_[i].prompt);
      source.push_back(static_cast<int32_t>(i < going_on ? i : going_on + (joined - joining_.begin())));
    }
    Tensor each = backend_.empty({static_cast<int64_t>(source.size()), logits.shape()[1]});
    backend_.gather_rows(logits, ops::upload_index(backend_, source), each);
    return each;
  }

  void take_tokens(const Tensor& logits) {
    const Span span("sampling", "rows", static_cast<int64_t>(active_.size()));
    samples_.clear();
    for (const Row& row : active_) {
      const uint64_t stream = first_row_ + static_cast<uint64_t>(row.prompt);
      samples_.push_back({random_uniform(seed_, stream, static_cast<uint64_t>(row.index), row.out.tokens.size()),
                          row.seen.data(), static_cast<int64_t>(row.seen.size())});
    }
    backend_.sample(logits, options_, samples_, sampled_);
    tokens_.clear();
    for (size_t i = 0; i < sampled_.size(); ++i) {
      check(sampled_[i].token >= 0, ErrorCode::kState, "generate: prompt ", active_[i].prompt, ", token ",
            active_[i].out.tokens.size(), kNoToken);
      tokens_.push_back(sampled_[i].token);
    }
    plain_log_probs(logits);
    for (size_t i = 0; i < tokens_.size(); ++i)
      check(std::isfinite(plain_[i]), ErrorCode::kState, "generate: prompt ", active_[i].prompt, ", token ",
            active_[i].out.tokens.size(), kNoToken);
    for (size_t i = 0; i < tokens_.size(); ++i) {
      Row& row = active_[i];
      if (is_full(row)) continue;  // held by a dry run
      row.out.tokens.push_back(tokens_[i]);
      row.out.log_probs.push_back(plain_[i]);
      row.out.sampling_log_probs.push_back(sampled_[i].logp);
      if (sampling_.repetition_penalty != 1.0f) row.seen.push_back(tokens_[i]);
    }
  }

  // The same kernel as in training, on the same logits.
  void plain_log_probs(const Tensor& logits) {
    const int64_t n = static_cast<int64_t>(tokens_.size());
    Tensor lse = backend_.empty({n});
    Tensor logp = backend_.empty({n});
    const float temperature = sampling_.temperature > 0 ? sampling_.temperature : 1.0f;
    backend_.token_logp(logits, ops::upload_index(backend_, tokens_), temperature, lse, logp, nullptr);
    plain_.resize(tokens_.size());
    backend_.download(logp, plain_.data());
  }

  void note_news(GenerateProgress& done) const {
    done.tokens += static_cast<int64_t>(active_.size());
    done.news.clear();
    for (const Row& row : active_) done.news.push_back({int64_t{row.prompt} * n_ + row.index, row.out.tokens.back()});
  }

  bool is_full(const Row& row) const { return static_cast<int32_t>(row.out.tokens.size()) >= sampling_.max_new_tokens; }

  void drop_finished(GenerateProgress& done) {
    size_t may_end = backend_.dry_run() ? dry_ends() : active_.size();
    size_t kept = 0;
    for (size_t i = 0; i < active_.size(); ++i) {
      Row& row = active_[i];
      const auto& stops = sampling_.stop_tokens;
      row.out.stopped = std::find(stops.begin(), stops.end(), row.out.tokens.back()) != stops.end();
      if (may_end > 0 && (row.out.stopped || is_full(row))) {
        finish(row);
        --may_end;
        done.finished++;
      } else {
        if (kept != i) active_[kept] = std::move(row);
        ++kept;
      }
    }
    active_.erase(active_.begin() + static_cast<int64_t>(kept), active_.end());
  }

  void finish(Row& row) {
    cache_.release(backend_, row.segment);
    EncodedPrompt& prompt = encoded_[row.prompt];
    if (--prompt.unfinished == 0 && !backend_.dry_run()) cache_.release(backend_, prompt.segment);
    out_[row.prompt][row.index] = std::move(row.out);
  }

  // -- A dry run needs what completions of any length need at most: where others wait, those of full length stay as
  // long as they leave room for one prompt's, and prompts as long as one of their completions could still be under way.

  size_t dry_ends() const {
    if (!is_full(active_.back())) return 0;
    return next_ < total_ ? static_cast<size_t>(n_ - next_ % n_) : active_.size();
  }

  void dry_release(int32_t joining) {
    if (joining - oldest_ >= max_rows_) cache_.release(backend_, encoded_[oldest_++].segment);
  }

  // Draws tokens like the last; one less than what the cache has to take then. Those that came later reach their full
  // length at once: the first ones have shown what is needed on the way.
  int32_t repeat_last(Row& row) const {
    Completion& out = row.out;
    const int32_t room = sampling_.max_new_tokens - static_cast<int32_t>(out.tokens.size());
    if (room == 0) return 0;
    const int32_t more = (next_ > max_rows_ ? room : std::min(kDryStride, room)) - 1;
    for (auto* values : {&out.log_probs, &out.sampling_log_probs}) values->insert(values->end(), more, 0.0f);
    out.tokens.insert(out.tokens.end(), more, out.tokens.back());
    return more + 1;
  }

  Model& model_;
  Backend& backend_;
  const std::vector<Prompt>& prompts_;
  const int32_t n_;
  const int64_t total_;
  const int64_t max_rows_;
  const SamplingOptions& sampling_;
  const uint64_t seed_;
  const uint64_t first_row_;
  Graph graph_;
  SampleOptions options_;
  KvCache cache_;
  std::vector<EncodedPrompt> encoded_;
  std::vector<std::vector<Completion>> out_;
  int64_t next_ = 0;              // completion that joins next
  int64_t oldest_ = 0;            // prompt that a dry run keeps
  std::vector<Row> active_;       // in the order in which they joined
  std::vector<int32_t> joining_;  // prompts
  Tensor begin_;                  // [1, E]: what completions that found no room begin with
  // Of one step; kept so that a step allocates nothing for them.
  PackedBatch batch_;
  std::vector<int32_t> last_;
  std::vector<SampleRow> samples_;
  std::vector<Sampled> sampled_;
  std::vector<int32_t> tokens_;
  std::vector<float> plain_;
};

}  // namespace

std::vector<std::vector<Completion>> generate(Model& model, const std::vector<Prompt>& prompts,
                                              const GenerateOptions& options, const StopFlag& stop,
                                              const std::function<void(const GenerateProgress&)>& progress) {
  options.sampling.validate(model.info().vocab_size);
  check(options.n > 0, ErrorCode::kArgument, "n: expected 1 or more, got ", options.n);
  check(options.max_rows >= 0, ErrorCode::kArgument, "max_rows: expected 0 (no limit) or more, got ", options.max_rows);
  check(!prompts.empty(), ErrorCode::kArgument, "prompts: expected at least one");
  model.parameters().check_sources();
  for (size_t i = 0; i < prompts.size(); ++i) model.check_prompt(prompts[i], "prompt " + std::to_string(i));
  const StopScope scope(model.backend(), stop);
  return Generation(model, prompts, options).run(stop, progress);
}

}  // namespace vlmr1
