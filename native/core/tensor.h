// Contiguous tensors of up to five axes (a patch convolution's weight has five) on reference-counted storage.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"

namespace vlmr1 {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t numel() const;
  // Product of all axes but the last, and the last: how kernels that work on rows see a tensor.
  int64_t rows() const;
  int64_t cols() const { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  std::string str() const;
  std::vector<int64_t> axes() const { return {dims_.begin(), dims_.begin() + rank_}; }
  void push_back(int64_t dim);
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

 private:
  int rank_ = 0;
  std::array<int64_t, 5> dims_{};
};

// Memory of one allocation. `version` is raised by whoever writes to a parameter, so that copies a back end keeps in
// another layout know that they are stale.
struct Storage {
  void* data = nullptr;
  size_t bytes = 0;
  uint64_t version = 0;
  // Parameters outlive a step; a back end may keep packed copies of them.
  bool persistent = false;
  // Set for memory that is only read and can come back from its file: a back end that has a packed copy of some of it
  // calls this, so that weights are held once.
  std::function<void(const void* data, size_t bytes)> discard;
  // How products read it, or, for a gradient, in which type those that are added to it are taken.
  ProductTypes products;
  std::function<void(Storage&)> release;
  ~Storage() {
    if (release) release(*this);
  }
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(std::shared_ptr<Storage> storage, size_t byte_offset, Shape shape, DType dtype);

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t numel() const { return shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * dtype_size(dtype_); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  size_t byte_offset() const { return offset_; }

  // Host pointers; only a CPU back end's tensors have them. Throws ERR_DTYPE for another type.
  template <typename T>
  T* data() const {
    check(dtype_ == DTypeOf<T>::value, ErrorCode::kDType, "tensor: expected ", dtype_name(DTypeOf<T>::value), ", got ",
          dtype_name(dtype_));
    return static_cast<T*>(raw());
  }
  void* raw() const { return static_cast<char*>(storage_->data) + offset_; }

  // Same memory, other axes (equal number of elements).
  Tensor reshaped(Shape shape) const;
  // Rows [begin, end) of the first axis: same memory.
  Tensor rows(int64_t begin, int64_t end) const;

 private:
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;
  Shape shape_;
  DType dtype_ = DType::kF32;
};

}  // namespace vlmr1
