#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/isa.h"
#include "core/cores.h"

namespace vlmr1::cpu {

namespace {
constexpr int64_t kCopyGrain = 1 << 20;     // bytes
constexpr int64_t kElementGrain = 1 << 16;  // elements

int thread_count(int wanted) { return wanted > 0 ? wanted : physical_cores(); }
}  // namespace

CpuBackend::CpuBackend(const CpuOptions& options)
    : kernels_(select_kernels(options.isa)),
      dry_run_(options.dry_run),
      pool_(thread_count(options.threads), options.dry_run),
      memory_(
          std::make_shared<MemoryPool>(options.dry_run ? MemoryPool::Source::kReserved : MemoryPool::Source::kSystem)),
      sample_scratch_(static_cast<size_t>(pool_.threads())) {}

std::string CpuBackend::name() const {
  return "cpu/" + std::string(kernels_.name) + "/" + std::to_string(pool_.threads());
}

MemoryCounts CpuBackend::memory() const {
  return {memory_->used(), memory_->peak(), memory_->held(), memory_->peak_use()};
}

Tensor CpuBackend::empty(const Shape& shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  return Tensor(memory_->allocate(bytes), 0, shape, dtype);
}

Tensor CpuBackend::zeros(const Shape& shape, DType dtype) {
  Tensor x = empty(shape, dtype);
  char* data = static_cast<char*>(x.raw());
  ranges(static_cast<int64_t>(x.bytes()), 1 << 20, [&](int64_t b, int64_t e) { std::memset(data + b, 0, e - b); });
  return x;
}

// Large ones by all threads. An empty vector has no address, which memcpy does not take even for nothing.
void CpuBackend::copy_bytes(void* to, const void* from, size_t bytes) {
  if (dry_run_ || bytes == 0) return;
  if (bytes <= kCopyGrain) {
    std::memcpy(to, from, bytes);
    return;
  }
  ranges(static_cast<int64_t>(bytes), kCopyGrain, [&](int64_t b, int64_t e) {
    std::memcpy(static_cast<char*>(to) + b, static_cast<const char*>(from) + b, e - b);
  });
}

void CpuBackend::upload(Tensor& to, const void* host) { copy_bytes(to.raw(), host, to.bytes()); }

void CpuBackend::download(const Tensor& from, void* host) { copy_bytes(host, from.raw(), from.bytes()); }

void CpuBackend::copy(const Tensor& from, Tensor& to) {
  check(from.bytes() == to.bytes(), ErrorCode::kShape, "copy: ", from.shape().str(), " to ", to.shape().str());
  copy_bytes(to.raw(), from.raw(), from.bytes());
}

void CpuBackend::fill(Tensor& x, float value) {
  float* data = x.data<float>();
  ranges(x.numel(), 1 << 18, [&](int64_t b, int64_t e) { std::fill(data + b, data + e, value); });
}

void CpuBackend::convert(const Tensor& from, Tensor& to) {
  const bool known = is_floating(from.dtype()) && (from.dtype() == to.dtype() || to.dtype() == DType::kF32 ||
                                                   (from.dtype() == DType::kF32 && to.dtype() == DType::kBF16));
  check(from.numel() == to.numel() && known, ErrorCode::kShape, "convert: ", from.shape().str(), " ",
        dtype_name(from.dtype()), " to ", to.shape().str(), " ", dtype_name(to.dtype()));
  const auto each = [&](const auto& kernel, auto* in, auto* out) {
    ranges(to.numel(), kElementGrain, [&](int64_t b, int64_t e) { kernel(in + b, out + b, e - b); });
  };
  const auto* bits = static_cast<const uint16_t*>(from.raw());
  if (from.dtype() == to.dtype()) return copy_bytes(to.raw(), from.raw(), from.bytes());
  if (from.dtype() == DType::kF32)
    return each(kernels_.bf16_from_f32, from.data<float>(), static_cast<uint16_t*>(to.raw()));
  each(from.dtype() == DType::kBF16 ? kernels_.f32_from_bf16 : kernels_.f32_from_f16, bits, to.data<float>());
}

Tensor CpuBackend::adopt(const HostMemory& memory, const Shape& shape, DType dtype, ProductTypes products) {
  check(static_cast<size_t>(shape.numel()) * dtype_size(dtype) == memory.bytes, ErrorCode::kShape,
        "adopt: ", memory.bytes, " bytes for ", shape.str(), " of ", dtype_name(dtype));
  auto storage = std::make_shared<Storage>();
  storage->data = const_cast<void*>(memory.data);
  storage->bytes = memory.bytes;
  storage->persistent = true;
  storage->products = products;
  storage->discard = memory.discard;
  storage->release = [owner = memory.owner](Storage&) {};
  return Tensor(std::move(storage), 0, shape, dtype);
}

}  // namespace vlmr1::cpu

namespace vlmr1 {

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace vlmr1
