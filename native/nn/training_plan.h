// What of a model trains, and in which type it is held: decided before the weights are read.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace vlmr1 {

enum class TrainMode { kNone, kFull, kLora };

// Type of the matrices that products read. kAuto: frozen ones as they are stored (f16 as f32), trained and writable
// ones f32, and the other operand f32. kBF16: both operands of the model's own layers and of attention; what trains has
// f32 masters besides, adapters are f32. Sums are always f32.
enum class Precision { kAuto, kF32, kBF16 };

struct LoraModule {
  std::string name;  // a linear layer's, without ".weight"
  int64_t rank = 0;
  float scale = 1.0f;  // alpha / rank, or alpha / √rank
};

struct LoraPlan {
  std::vector<LoraModule> modules;  // empty: no adapter
  float dropout = 0.0f;             // of an adapter's input while training, in [0, 1)
  uint64_t seed = 0;                // of fresh adapters: A uniform in ±1/√in, B zero
  std::string weights;              // adapter_model.safetensors in PEFT's format, or empty for a fresh one
  bool keep_start = false;          // a copy stays as it was loaded, for AdapterMode::Use::kStart
};

// Of AdamW's two moments: f32, or a byte each with a scale per block (backend/moment_code.h).
enum class MomentType { kF32, kInt8 };

struct TrainingPlan {
  TrainMode mode = TrainMode::kNone;
  Precision precision = Precision::kAuto;
  std::set<std::string> frozen;  // names that stay as they are under kFull
  LoraPlan lora;                 // with kNone it is used and not trained
  // Names without weight decay, beside all of one axis. An adapter follows its layer's weight.
  std::set<std::string> no_decay;
  MomentType moments = MomentType::kF32;
  bool stochastic_rounding = false;  // with kFull and kBF16: matrices have no f32 masters
  bool writable = false;             // with kNone and no adapter: weights lie in memory of their own
};

}  // namespace vlmr1
