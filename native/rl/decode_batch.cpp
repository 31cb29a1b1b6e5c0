#include "rl/decode_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/random.h"
#include "core/trace.h"
#include "models/batching.h"
#include "ops/linear.h"
#include "ops/rows.h"

namespace vlmr1 {

const char* const kNoToken =
    ": every logit is banned, or one is infinite or not a number; the weights may have diverged";

namespace {
// Room that a completion gets at once for its tokens; longer ones grow.
constexpr int32_t kReservedTokens = 512;
}  // namespace

DecodeBatch::DecodeBatch(Model& model, AdapterMode::Use adapter)
    : model_(model), backend_(model.backend()), graph_(backend_, false, {adapter, false, 0}) {}

void DecodeBatch::join(DecodeRow row) {
  const SamplingOptions& sampling = *row.sampling;
  if (sampling.penalizes()) row.seen = row.prompt->prompt->tokens;
  row.out.tokens.reserve(std::min(sampling.max_new_tokens, kReservedTokens));
  for (auto* values : {&row.out.log_probs, &row.out.sampling_log_probs}) values->reserve(row.out.tokens.capacity());
  rows_.push_back(std::move(row));
}

DecodeRow DecodeBatch::take_back_joined() {
  DecodeRow row = std::move(rows_.back());
  rows_.pop_back();
  return row;
}

void DecodeBatch::pass() {
  try {
    begin_rows();
    draw(next_logits());
  } catch (...) {
    take_back_pass();
    throw;
  }
  commit();
}

// Rows that joined, and the prompts that they are the first of, get their places.
void DecodeBatch::begin_rows() {
  cache_.clear_runs();
  ++pass_;
  joining_.clear();
  resumed_.clear();
  for (size_t i = going_on_; i < rows_.size(); ++i) {
    DecodeRow& row = rows_[i];
    EncodedPrompt& prompt = *row.prompt;
    if (prompt.pass != pass_) {
      prompt.pass = pass_;
      prompt.resumed = prompt.segment >= 0;
      auto& list = prompt.resumed ? resumed_ : joining_;
      prompt.place = static_cast<int32_t>(list.size());
      list.push_back(&prompt);
      if (!prompt.resumed) {
        prompt.next_position = model_.prompt_positions(*prompt.prompt).next;
        prompt.segment = cache_.add_segment(-1);
      }
    }
    row.segment = cache_.add_segment(prompt.segment);
    row.position = prompt.next_position;
  }
}

void DecodeBatch::take_back_pass() {
  cache_.take_back_runs(backend_);
  for (size_t i = going_on_; i < rows_.size(); ++i)
    if (rows_[i].segment >= 0) cache_.release(backend_, std::exchange(rows_[i].segment, -1));
  for (EncodedPrompt* prompt : joining_) release(*prompt);
}

void DecodeBatch::release(EncodedPrompt& prompt) {
  if (prompt.segment >= 0) cache_.release(backend_, std::exchange(prompt.segment, -1));
  prompt.end = Tensor();
}

// What each row's next token is drawn from, in their order.
Tensor DecodeBatch::next_logits() {
  // Where prompts join, rows that go on are in the same pass.
  const Span span(joining_.empty() ? "decode step" : "prefill", [&] {
    return Work{"prompts,rows", {static_cast<int64_t>(joining_.size()), static_cast<int64_t>(going_on_)}};
  });
  const Tensor rows = hidden_rows();
  for (EncodedPrompt* prompt : resumed_)
    if (!prompt->keeps_end) prompt->end = Tensor();
  // One each, in their order.
  if (resumed_.empty() && rows.shape()[0] == static_cast<int64_t>(rows_.size())) return head(rows);
  return spread(head(rows));
}

// Hidden states that a token follows: of the rows that go on, of the prompts that join, of those that are resumed.
Tensor DecodeBatch::hidden_rows() {
  fill_batch();
  if (joining_.empty() && resumed_.empty()) return model_.hidden(graph_, batch_, cache_).value();
  const int64_t fresh = static_cast<int64_t>(last_.size());
  const int64_t resumed = static_cast<int64_t>(resumed_.size());
  Tensor rows = backend_.empty({fresh + resumed, model_.info().hidden_size});
  if (fresh > 0) {
    Tensor part = rows.rows(0, fresh);
    const Variable hidden = model_.hidden(graph_, batch_, cache_);
    backend_.gather_rows(hidden.value(), ops::upload_index(backend_, last_), part);
  }
  for (int64_t i = 0; i < resumed; ++i) {
    Tensor part = rows.rows(fresh + i, fresh + i + 1);
    backend_.copy(resumed_[i]->end, part);
  }
  keep_ends(rows);
  return rows;
}

void DecodeBatch::keep_ends(const Tensor& rows) {
  for (size_t i = 0; i < joining_.size(); ++i) {
    if (!joining_[i]->keeps_end) continue;
    const int64_t row = static_cast<int64_t>(going_on_ + i);
    joining_[i]->end = backend_.empty({1, rows.shape()[1]});
    backend_.copy(rows.rows(row, row + 1), joining_[i]->end);
  }
}

// The prompts that join, then a token of each row that goes on. last_ is where a token follows, the rows first.
void DecodeBatch::fill_batch() {
  if (joining_.empty()) batch_.clear();
  else pack_joining();
  last_.clear();
  for (size_t i = 0; i < going_on_; ++i) {
    const DecodeRow& row = rows_[i];
    last_.push_back(static_cast<int32_t>(batch_.tokens.size()));
    batch_.tokens.push_back(row.out.tokens.back());
    for (auto& axis : batch_.positions) axis.push_back(row.position);
    cache_.extend(row.segment, row.advance);
  }
  for (size_t i = 0; i < joining_.size(); ++i) {
    const Segment& segment = batch_.tree->segments[i];
    last_.push_back(segment.start + segment.length - 1);
  }
}

void DecodeBatch::pack_joining() {
  std::vector<const Prompt*> list;
  for (const EncodedPrompt* prompt : joining_) list.push_back(prompt->prompt);
  batch_ = pack_prompts(model_, list);
  for (size_t i = 0; i < joining_.size(); ++i) cache_.extend(joining_[i]->segment, batch_.tree->segments[i].length);
}

Tensor DecodeBatch::head(const Tensor& rows) {
  const Variable normed = model_.final_norm(graph_, Variable(rows));
  return ops::linear(graph_, normed, nn::leaf(graph_, model_.head()), nullptr, nullptr).value();
}

// Logits of hidden_rows to those of each row: the first tokens of a prompt's rows share theirs.
Tensor DecodeBatch::spread(const Tensor& logits) {
  std::vector<int32_t> source;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const EncodedPrompt& prompt = *rows_[i].prompt;
    const size_t before = going_on_ + (prompt.resumed ? joining_.size() : 0);
    source.push_back(static_cast<int32_t>(i < going_on_ ? i : before + static_cast<size_t>(prompt.place)));
  }
  Tensor each = backend_.empty({static_cast<int64_t>(source.size()), logits.shape()[1]});
  backend_.gather_rows(logits, ops::upload_index(backend_, source), each);
  return each;
}

