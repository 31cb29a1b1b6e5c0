#include "nn/parameters.h"

#include "backend/moment_code.h"

namespace vlmr1 {

namespace {

// Of f32 64 bytes: every parameter starts on a cache line. A multiple of 4, as stochastic rounding needs.
int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

Tensor view(const Tensor& flat, int64_t offset, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(offset) * dtype_size(flat.dtype());
  return Tensor(flat.storage(), flat.byte_offset() + bytes, shape, flat.dtype());
}

}  // namespace

ParameterStore::ParameterStore(Backend& backend, const std::vector<ParameterSpec>& specs, const TrainingPlan& plan)
    : plan_(plan) {
  check_plan();
  const bool full = plan.mode == TrainMode::kFull;
  for (const ParameterSpec& spec : specs)
    add(spec.name, spec.shape, spec.part, full && plan.frozen.count(spec.name) == 0).held |= plan.writable;
  base_count_ = parameters_.size();
  for (const std::string& name : plan.frozen)
    check(has(name), ErrorCode::kArgument, "frozen: no parameter is named ", name);
  add_adapters(specs);
  exclude_from_decay();
  allocate(backend);
  place_moments();
}

void ParameterStore::check_plan() const {
  check(
      !plan_.stochastic_rounding || (plan_.mode == TrainMode::kFull && plan_.precision == Precision::kBF16),
      ErrorCode::kArgument,
      "stochastic rounding: expected precision bf16 and all of the model trained (train full); leave it off otherwise");
  check(!plan_.writable || (plan_.mode == TrainMode::kNone && plan_.lora.modules.empty()), ErrorCode::kArgument,
        "writable: expected a model that is not trained (train none) and has no adapter");
}

Parameter& ParameterStore::add(const std::string& name, const Shape& shape, Part part, bool trainable) {
  check(index_.emplace(name, parameters_.size()).second, ErrorCode::kState, "parameter ", name, " is listed twice");
  Parameter p;
  p.name = name;
  p.shape = shape;
  p.part = part;
  p.trainable = trainable;
  p.held = trainable;
  p.decays = p.is_matrix();
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
    adapter.a->held = adapter.b->held = true;
    adapters_.emplace(module.name, adapter);
  }
  check(plan_.mode != TrainMode::kFull || adapters_.empty(), ErrorCode::kArgument,
        "lora: an adapter cannot be there while the weights train; merge it first");
  check(plan_.mode != TrainMode::kLora || !adapters_.empty(), ErrorCode::kArgument,
        "lora: expected at least one linear layer to adapt");
}

void ParameterStore::exclude_from_decay() {
  constexpr size_t kSuffix = 7;  // ".weight"
  for (const std::string& name : plan_.no_decay) {
    check(has(name), ErrorCode::kArgument, "noDecay: no parameter is named ", name);
    get(name).decays = false;
    const Adapter* found = name.ends_with(".weight") ? adapter(name.substr(0, name.size() - kSuffix)) : nullptr;
    if (found) found->a->decays = found->b->decays = false;
  }
}

// In bf16 the products read rounded copies of the matrices, or there is nothing else of them; vectors and adapters stay
// f32.
ParameterStore::Form ParameterStore::form_of(const Parameter& p, bool of_adapter) const {
  if (of_adapter || !p.is_matrix() || plan_.precision != Precision::kBF16) return Form::kF32;
  return plan_.stochastic_rounding || plan_.writable ? Form::kBF16 : Form::kBoth;
}

void ParameterStore::allocate(Backend& backend) {
  const MemoryScope weights(MemoryKind::kWeights);
  struct Place {
    int64_t floats, halves;
  };
  std::vector<Place> places;
  int64_t floats = 0, halves = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    places.push_back({floats, halves});
    const Form form = form_of(p, i >= base_count_);
    if (p.held && form != Form::kBF16) floats += padded(p.shape.numel());
    if (p.held && form != Form::kF32) halves += padded(p.shape.numel());
  }
  if (floats > 0) {
    floats_ = backend.zeros({floats});
    floats_.storage()->persistent = true;
  }
  if (halves > 0) {
    halves_ = backend.zeros({halves}, DType::kBF16);
    halves_.storage()->persistent = true;
    halves_.storage()->products = {DType::kBF16, DType::kBF16};
  }
  if (trainable_numel_ > 0) {
    const MemoryScope gradients(MemoryKind::kGradients);
    grads_ = backend.zeros({trainable_numel_});
    if (halves_) grads_.storage()->products = halves_.storage()->products;
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    if (!p.held) continue;
    const Form form = form_of(p, i >= base_count_);
    const Tensor whole = form == Form::kBF16 ? Tensor() : view(floats_, places[i].floats, p.shape);
    p.value = form == Form::kF32 ? whole : view(halves_, places[i].halves, p.shape);
    if (!p.trainable) continue;
    p.master = whole;
    p.grad = view(grads_, p.train_offset, p.shape);
  }
}

// Codes of a parameter begin with a block of their own.
void ParameterStore::place_moments() {
  for (Parameter& p : parameters_) {
    if (!p.trainable) continue;
    const int64_t n = p.shape.numel();
    const bool coded = plan_.moments == MomentType::kInt8 && n >= kLeastCodedElements;
    int64_t& end = coded ? coded_moments_ : float_moments_;
    p.moment_offset = end;
    end += padded(n);
    if (!coded) continue;
    p.scale_offset = moment_scales_;
    moment_scales_ += (n + kMomentBlock - 1) / kMomentBlock;
  }
}

void ParameterStore::make_moments(Backend& backend) {
  if (has_moments()) return;
  const MemoryScope scope(MemoryKind::kOptimizer);
  std::array<Moments, 2> made;  // both or none: memory may end between them
  for (Moments& moments : made) {
    if (float_moments_ > 0) moments.floats = backend.zeros({float_moments_});
    if (coded_moments_ > 0) {
      moments.codes = backend.zeros({coded_moments_}, DType::kU8);
      moments.scales = backend.zeros({moment_scales_});
    }
    moments.made = true;
  }
  moments_ = std::move(made);
}

Moment ParameterStore::moment_of(const Moments& moments, const Parameter& p) {
  check(moments.made && p.trainable, ErrorCode::kState, "no moments of ", p.name);
  if (p.scale_offset < 0) return {view(moments.floats, p.moment_offset, p.shape), {}};
  const int64_t blocks = (p.shape.numel() + kMomentBlock - 1) / kMomentBlock;
  return {view(moments.codes, p.moment_offset, p.shape), view(moments.scales, p.scale_offset, {blocks})};
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
  for (Parameter& p : parameters_)
    if (p.master && p.value.dtype() != DType::kF32) backend.convert(p.master, p.value);
  mark_written();
}

void ParameterStore::mark_written() {
  for (const Tensor* written : {&floats_, &halves_})
    if (*written) written->storage()->version++;
  if (plan_.writable) ++written_;
  ++version_;
}

}  // namespace vlmr1
