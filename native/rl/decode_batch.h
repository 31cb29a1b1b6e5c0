// Completions that grow together: one pass over the weights computes the prompts that join and a token of every row
// that goes on. Who joins, who has ended and which prompts stay encoded is for the caller to say.
#pragma once

#include <functional>
#include <vector>

#include "models/model.h"
#include "rl/sampling_options.h"

namespace vlmr1 {

struct Completion {
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;           // plain policy at the temperature (1 when greedy)
  std::vector<float> sampling_log_probs;  // distribution that was sampled from
  bool stopped = false;                   // false: reached max_new_tokens
};

// A prompt that rows hang from; encoded with the first of them, and kept until it is released.
struct EncodedPrompt {
  const Prompt* prompt = nullptr;
  // Whether rows may join in later passes than the next: then `end` stays.
  bool keeps_end = false;
  // -- The batch's.
  int32_t segment = -1;  // -1: not encoded
  int32_t next_position = 0;
  Tensor end;  // [1, E]: the hidden state that rows begin with
  // In the pass of that number: whether it was encoded before, and which one it is among its like.
  uint64_t pass = 0;
  bool resumed = false;
  int32_t place = 0;
};

// A completion under way. What it points to outlives it.
struct DecodeRow {
  uint64_t id = 0;  // the caller's
  EncodedPrompt* prompt = nullptr;
  const SamplingOptions* sampling = nullptr;
  // Random numbers are a function of these and the position.
  uint64_t seed = 0, stream = 0, index = 0;
  // Tokens that the next pass takes into the cache; other than 1 in dry runs only.
  int32_t advance = 1;
  // -- The batch's.
  int32_t segment = -1;
  int32_t position = 0;
  std::vector<int32_t> seen;  // prompt and completion, for the repetition penalty
  bool failed = false;        // no token could be drawn in the last pass
  Completion out;

  bool is_full() const { return static_cast<int32_t>(out.tokens.size()) >= sampling->max_new_tokens; }
};

// Why a row has failed.
extern const char* const kNoToken;

class DecodeBatch {
 public:
  DecodeBatch(Model& model, AdapterMode::Use adapter);

  // It begins with the next pass.
  void join(DecodeRow row);
  // In the order in which they joined; the first `going_on` of them have begun.
  std::vector<DecodeRow>& rows() { return rows_; }
  size_t going_on() const { return going_on_; }
  // Draws a token for every row that is not full. Where this throws, all rows are as they were before, and those that
  // joined have not begun; only prompts that do not keep their end may then have lost it.
  void pass();
  // The youngest of the rows that have not begun.
  DecodeRow take_back_joined();
  // Rows that have begun and for which `ended` holds go to `take`; what the cache holds of them is released before.
  void drop(const std::function<bool(DecodeRow&)>& ended, const std::function<void(DecodeRow&)>& take);
  // No row may hang from it.
  void release(EncodedPrompt& prompt);
  // Places for segments that the cache has, released ones too.
  size_t places() const { return cache_.places(); }

 private:
  void begin_rows();
  Tensor next_logits();
  Tensor hidden_rows();
  void keep_ends(const Tensor& rows);
  void fill_batch();
  void pack_joining();
  Tensor head(const Tensor& rows);
  Tensor spread(const Tensor& logits);
  void draw(const Tensor& logits);
  void plain_log_probs(const Tensor& logits);
  void commit();
  void take_back_pass();

  Model& model_;
  Backend& backend_;
  Graph graph_;
  KvCache cache_;
  std::vector<DecodeRow> rows_;
  size_t going_on_ = 0;
  uint64_t pass_ = 0;
  std::vector<EncodedPrompt*> joining_;  // in this pass
  std::vector<EncodedPrompt*> resumed_;
  // Of one pass; kept so that a pass allocates nothing for them.
  PackedBatch batch_;
  std::vector<int32_t> last_;
  std::vector<SampleRow> samples_;
  std::vector<Sampled> sampled_;
  std::vector<int32_t> tokens_;
  std::vector<float> temperatures_;
  std::vector<float> plain_;
};

}  // namespace vlmr1
