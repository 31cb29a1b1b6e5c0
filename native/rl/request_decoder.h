// Continuous batching for requests that come at any time, each with sampling of its own. A request's tokens are the
// bits that `generate` draws, whatever else is under way.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/stop.h"
#include "models/model.h"
#include "rl/decode_batch.h"
#include "rl/shared_prompts.h"

namespace vlmr1 {

// One completion of one prompt. Its random numbers are those of `generate` with this seed, of the prompt with this row
// and the completion of this index.
struct DecodeRequest {
  uint64_t id = 0;
  Prompt prompt;
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t row = 0;
  uint64_t completion = 0;
};

struct DecodedToken {
  uint64_t id = 0;
  int32_t token = 0;
  float log_prob = 0.0f;  // of the plain policy
};

enum class DecodeEnd { kStop, kLength, kError };

struct DecodeEnded {
  uint64_t id = 0;
  DecodeEnd reason = DecodeEnd::kStop;
  std::string message;  // of an error
};

struct DecodeNews {
  std::vector<DecodedToken> tokens;  // in the order in which they were drawn
  std::vector<DecodeEnded> finished;
  int64_t active = 0;
  int64_t waiting = 0;
};

struct DecoderOptions {
  int32_t max_rows = 0;  // requests that are under way at once; 0: all
  AdapterMode::Use adapter = AdapterMode::Use::kOn;
};

class RequestDecoder {
 public:
  // The model outlives it.
  RequestDecoder(Model& model, const DecoderOptions& options);

  // Queues all of them or, where one cannot be decoded, throws and queues none: ERR_TOKENS for its prompt (one that
  // leaves no room for a token below max_position_embeddings too), ERR_ARGUMENT for its sampling or an id that has not
  // ended yet. A completion that would grow beyond max_position_embeddings ends there with kLength.
  void add(std::vector<DecodeRequest> requests);
  // Unknown ids are passed over; what was drawn of the others and not told yet is forgotten.
  void remove(const std::vector<uint64_t>& ids);
  // Passes over the model until something ends or the time is over; one pass at least, where there is anything to do.
  // Where it throws (ERR_ABORTED; ERR_STATE: weights were written while requests are under way), what was drawn so far
  // comes with the next call.
  DecodeNews step(double max_milliseconds, const StopFlag& stop);

  int64_t active() const { return static_cast<int64_t>(requests_.size() - waiting_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  // What it holds of the cache's tree and of prompts.
  size_t places() const { return batch_.places(); }
  size_t prompts() const { return prompts_.size(); }

 private:
  struct Request {
    uint64_t id;
    SharedPrompt* prompt;
    SamplingOptions sampling;
    uint64_t seed, row, completion;
  };

  void check_request(const DecodeRequest& request, const std::string& where) const;
  void check_ids(const std::vector<DecodeRequest>& requests) const;
  int64_t room(const Prompt& prompt) const;
  void meet_weights();
  void admit();
  void join(Request& request);
  void put_back(size_t keep);
  void pass();
  std::string try_pass();
  void give_up_one(const std::string& reason);
  void note_drawn();
  void fail_request(uint64_t id, const std::string& message);
  void forget(uint64_t id);

  Model& model_;
  const int64_t max_rows_;
  uint64_t weights_;  // that the cache was computed with
  DecodeBatch batch_;
  SharedPrompts prompts_;
  std::unordered_map<uint64_t, std::unique_ptr<Request>> requests_;  // that wait or are under way
  std::deque<Request*> waiting_;                                     // in the order in which they join
  DecodeNews untold_;
};

}  // namespace vlmr1
