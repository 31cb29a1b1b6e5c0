// All parameters of a model in one allocation, gradients and optimizer moments likewise.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"

namespace vlmr1 {

class Backend;

struct Parameter {
  std::string name;  // as in the checkpoint
  Tensor value;
  Tensor grad;  // empty when frozen
  bool trainable = false;
  bool decays = false;       // weight decay applies: two or more axes
  int64_t train_offset = 0;  // first element among the trainable ones (gradients and moments)
};

class ParameterStore {
 public:
  struct Spec {
    std::string name;
    Shape shape;
    bool trainable;
  };

  ParameterStore() = default;
  ParameterStore(Backend& backend, const std::vector<Spec>& specs);

  std::vector<Parameter>& all() { return parameters_; }
  const std::vector<Parameter>& all() const { return parameters_; }
  // Throws ERR_STATE for an unknown name.
  Parameter& get(const std::string& name);
  bool has(const std::string& name) const { return index_.count(name) != 0; }

  int64_t numel() const;
  int64_t trainable_numel() const { return trainable_numel_; }
  void zero_grad(Backend& backend);
  // Values were written: packed copies that a back end keeps are stale.
  void touch() { values_.storage()->version++; }

  // Flat f32 views over all trainable parameters, padded; moments are allocated on first use.
  Tensor& values() { return values_; }
  Tensor& grads() { return grads_; }
  Tensor& moment1(Backend& backend);
  Tensor& moment2(Backend& backend);
  bool has_moments() const { return static_cast<bool>(moment1_); }
  int64_t step_count = 0;

 private:
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, size_t> index_;
  Tensor values_;
  Tensor grads_;
  Tensor moment1_;
  Tensor moment2_;
  int64_t trainable_numel_ = 0;  // with padding
};

}  // namespace vlmr1
