#include "core/tensor.h"

namespace vlmr1 {

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t dim : dims) push_back(dim);
}

void Shape::push_back(int64_t dim) {
  check(rank_ < static_cast<int>(dims_.size()), ErrorCode::kShape, "shape: at most ", dims_.size(), " axes");
  check(dim >= 0, ErrorCode::kShape, "shape: negative axis ", dim);
  dims_[rank_++] = dim;
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= dims_[i];
  return n;
}

int64_t Shape::rows() const {
  int64_t n = 1;
  for (int i = 0; i + 1 < rank_; ++i) n *= dims_[i];
  return n;
}

std::string Shape::str() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i ? ", " : "") + std::to_string(dims_[i]);
  return text + "]";
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i)
    if (dims_[i] != other.dims_[i]) return false;
  return true;
}

Tensor::Tensor(std::shared_ptr<Storage> storage, size_t byte_offset, Shape shape, DType dtype)
    : storage_(std::move(storage)), offset_(byte_offset), shape_(shape), dtype_(dtype) {
  check(offset_ + bytes() <= storage_->bytes, ErrorCode::kShape, "tensor: ", shape_.str(), " at byte ", offset_,
        " does not fit ", storage_->bytes, " bytes of storage");
}

Tensor Tensor::reshaped(Shape shape) const {
  check(shape.numel() == numel(), ErrorCode::kShape, "reshape: ", shape_.str(), " to ", shape.str());
  return Tensor(storage_, offset_, shape, dtype_);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  check(shape_.rank() >= 1 && begin >= 0 && begin <= end && end <= shape_[0], ErrorCode::kShape, "rows: [", begin, ", ",
        end, ") of ", shape_.str());
  Shape cut{end - begin};
  int64_t row = 1;
  for (int i = 1; i < shape_.rank(); ++i) {
    cut.push_back(shape_[i]);
    row *= shape_[i];
  }
  return Tensor(storage_, offset_ + static_cast<size_t>(begin * row) * dtype_size(dtype_), cut, dtype_);
}

}  // namespace vlmr1
