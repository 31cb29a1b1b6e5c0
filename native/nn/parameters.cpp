#include "nn/parameters.h"

#include "backend/backend.h"

namespace vlmr1 {

namespace {

// 64 bytes: every parameter starts on a cache line.
int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

Tensor view(const Tensor& flat, int64_t offset, const Shape& shape) {
  return Tensor(flat.storage(), static_cast<size_t>(offset) * dtype_size(flat.dtype()), shape, flat.dtype());
}

}  // namespace

ParameterStore::ParameterStore(Backend& backend, const std::vector<ParameterSpec>& specs, const TrainingPlan& plan)
    : plan_(plan) {
  const bool full = plan.mode == TrainMode::kFull;
  for (const ParameterSpec& spec : specs)
    add(spec.name, spec.shape, spec.part, full && plan.frozen.count(spec.name) == 0);
  base_count_ = parameters_.size();
  for (const std::string& name : plan.frozen)
    check(has(name), ErrorCode::kArgument, "frozen: no parameter is named ", name);
  add_adapters(specs);
  allocate(backend);
}

Parameter& ParameterStore::add(const std::string& name, const Shape& shape, Part part, bool trainable) {
  check(index_.emplace(name, parameters_.size()).second, ErrorCode::kState, "parameter ", name, " is listed twice");
  Parameter p;
  p.name = name;
  p.shape = shape;
  p.part = part;
  p.trainable = trainable;
  p.decays = shape.rank() >= 2;
  if (trainable) {
    p.train_offset = trainable_numel_;
    trainable_numel_ += padded(shape.numel());
  }
  parameters_.push_back(std::move(p));
  return parameters_.back();
}

void ParameterStore::add_adapters(const std::vector<ParameterSpec>& specs) {
  std::unordered_map<std::string, const ParameterSpec*> linears;
  for (const ParameterSpec& spec : specs)
    if (spec.linear) linears[spec.name] = &spec;
  for (const LoraModule& module : plan_.lora.modules) {
    const auto found = linears.find(module.name + ".weight");
    check(found != linears.end(), ErrorCode::kArgument, "lora: ", module.name, " is no linear layer of the model");
    check(module.rank > 0, ErrorCode::kArgument, "lora: ", module.name, ": expected a rank above 0, got ", module.rank);
    const ParameterSpec& spec = *found->second;
    const bool trains = plan_.mode == TrainMode::kLora;
    Adapter adapter;
    adapter.module = module.name;
    adapter.a = &add(module.name + ".lora_A.weight", {module.rank, spec.shape[1]}, spec.part, trains);
    adapter.b = &add(module.name + ".lora_B.weight", {spec.shape[0], module.rank}, spec.part, trains);
    adapter.scale = module.scale;
    adapter.dropout = plan_.lora.dropout;
    adapter.index = adapters_.size();
    adapters_.emplace(module.name, adapter);
  }
  check(plan_.mode != TrainMode::kFull || adapters_.empty(), ErrorCode::kArgument,
        "lora: an adapter cannot be there while the weights train; merge it first");
  check(plan_.mode != TrainMode::kLora || !adapters_.empty(), ErrorCode::kArgument,
        "lora: expected at least one linear layer to adapt");
}

// Masters in one f32 array. In bf16 the products read rounded copies of the matrices; vectors and adapters stay f32.
void ParameterStore::allocate(Backend& backend) {
  const MemoryScope weights(MemoryKind::kWeights);
  if (trainable_numel_ > 0) {
    masters_ = backend.zeros({trainable_numel_});
    masters_.storage()->persistent = true;
    const MemoryScope gradients(MemoryKind::kGradients);
    grads_ = backend.zeros({trainable_numel_});
  }
  const bool copies = trainable_numel_ > 0 && plan_.mode == TrainMode::kFull && plan_.precision == Precision::kBF16;
  if (copies) {
    copies_ = backend.zeros({trainable_numel_}, DType::kBF16);
    copies_.storage()->persistent = true;
    copies_.storage()->products = grads_.storage()->products = {DType::kBF16, DType::kBF16};
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    if (p.trainable) {
      p.master = view(masters_, p.train_offset, p.shape);
      p.grad = view(grads_, p.train_offset, p.shape);
      p.value = copies && p.decays ? view(copies_, p.train_offset, p.shape) : p.master;
    } else if (i >= base_count_) {
      p.value = backend.zeros(p.shape);
      p.value.storage()->persistent = true;
    }
  }
}

Parameter& ParameterStore::get(const std::string& name) {
  const auto it = index_.find(name);
  check(it != index_.end(), ErrorCode::kState, "no parameter is named ", name);
  return parameters_[it->second];
}

const Adapter* ParameterStore::adapter(const std::string& module) const {
  const auto it = adapters_.find(module);
  return it == adapters_.end() ? nullptr : &it->second;
}

void ParameterStore::keep_start(Backend& backend) {
  if (!plan_.lora.keep_start) return;
  const MemoryScope scope(MemoryKind::kWeights);
  const auto copy = [&backend](const Parameter& p) {
    Tensor start = backend.empty(p.shape);
    start.storage()->persistent = true;
    backend.copy(p.value, start);
    return start;
  };
  for (auto& [module, adapter] : adapters_) {
    adapter.start_a = copy(*adapter.a);
    adapter.start_b = copy(*adapter.b);
  }
}

int64_t ParameterStore::numel() const {
  int64_t total = 0;
  for (size_t i = 0; i < base_count_; ++i) total += parameters_[i].shape.numel();
  return total;
}

int64_t ParameterStore::trainable_count() const {
  int64_t total = 0;
  for (const Parameter& p : parameters_) total += p.trainable ? p.shape.numel() : 0;
  return total;
}

bool ParameterStore::trains(Part part) const {
  for (const Parameter& p : parameters_)
    if (p.trainable && p.part == part) return true;
  return false;
}

void ParameterStore::zero_grad(Backend& backend) {
  if (grads_) backend.fill(grads_, 0.0f);
}

void ParameterStore::refresh(Backend& backend) {
  if (copies_) backend.convert(masters_, copies_);
  mark_written();
}

void ParameterStore::mark_written() {
  for (const Tensor* written : {&masters_, &copies_})
    if (*written) written->storage()->version++;
  if (plan_.mode == TrainMode::kLora) return;
  for (size_t i = base_count_; i < parameters_.size(); ++i) parameters_[i].value.storage()->version++;
}

Tensor& ParameterStore::moment1(Backend& backend) {
  const MemoryScope scope(MemoryKind::kOptimizer);
  if (!moment1_) moment1_ = backend.zeros({trainable_numel_});
  return moment1_;
}

Tensor& ParameterStore::moment2(Backend& backend) {
  const MemoryScope scope(MemoryKind::kOptimizer);
  if (!moment2_) moment2_ = backend.zeros({trainable_numel_});
  return moment2_;
}

Tensor ParameterStore::slice(const Tensor& flat, const Parameter& p) { return view(flat, p.train_offset, p.shape); }

}  // namespace vlmr1
