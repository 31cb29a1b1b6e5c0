// The parameters of a model. What trains lies in one allocation, gradients and optimizer moments likewise; what is
// frozen is held where the checkpoint put it, mostly a mapped file.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "nn/training_plan.h"

namespace vlmr1 {

class Backend;

// Where in a model a parameter is. The merger follows the vision tower and leads into the language model.
enum class Part : uint8_t { kVision, kMerger, kLanguage };

struct ParameterSpec {
  std::string name;  // as in published checkpoints
  Shape shape;
  Part part = Part::kLanguage;
  bool linear = false;  // weight [out, in] of a linear layer that LoRA can adapt
};

struct Parameter {
  std::string name;
  Shape shape;
  Part part = Part::kLanguage;
  Tensor value;   // what ops read, f32, bf16 or f16; empty where it is frozen and not loaded yet
  Tensor master;  // f32, what the optimizer updates: `value` itself, unless that is bf16; empty when frozen
  Tensor grad;    // f32; empty when frozen
  bool trainable = false;
  bool decays = false;       // weight decay applies: two or more axes
  int64_t train_offset = 0;  // first element among the trainable ones (gradients and moments)
};

// The low-rank addition to a linear layer: y += scale · (x · Aᵀ) · Bᵀ.
struct Adapter {
  std::string module;
  Parameter* a = nullptr;  // [rank, in]
  Parameter* b = nullptr;  // [out, rank]
  float scale = 1.0f;
  float dropout = 0.0f;
  uint64_t index = 0;  // names its random numbers
  // As they were loaded, where the plan keeps that.
  Tensor start_a;
  Tensor start_b;
};

class ParameterStore {
 public:
  ParameterStore() = default;
  // Trainable parameters and adapters are there, zero; frozen ones are empty. Throws ERR_ARGUMENT for names in the
  // plan that no parameter or linear layer has.
  ParameterStore(Backend& backend, const std::vector<ParameterSpec>& specs, const TrainingPlan& plan);
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  const TrainingPlan& plan() const { return plan_; }
  // What products of activations with each other round them to.
  DType activation_products() const { return plan_.precision == Precision::kBF16 ? DType::kBF16 : DType::kF32; }
  // The model's own parameters, then those of the adapters.
  std::deque<Parameter>& all() { return parameters_; }
  const std::deque<Parameter>& all() const { return parameters_; }
  size_t base_count() const { return base_count_; }
  // Throws ERR_STATE for an unknown name.
  Parameter& get(const std::string& name);
  bool has(const std::string& name) const { return index_.count(name) != 0; }
  const std::map<std::string, Adapter>& adapters() const { return adapters_; }
  // Of a linear layer, by its name without ".weight"; null where it has none.
  const Adapter* adapter(const std::string& module) const;
  // Copies what the adapters are now, where the plan keeps that.
  void keep_start(Backend& backend);

  int64_t numel() const;            // of the model, adapters aside
  int64_t trainable_count() const;  // elements that train
  bool trains() const { return trainable_numel_ > 0; }
  bool trains(Part part) const;
  void zero_grad(Backend& backend);
  // Before frozen parameters are read: `check` throws where their file is no longer what it was.
  void add_source(std::function<void()> check) { sources_.push_back(std::move(check)); }
  void check_sources() const {
    for (const auto& check : sources_) check();
  }
  // Masters were written: what ops read is made from them, and packed copies that a back end keeps are stale.
  void refresh(Backend& backend);
  // The same where what ops read was written with them.
  void mark_written();

  // Flat and padded, over all trainable parameters; moments are allocated on first use.
  Tensor& moment1(Backend& backend);
  Tensor& moment2(Backend& backend);
  bool has_moments() const { return static_cast<bool>(moment1_); }
  // A parameter's part of a flat tensor, in its shape.
  static Tensor slice(const Tensor& flat, const Parameter& p);
  int64_t step_count = 0;

 private:
  Parameter& add(const std::string& name, const Shape& shape, Part part, bool trainable);
  void add_adapters(const std::vector<ParameterSpec>& specs);
  void allocate(Backend& backend);

  TrainingPlan plan_;
  std::deque<Parameter> parameters_;  // layers keep pointers to them
  size_t base_count_ = 0;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, Adapter> adapters_;
  Tensor masters_;
  Tensor copies_;  // bf16, of the masters of matrices
  Tensor grads_;
  Tensor moment1_;
  Tensor moment2_;
  int64_t trainable_numel_ = 0;  // with padding
  std::vector<std::function<void()>> sources_;
};

}  // namespace vlmr1
