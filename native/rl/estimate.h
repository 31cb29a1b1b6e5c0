// What a GRPO run needs of memory, found by doing it: a training step on a back end that counts and computes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/stop.h"
#include "models/model.h"

namespace vlmr1 {

struct PromptShape {
  int64_t tokens = 0;  // those that stand for pictures are among them
  std::vector<std::array<int32_t, 3>> grids;
};

// What log-probabilities are compared with: nothing, the model itself with its adapter off or as it was at the start,
// or a second model.
enum class ReferencePolicy { kNone, kSame, kCopy };

struct StepWorkload {
  int32_t completions = 1;  // per prompt
  int32_t max_new_tokens = 1;
  std::vector<std::vector<int32_t>> micro_batches;  // indices of prompts
  int32_t evaluated = 0;                            // prompts that an evaluation hands over at once; 0: there is none
  int32_t earlier_steps = 0;                        // those whose pictures a model may still keep something of
  int32_t max_rows = 0;                             // completions that are under way at once; 0: all
  int32_t evaluated_rows = 0;                       // the same of an evaluation
};

struct PhaseMemory {
  std::string name;
  MemoryUse use;    // at the phase's peak
  size_t held = 0;  // of the device's memory when it ends, which is most: nothing is given back in a step
};

// Prompts of these shapes: tokens of text, then the pictures' tokens. Throws ERR_ARGUMENT.
std::vector<Prompt> prompts_of_shapes(const ModelInfo& model, const std::vector<PromptShape>& shapes);

// An evaluation, then training steps whose completions all have full length, until they need no more memory than the
// one before. Every step has pictures of its own, told apart by their first value. `reference` may be `model` itself,
// another model, or null.
std::vector<PhaseMemory> measure_steps(Model& model, Model* reference, const std::vector<Prompt>& prompts,
                                       const StepWorkload& workload, const StopFlag& stop);

struct EstimateOptions {
  std::string config;  // the text of a config.json
  LoadOptions load;
  DType stored = DType::kF32;  // type of the weights in the checkpoint
  int threads = 0;
  std::string isa;
  std::vector<PromptShape> prompts;
  StepWorkload workload;
  ReferencePolicy reference = ReferencePolicy::kNone;
  // Of a second model: its own precision, and whether it follows the policy.
  Precision reference_precision = Precision::kAuto;
  bool reference_writable = false;
};

struct MemoryEstimate {
  std::string device;
  ModelInfo model;
  std::vector<PhaseMemory> phases;  // the first is "load"
  size_t picture_bytes = 0;         // pixel values of all prompts
};

// Throws ERR_CONFIG, ERR_ARGUMENT, ERR_TOKENS.
MemoryEstimate estimate_memory(const EstimateOptions& options, const StopFlag& stop);

}  // namespace vlmr1
