// A loaded model: configuration, parameters, and the forward pass over a packed batch.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "autograd/graph.h"
#include "io/json.h"
#include "models/inputs.h"
#include "models/packed_batch.h"
#include "nn/attention_context.h"
#include "nn/layers.h"
#include "nn/parameters.h"

namespace vlmr1 {

struct ModelInfo {
  std::string model_type;
  int64_t parameters = 0;
  int64_t trainable_parameters = 0;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int32_t image_token_id = -1;
  int32_t video_token_id = -1;
  int32_t patch_size = 14;
  int32_t temporal_patch_size = 2;
  int32_t merge_size = 2;
  int64_t max_position_embeddings = 0;
  // Tokens that stand for pictures or video: never sampled.
  std::vector<int32_t> banned_tokens;
};

// What a config.json says, without weights.
struct ModelDescription {
  ModelInfo info;
  std::vector<ParameterSpec> parameters;
};
// Throws ERR_CONFIG.
ModelDescription describe_model(const Json& config);

struct LoadOptions {
  TrainingPlan plan;
  bool gradient_checkpointing = false;
};

// Positions of a prompt's tokens, and the first position after it.
struct PromptPositions {
  std::array<std::vector<int32_t>, 3> axes;
  int32_t next = 0;
};

class Model {
 public:
  virtual ~Model() = default;

  // Reads config.json and the safetensors of a Hugging Face folder. Throws ERR_CONFIG, ERR_CHECKPOINT, ERR_IO.
  static std::unique_ptr<Model> load(Backend& backend, const std::string& directory, const LoadOptions& options);

  // The same for a dry run, without files: every frozen parameter is as if mapped from one that stores it as `stored`.
  static std::unique_ptr<Model> reserve(Backend& backend, const Json& config, const LoadOptions& options, DType stored);

  virtual const ModelInfo& info() const = 0;
  virtual Backend& backend() = 0;
  virtual ParameterStore& parameters() = 0;

  // Throws ERR_TOKENS when ids are out of range or picture tokens and pictures do not match. `where` names the row.
  virtual void check_prompt(const Prompt& prompt, const std::string& where) const = 0;
  virtual PromptPositions prompt_positions(const Prompt& prompt) const = 0;
  // Merged picture tokens of one picture.
  virtual int64_t picture_tokens(const Picture& picture) const = 0;

  // Hidden states [T, E] before the final norm.
  virtual Variable hidden(Graph& graph, const PackedBatch& batch, AttentionContext& attention) = 0;
  // Final norm of some rows.
  virtual Variable final_norm(Graph& graph, const Variable& rows) = 0;
  // [V, E]
  virtual const Parameter& head() = 0;
};

}  // namespace vlmr1