void DecodeBatch::draw(const Tensor& logits) {
  const Span span("sampling", "rows", static_cast<int64_t>(rows_.size()));
  samples_.clear();
  for (const DecodeRow& row : rows_)
    samples_.push_back({*row.sampling, random_uniform(row.seed, row.stream, row.index, row.out.tokens.size()),
                        row.seen.data(), static_cast<int64_t>(row.seen.size())});
  backend_.sample(logits, model_.info().banned_tokens, samples_, sampled_);
  tokens_.clear();
  // A row without a token must not read beside its logits.
  for (const Sampled& sampled : sampled_) tokens_.push_back(std::max(sampled.token, 0));
  plain_log_probs(logits);
}

// The same kernel as in training, on the same logits.
void DecodeBatch::plain_log_probs(const Tensor& logits) {
  const int64_t n = static_cast<int64_t>(tokens_.size());
  Tensor lse = backend_.empty({n});
  Tensor logp = backend_.empty({n});
  temperatures_.clear();
  for (const DecodeRow& row : rows_) temperatures_.push_back(row.sampling->plain_temperature());
  backend_.token_logp(logits, ops::upload_index(backend_, tokens_), std::span<const float>(temperatures_), lse, logp,
                      nullptr);
  plain_.resize(tokens_.size());
  backend_.download(logp, plain_.data());
}

void DecodeBatch::commit() {
  for (size_t i = 0; i < rows_.size(); ++i) {
    DecodeRow& row = rows_[i];
    if (i < going_on_) row.position += row.advance;
    row.failed = sampled_[i].token < 0 || !std::isfinite(plain_[i]);
    if (row.failed || row.is_full()) continue;  // full ones are held by a dry run
    row.out.tokens.push_back(tokens_[i]);
    row.out.log_probs.push_back(plain_[i]);
    row.out.sampling_log_probs.push_back(sampled_[i].logp);
    if (row.sampling->penalizes()) row.seen.push_back(tokens_[i]);
  }
  going_on_ = rows_.size();
}

void DecodeBatch::drop(const std::function<bool(DecodeRow&)>& ended, const std::function<void(DecodeRow&)>& take) {
  size_t kept = 0;
  for (size_t i = 0; i < going_on_; ++i) {
    DecodeRow& row = rows_[i];
    if (ended(row)) {
      cache_.release(backend_, row.segment);
      take(row);
    } else {
      if (kept != i) rows_[kept] = std::move(row);
      ++kept;
    }
  }
  const auto begin = rows_.begin();
  rows_.erase(begin + static_cast<int64_t>(kept), begin + static_cast<int64_t>(going_on_));
  going_on_ = kept;
}

}  // namespace vlmr1
