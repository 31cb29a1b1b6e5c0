#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/isa.h"
#include "core/cores.h"

namespace vlmr1::cpu {

namespace {
int thread_count(int wanted) { return wanted > 0 ? wanted : physical_cores(); }

// An empty vector has no address, which memcpy does not take even for nothing.
void copy_bytes(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
}  // namespace

CpuBackend::CpuBackend(const CpuOptions& options)
    : kernels_(select_kernels(options.isa)),
      pool_(thread_count(options.threads)),
      memory_(std::make_shared<MemoryPool>()) {}

std::string CpuBackend::name() const {
  return "cpu/" + std::string(kernels_.name) + "/" + std::to_string(pool_.threads());
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

}  // namespace vlmr1::cpu

namespace vlmr1 {

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace vlmr1
