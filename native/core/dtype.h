#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vlmr1 {

// f16 is only read: weights that a checkpoint holds so. Bytes are codes of the optimizer's moments.
enum class DType : uint8_t { kF32, kBF16, kF16, kI32, kU8 };

// How products read a parameter: the type its matrix is held in, and the one that the other operand is rounded to. Sums
// are f32. With {bf16, f32} a matrix that is stored in bf16 gives the bits of its f32 copy.
struct ProductTypes {
  DType weight = DType::kF32;
  DType input = DType::kF32;
  bool operator==(const ProductTypes& other) const = default;
};

inline bool is_floating(DType dtype) { return dtype != DType::kI32 && dtype != DType::kU8; }

inline size_t dtype_size(DType dtype) {
  if (dtype == DType::kU8) return 1;
  return dtype == DType::kBF16 || dtype == DType::kF16 ? 2 : 4;
}

inline const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
    case DType::kI32: return "i32";
    case DType::kU8: return "u8";
  }
  return "?";
}

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};

[[gnu::always_inline]] inline float bf16_to_f32(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// Round to nearest even; NaN stays NaN.
[[gnu::always_inline]] inline uint16_t f32_to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<uint16_t>(bits >> 16);
}

}  // namespace vlmr1
