#include "nn/parameters.h"

#include "backend/backend.h"

namespace vlmr1 {

namespace {
// 64 bytes: every parameter starts on a cache line.
int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

Tensor view(const Tensor& flat, int64_t offset, const Shape& shape) {
  return Tensor(flat.storage(), static_cast<size_t>(offset) * sizeof(float), shape, DType::kF32);
}
}  // namespace

ParameterStore::ParameterStore(Backend& backend, const std::vector<Spec>& specs) {
  int64_t total = 0;
  for (const Spec& spec : specs) {
    total += padded(spec.shape.numel());
    if (spec.trainable) trainable_numel_ += padded(spec.shape.numel());
  }
  values_ = backend.zeros({total});
  values_.storage()->persistent = true;
  if (trainable_numel_ > 0) grads_ = backend.zeros({trainable_numel_});
  int64_t offset = 0;
  int64_t train_offset = 0;
  for (const Spec& spec : specs) {
    Parameter p;
    p.name = spec.name;
    p.value = view(values_, offset, spec.shape);
    p.trainable = spec.trainable;
    p.decays = spec.shape.rank() >= 2;
    if (spec.trainable) {
      p.train_offset = train_offset;
      p.grad = view(grads_, train_offset, spec.shape);
      train_offset += padded(spec.shape.numel());
    }
    offset += padded(spec.shape.numel());
    const bool fresh = index_.emplace(spec.name, parameters_.size()).second;
    check(fresh, ErrorCode::kState, "parameter ", spec.name, " is listed twice");
    parameters_.push_back(std::move(p));
  }
}

Parameter& ParameterStore::get(const std::string& name) {
  const auto it = index_.find(name);
  check(it != index_.end(), ErrorCode::kState, "no parameter is named ", name);
  return parameters_[it->second];
}

int64_t ParameterStore::numel() const {
  int64_t total = 0;
  for (const Parameter& p : parameters_) total += p.value.numel();
  return total;
}

void ParameterStore::zero_grad(Backend& backend) {
  if (grads_) backend.fill(grads_, 0.0f);
}

Tensor& ParameterStore::moment1(Backend& backend) {
  if (!moment1_) moment1_ = backend.zeros({trainable_numel_});
  return moment1_;
}

Tensor& ParameterStore::moment2(Backend& backend) {
  if (!moment2_) moment2_ = backend.zeros({trainable_numel_});
  return moment2_;
}

}  // namespace vlmr1
