// Reverse-mode differentiation. An op computes through the back end and records a closure for its gradient; without
// recording nothing is kept.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "core/tensor.h"

namespace vlmr1 {

// Where a gradient arrives. A parameter's slot holds its gradient tensor from the start, kernels add to it; other slots
// are filled by the first gradient and added to by later ones, in the order of the tape.
struct GradSlot {
  Tensor grad;
};

class Variable {
 public:
  Variable() = default;
  explicit Variable(Tensor value, std::shared_ptr<GradSlot> slot = nullptr)
      : value_(std::move(value)), slot_(std::move(slot)) {}

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  bool needs_grad() const { return slot_ != nullptr; }
  const std::shared_ptr<GradSlot>& slot() const { return slot_; }
  Variable reshaped(Shape shape) const;  // only where no gradient flows, or for parameters

 private:
  Tensor value_;
  std::shared_ptr<GradSlot> slot_;
};

// How linear layers use their adapters in one forward pass.
struct AdapterMode {
  enum class Use {
    kOn,
    kOff,    // the model without them: the reference of a fresh adapter's training
    kStart,  // as they were loaded: that of one which was there before
  };
  Use use = Use::kOn;
  bool training = false;  // with dropout
  uint64_t seed = 0;      // of the dropout
};

class Graph {
 public:
  Graph(Backend& backend, bool recording, AdapterMode adapters = {})
      : backend_(backend), recording_(recording), adapters_(adapters) {}

  Backend& backend() { return backend_; }
  bool recording() const { return recording_; }
  const AdapterMode& adapters() const { return adapters_; }
  // Whether any op had an input that needs a gradient, recorded or not.
  bool met_gradient() const { return met_gradient_; }
  void meet_gradient() { met_gradient_ = true; }

  // The result of an op: it needs a gradient when the graph records and any input does.
  Variable result(Tensor value, std::initializer_list<const Variable*> inputs);
  // `backward` reads out's gradient and adds to the inputs' slots; it runs once, then what it holds is freed.
  template <typename Backward>
  void record(const Variable& out, Backward&& backward) {
    if (out.needs_grad()) tape_.push_back({out.slot(), std::forward<Backward>(backward)});
  }
  // Adds a gradient to a slot; takes the tensor over when it is the first.
  void accumulate(const std::shared_ptr<GradSlot>& slot, Tensor grad);
  // Runs the tape from `root`, whose gradient is `seed`. The tape is empty afterwards.
  void backward(const Variable& root, Tensor seed);

 private:
  struct Step {
    std::shared_ptr<GradSlot> out;
    std::function<void(const Tensor&)> backward;
  };
  Backend& backend_;
  bool recording_;
  AdapterMode adapters_;
  bool met_gradient_ = false;
  std::vector<Step> tape_;
};

// Runs `block` without keeping its activations, and again in the backward pass. Same kernels, same bits.
Variable recompute(Graph& graph, const Variable& input, const std::function<Variable(Graph&, const Variable&)>& block);

}  // namespace vlmr1
