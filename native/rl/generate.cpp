#include "rl/generate.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vlmr1 {

namespace {

// Tokens that a dry run goes on by at once. Between them every step needs the same memory again: a cache takes it in
// blocks of a multiple of these.
constexpr int32_t kDryStride = 16;

// Completions join in the order of the prompts, as soon as there is room.
class Generation {
 public:
  Generation(Model& model, const std::vector<Prompt>& prompts, const GenerateOptions& options)
      : dry_(model.backend().dry_run()),
        n_(options.n),
        total_(static_cast<int64_t>(prompts.size()) * options.n),
        max_rows_(options.max_rows > 0 ? std::min<int64_t>(options.max_rows, total_) : total_),
        sampling_(options.sampling),
        seed_(options.seed),
        first_row_(options.first_row),
        batch_(model, options.adapter),
        encoded_(prompts.size()),
        unfinished_(prompts.size(), options.n),
        out_(prompts.size(), std::vector<Completion>(options.n)) {
    for (size_t p = 0; p < prompts.size(); ++p) encoded_[p].prompt = &prompts[p];
  }

  std::vector<std::vector<Completion>> run(const StopFlag& stop,
                                           const std::function<void(const GenerateProgress&)>& progress) {
    GenerateProgress done;
    done.total = total_;
    while (done.finished < total_) {
      stop.check();
      admit();
      if (dry_) repeat_last();
      batch_.pass();
      note_news(done);
      drop_finished(done);
      if (progress) progress(done);
    }
    return std::move(out_);
  }

 private:
  // Lets completions begin where there is room.
  void admit() {
    for (; static_cast<int64_t>(batch_.rows().size()) < max_rows_ && next_ < total_; ++next_) {
      const int64_t p = next_ / n_;
      if (dry_ && next_ % n_ == 0) dry_release(p);
      DecodeRow row;
      row.id = static_cast<uint64_t>(next_);
      row.prompt = &encoded_[p];
      row.sampling = &sampling_;
      row.seed = seed_;
      row.stream = first_row_ + static_cast<uint64_t>(p);
      row.index = static_cast<uint64_t>(next_ % n_);
      batch_.join(std::move(row));
      // Only completions of the last prompt can find no room.
      encoded_[p].keeps_end = (next_ + 1) % n_ != 0;
    }
  }

  int64_t prompt_of(const DecodeRow& row) const { return static_cast<int64_t>(row.id) / n_; }

  void note_news(GenerateProgress& done) {
    done.tokens += static_cast<int64_t>(batch_.rows().size());
    done.news.clear();
    for (const DecodeRow& row : batch_.rows()) {
      check(!row.failed, ErrorCode::kState, "generate: prompt ", prompt_of(row), ", token ", row.out.tokens.size(),
            kNoToken);
      done.news.push_back({static_cast<int64_t>(row.id), row.out.tokens.back()});
    }
  }

  void drop_finished(GenerateProgress& done) {
    size_t may_end = dry_ ? dry_ends() : batch_.rows().size();
    const auto ended = [&](DecodeRow& row) {
      row.out.stopped = sampling_.stops_at(row.out.tokens.back());
      if (may_end == 0 || !(row.out.stopped || row.is_full())) return false;
      --may_end;
      return true;
    };
    batch_.drop(ended, [&](DecodeRow& row) {
      const int64_t p = prompt_of(row);
      if (--unfinished_[p] == 0 && !dry_) batch_.release(encoded_[p]);
      out_[p][row.index] = std::move(row.out);
      done.finished++;
    });
  }

  // -- A dry run needs what completions of any length need at most: where others wait, those of full length stay as
  // long as they leave room for one prompt's, and prompts as long as one of their completions could still be under way.

  size_t dry_ends() {
    const auto& rows = batch_.rows();
    if (!rows.back().is_full()) return 0;
    return next_ < total_ ? static_cast<size_t>(n_ - next_ % n_) : rows.size();
  }

  void dry_release(int64_t joining) {
    if (joining - oldest_ >= max_rows_) batch_.release(encoded_[static_cast<size_t>(oldest_++)]);
  }

  // Draws tokens like the last; one less than what the cache has to take then. Those that came later reach their full
  // length at once: the first ones have shown what is needed on the way.
  void repeat_last() {
    for (size_t i = 0; i < batch_.going_on(); ++i) {
      DecodeRow& row = batch_.rows()[i];
      Completion& out = row.out;
      const int32_t room = sampling_.max_new_tokens - static_cast<int32_t>(out.tokens.size());
      row.advance = next_ > max_rows_ ? room : std::min(kDryStride, room);
      if (room == 0) continue;
      const int32_t more = row.advance - 1;
      for (auto* values : {&out.log_probs, &out.sampling_log_probs}) values->insert(values->end(), more, 0.0f);
      out.tokens.insert(out.tokens.end(), more, out.tokens.back());
    }
  }

  const bool dry_;
  const int32_t n_;
  const int64_t total_;
  const int64_t max_rows_;
  const SamplingOptions& sampling_;
  const uint64_t seed_;
  const uint64_t first_row_;
  DecodeBatch batch_;
  std::vector<EncodedPrompt> encoded_;
  std::vector<int32_t> unfinished_;  // completions of each prompt
  std::vector<std::vector<Completion>> out_;
  int64_t next_ = 0;    // completion that joins next
  int64_t oldest_ = 0;  // prompt that a dry run keeps
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
