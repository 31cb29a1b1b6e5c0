// A store's weights, adapters and gradients to safetensors. One tensor is on the host at a time.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"
#include "core/float16.h"
#include "io/checkpoint.h"
#include "io/names.h"
#include "io/weight_files.h"

namespace vlmr1 {

namespace {

using Buffer = std::shared_ptr<std::vector<float>>;

// What a tensor holds, as f32 on the host.
void fetch_f32(Backend& backend, const Tensor& value, std::vector<float>& out) {
  out.resize(static_cast<size_t>(value.numel()));
  if (value.dtype() == DType::kF32) {
    backend.download(value, out.data());
  } else {
    std::vector<uint16_t> bits(out.size());
    backend.download(value, bits.data());
    const auto widen = value.dtype() == DType::kBF16 ? bf16_to_f32 : f16_to_f32;
    for (size_t i = 0; i < out.size(); ++i) out[i] = widen(bits[i]);
  }
  if (value.storage()->discard) value.storage()->discard(value.raw(), value.bytes());
}

TensorToWrite to_write(const std::string& name, const char* dtype, const Shape& shape, const Buffer& buffer,
                       std::function<void(std::vector<float>&)> fetch) {
  TensorToWrite tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = shape.axes();
  tensor.fetch = [buffer, fetch = std::move(fetch)] {
    fetch(*buffer);
    return static_cast<const void*>(buffer->data());
  };
  return tensor;
}

TensorToWrite to_write(Backend& backend, const std::string& name, const char* dtype, const Tensor& value,
                       const Buffer& buffer) {
  return to_write(name, dtype, value.shape(), buffer,
                  [&backend, value](std::vector<float>& out) { fetch_f32(backend, value, out); });
}

// W + scale · B · A, in f32.
void fetch_merged(Backend& backend, const Parameter& weight, const Adapter& adapter, std::vector<float>& out) {
  fetch_f32(backend, weight.exact(), out);
  Tensor merged = backend.empty(weight.shape);
  backend.upload(merged, out.data());
  Tensor b = backend.empty(adapter.b->shape);
  backend.scale(adapter.b->exact(), adapter.scale, b);
  backend.linear_grad_input(b, adapter.a->exact(), merged, Write::kAdd);
  backend.download(merged, out.data());
}

}  // namespace

const char* stored_name(SaveDType dtype) {
  switch (dtype) {
    case SaveDType::kF32: return "F32";
    case SaveDType::kBF16: return "BF16";
    case SaveDType::kF16: return "F16";
  }
  return "?";
}

void save_parameters(Backend& backend, const ParameterStore& parameters, const std::string& directory, SaveDType dtype,
                     int64_t max_shard_bytes, bool merge_adapters) {
  parameters.check_sources();
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < parameters.base_count(); ++i) {
    const Parameter& p = parameters.all()[i];
    const std::string module = p.name.ends_with(".weight") ? p.name.substr(0, p.name.size() - 7) : "";
    const Adapter* adapter = merge_adapters ? parameters.adapter(module) : nullptr;
    if (adapter) {
      tensors.push_back(to_write(p.name, stored_name(dtype), p.shape, buffer,
                                 [&backend, &p, adapter](auto& out) { fetch_merged(backend, p, *adapter, out); }));
    } else {
      tensors.push_back(to_write(backend, p.name, stored_name(dtype), p.exact(), buffer));
    }
  }
  write_weight_files(directory, std::move(tensors), max_shard_bytes);
}

void save_adapter(Backend& backend, const ParameterStore& parameters, const std::string& file, SaveDType dtype) {
  check(!parameters.adapters().empty(), ErrorCode::kState, "save: the model has no adapter");
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (size_t i = parameters.base_count(); i < parameters.all().size(); ++i) {
    const Parameter& p = parameters.all()[i];
    tensors.push_back(to_write(backend, peft_name(p.name), stored_name(dtype), p.exact(), buffer));
  }
  write_safetensors(file, tensors, kWeightMetadata);
}

void save_gradients(Backend& backend, const ParameterStore& parameters, const std::string& file) {
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (const Parameter& parameter : parameters.all())
    if (parameter.grad) tensors.push_back(to_write(backend, parameter.name, "F32", parameter.grad, buffer));
  check(!tensors.empty(), ErrorCode::kState, "save: the model was loaded without training, it has no gradients");
  write_safetensors(file, tensors, kWeightMetadata);
}

}  // namespace vlmr1
