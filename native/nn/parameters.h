// The parameters of a model. What trains or is writable lies in one allocation per type, gradients and optimizer
// moments likewise; what is frozen is held where the checkpoint put it, mostly a mapped file.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "core/tensor.h"
#include "nn/training_plan.h"

namespace vlmr1 {

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
  Tensor value;  // what ops read, f32, bf16 or f16; empty where it is frozen and not loaded yet
  // f32, what the optimizer updates: `value` itself, or what that is rounded from; empty when frozen, and where the
  // optimizer updates a bf16 `value`.
  Tensor master;
  Tensor grad;  // f32; empty when frozen
  bool trainable = false;
  bool held = false;         // in the store's own memory: trained, an adapter's, or writable
  bool decays = false;       // weight decay applies
  int64_t train_offset = 0;  // first element among the trainable ones
  // Of its moments, and of their scales where they are codes.
  int64_t moment_offset = 0;
  int64_t scale_offset = -1;

  // The most exact form.
  const Tensor& exact() const { return master ? master : value; }
  bool is_matrix() const { return shape.rank() >= 2; }
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
  // Grows whenever the weights of a writable store were written: what was computed from them is stale.
  uint64_t written() const { return written_; }
  // Grows whenever any weight was written, trained ones too: keys and values of before are of another model.
  uint64_t version() const { return version_; }

  // Moments are zero, and allocated on first use.
  void make_moments(Backend& backend);
  void drop_moments() { moments_ = {}; }
  bool has_moments() const { return moments_[0].made; }
  // Of a trained parameter; moments must be there.
  Moment moment1(const Parameter& p) const { return moment_of(moments_[0], p); }
  Moment moment2(const Parameter& p) const { return moment_of(moments_[1], p); }
  int64_t step_count = 0;

 private:
  // One moment of all trained parameters, flat and padded.
  struct Moments {
    bool made = false;
    Tensor floats, codes, scales;
  };
  // How a parameter is held: f32, bf16, or f32 with a bf16 copy.
  enum class Form { kF32, kBF16, kBoth };

  void check_plan() const;
  Parameter& add(const std::string& name, const Shape& shape, Part part, bool trainable);
  void add_adapters(const std::vector<ParameterSpec>& specs);
  void exclude_from_decay();
  Form form_of(const Parameter& p, bool of_adapter) const;
  void allocate(Backend& backend);
  void place_moments();
  static Moment moment_of(const Moments& moments, const Parameter& p);

  TrainingPlan plan_;
  std::deque<Parameter> parameters_;  // layers keep pointers to them
  size_t base_count_ = 0;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, Adapter> adapters_;
  Tensor floats_;  // f32: masters, and weights that have no other form
  Tensor halves_;  // bf16: matrices
  Tensor grads_;
  std::array<Moments, 2> moments_;
  int64_t trainable_numel_ = 0;                                        // with padding, as the next three
  int64_t float_moments_ = 0, coded_moments_ = 0, moment_scales_ = 0;  // elements of Moments
  uint64_t written_ = 0;
  uint64_t version_ = 0;
  std::vector<std::function<void()>> sources_;
};

}  // namespace vlmr1
