// Bicubic resampling with the arithmetic of PIL, so that a picture has the same pixels here and in Python.
#include "image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/error.h"

namespace vlmr1 {

namespace {

constexpr int kChannels = 3;
// Weights are fixed-point with 22 bits: 8 bits of a pixel, 2 of head room for the negative lobes.
constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr double kSupport = 2.0;
constexpr int64_t kMaxSide = int64_t{1} << 24;
constexpr int64_t kMaxPixels = int64_t{1} << 28;
constexpr int64_t kTall = 100;  // times its width

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// For each output position: the input positions it is made of, and their weights.
struct Weights {
  struct Span {
    int64_t first = 0;
    int64_t count = 0;
  };
  std::vector<Span> spans;
  std::vector<int32_t> values;  // [out][stride]
  int64_t stride = 0;
  const int32_t* of(int64_t out) const { return values.data() + out * stride; }
};

int32_t to_fixed(double weight) {
  const double scaled = weight * (1 << kPrecisionBits);
  return static_cast<int32_t>(scaled + (weight < 0.0 ? -0.5 : 0.5));  // half away from zero
}

Weights make_weights(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = std::max(scale, 1.0);  // shrinking widens the filter: antialiasing
  const double support = kSupport * filter_scale;
  Weights weights;
  weights.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  weights.spans.resize(static_cast<size_t>(out));
  weights.values.assign(static_cast<size_t>(out * weights.stride), 0);
  std::vector<double> raw(static_cast<size_t>(weights.stride));
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
    const int64_t count = last - first;
    double sum = 0.0;
    for (int64_t k = 0; k < count; ++k) {
      raw[static_cast<size_t>(k)] = bicubic((static_cast<double>(k + first) - center + 0.5) * (1.0 / filter_scale));
      sum += raw[static_cast<size_t>(k)];
    }
    for (int64_t k = 0; k < count; ++k) {
      const double weight = raw[static_cast<size_t>(k)];
      weights.values[static_cast<size_t>(i * weights.stride + k)] = to_fixed(sum != 0.0 ? weight / sum : weight);
    }
    weights.spans[static_cast<size_t>(i)] = {first, count};
  }
  return weights;
}

constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

uint8_t to_pixel(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

std::vector<uint8_t> resize_rows(const uint8_t* in, int64_t width, int64_t height, int64_t out_width) {
  const Weights weights = make_weights(width, out_width);
  std::vector<uint8_t> out(static_cast<size_t>(out_width * height * kChannels));
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* row = in + y * width * kChannels;
    uint8_t* to = out.data() + y * out_width * kChannels;
    for (int64_t x = 0; x < out_width; ++x, to += kChannels) {
      const Weights::Span span = weights.spans[static_cast<size_t>(x)];
      const int32_t* weight = weights.of(x);
      const uint8_t* from = row + span.first * kChannels;
      int32_t red = kHalf, green = kHalf, blue = kHalf;
      for (int64_t k = 0; k < span.count; ++k, from += kChannels) {
        red += weight[k] * from[0];
        green += weight[k] * from[1];
        blue += weight[k] * from[2];
      }
      to[0] = to_pixel(red);
      to[1] = to_pixel(green);
      to[2] = to_pixel(blue);
    }
  }
  return out;
}

std::vector<uint8_t> resize_columns(const uint8_t* in, int64_t width, int64_t height, int64_t out_height) {
  const Weights weights = make_weights(height, out_height);
  const int64_t row_bytes = width * kChannels;
  std::vector<uint8_t> out(static_cast<size_t>(row_bytes * out_height));
  std::vector<int32_t> sums(static_cast<size_t>(row_bytes));
  for (int64_t y = 0; y < out_height; ++y) {
    const Weights::Span span = weights.spans[static_cast<size_t>(y)];
    const int32_t* weight = weights.of(y);
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int64_t k = 0; k < span.count; ++k) {
      const uint8_t* from = in + (span.first + k) * row_bytes;
      for (int64_t i = 0; i < row_bytes; ++i) sums[static_cast<size_t>(i)] += weight[k] * from[i];
    }
    uint8_t* to = out.data() + y * row_bytes;
    for (int64_t i = 0; i < row_bytes; ++i) to[i] = to_pixel(sums[static_cast<size_t>(i)]);
  }
  return out;
}

void check_size(const char* what, int64_t width, int64_t height) {
  check(width > 0 && height > 0 && width <= kMaxSide && height <= kMaxSide && width * height <= kMaxPixels,
        ErrorCode::kArgument, "resize: ", what, ": expected sides of 1 to ", kMaxSide, " and at most ", kMaxPixels,
        " pixels, got ", width, " × ", height);
}

}  // namespace

std::vector<uint8_t> resize_bicubic(const uint8_t* rgb, int64_t width, int64_t height, int64_t out_width,
                                    int64_t out_height) {
  check_size("picture", width, height);
  check_size("resized picture", out_width, out_height);
  // A pass that changes no size is left out, as in PIL: it would round once more.
  if (out_width == width && out_height == height) return {rgb, rgb + width * height * kChannels};
  if (out_width == width) return resize_columns(rgb, width, height, out_height);
  // PIL shrinks the columns of a very tall picture first; the rounding between the passes shows the order.
  if (height > kTall * width && out_height < height) {
    check_size("picture between the passes", width, out_height);
    const std::vector<uint8_t> low = resize_columns(rgb, width, height, out_height);
    return resize_rows(low.data(), width, out_height, out_width);
  }
  check_size("picture between the passes", out_width, height);
  std::vector<uint8_t> wide = resize_rows(rgb, width, height, out_width);
  if (out_height == height) return wide;
  return resize_columns(wide.data(), out_width, height, out_height);
}

}  // namespace vlmr1
