// What JavaScript hands to the verbs, copied into plain structs on the main thread and fully checked: sizes against
// each other here, values against the model where they are used.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "binding/loss_arguments.h"
#include "binding/reader.h"
#include "image/resample.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "models/random_weights.h"
#include "optim/adamw.h"
#include "rl/estimate.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "rl/request_decoder.h"

namespace vlmr1::binding {

struct EngineArguments {
  bool cuda = false;
  int threads = 0;
  std::string isa;
};
EngineArguments read_engine(const Reader& options);

struct LoadModelArguments {
  std::string directory;
  LoadOptions options;
};
LoadModelArguments read_load_model(const Reader& args);

struct InitModelArguments {
  std::string config;
  std::string directory;
  RandomWeights weights;
};
InitModelArguments read_init_model(const Reader& args);

EstimateOptions read_estimate(const Reader& args);

struct ProcessImageArguments {
  std::vector<uint8_t> rgb;
  int64_t width = 0, height = 0;
  int64_t resized_width = 0, resized_height = 0;
  PatchOptions patches;
};
ProcessImageArguments read_process_image(const Reader& args);

struct GenerateArguments {
  std::vector<Prompt> prompts;
  GenerateOptions options;
};
GenerateArguments read_generate(const Reader& args, const ModelInfo& model);

DecoderOptions read_open_decoder(const Reader& args);
std::vector<DecodeRequest> read_requests(const Reader& list, const ModelInfo& model);
std::vector<uint64_t> read_ids(const Reader& list);
double read_milliseconds(const Reader& reader);

struct LogProbsArguments {
  std::vector<Group> groups;
  float temperature = 1.0f;
  AdapterMode::Use adapter = AdapterMode::Use::kOn;
};
LogProbsArguments read_log_probs(const Reader& args, const ModelInfo& model);

struct AccumulateArguments {
  std::vector<Group> groups;
  Objective objective;
};
AccumulateArguments read_accumulate(const Reader& args, const ModelInfo& model);

AdamWOptions read_step(const Reader& args);

struct SaveArguments {
  enum class What { kModel, kMerged, kAdapter, kGradients, kState };
  std::string path;
  What what = What::kModel;
  SaveDType dtype = SaveDType::kF32;
  int64_t max_shard_bytes = 0;
};
SaveArguments read_save(const Reader& args);

}  // namespace vlmr1::binding
