// Requests to a decoder, what `generate` answers to each alone, and what the decoder has told of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rl/generate.h"
#include "rl/request_decoder.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"

namespace vlmr1::testing {

std::vector<Prompt> golden_prompts(const std::string& folder);

// A tenth of the vocabulary ends a completion, so that they end at all lengths.
SamplingOptions random_lengths(int32_t most);
// Greedy, filtered, penalised and plain ones, of several lengths and temperatures.
std::vector<SamplingOptions> mixed_sampling();

// The same numbers for the same seed.
class Dice {
 public:
  explicit Dice(uint64_t seed) : seed_(seed) {}
  uint64_t below(uint64_t limit);

 private:
  uint64_t seed_, drawn_ = 0;
};

// `count` of the prompts, with ids from 0 on, repeated prompts among them.
std::vector<DecodeRequest> random_requests(const std::vector<Prompt>& prompts, uint64_t count, Dice& dice);

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;
  bool ended = false;
  DecodeEnd end = DecodeEnd::kStop;
  std::string message;
};
using Answers = std::map<uint64_t, Answer>;

// Adds what a step has told. Reports tokens of ended requests.
void collect(Answers& answers, const DecodeNews& news);
// Steps until nothing is left.
void finish(RequestDecoder& decoder, Answers& answers);
Answer alone(Model& model, const DecodeRequest& request);
// Reports where an answer is not what `generate` draws for the request alone, to the bit; an answer that was cut short
// by a removal is the beginning of it.
void expect_as_alone(Model& model, const std::vector<DecodeRequest>& requests, const Answers& answers,
                     const std::string& which);

// Calls a function before keys and values of a layer are appended; it may throw or raise a flag.
class HookedBackend final : public GuardedBackend {
 public:
  explicit HookedBackend(Backend& inner) : GuardedBackend(inner), inner_(inner) {}
  std::function<void(const std::vector<QueryRun>& runs)> before_append;

  Tensor empty(const Shape& shape, DType dtype = DType::kF32) override { return inner_.empty(shape, dtype); }
  Tensor zeros(const Shape& shape, DType dtype = DType::kF32) override { return inner_.zeros(shape, dtype); }
  void kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) override {
    if (before_append) before_append(runs);
    inner_.kv_append(store, runs, k, v);
  }

 private:
  Backend& inner_;
};

// A golden model on such a back end.
struct HookedModel {
  explicit HookedModel(const std::string& folder, int threads = 2);
  std::unique_ptr<Backend> cpu;
  HookedBackend backend;
  std::unique_ptr<Model> model;
};

}  // namespace vlmr1::testing
