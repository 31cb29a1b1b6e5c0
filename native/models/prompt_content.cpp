#include "models/prompt_content.h"

#include <algorithm>
#include <cstring>

#include "core/random.h"

namespace vlmr1 {

namespace {

// Two elements of 4 bytes at a time.
template <typename Values>
uint64_t add_words(uint64_t hash, const Values& values) {
  static_assert(sizeof(values[0]) == 4);
  const size_t count = values.size();
  hash = mix64(hash ^ count);
  for (size_t i = 0; i < count; i += 2) {
    uint64_t word = 0;
    std::memcpy(&word, values.data() + i, (i + 1 < count ? 2 : 1) * sizeof(values[0]));
    hash = mix64(hash ^ word);
  }
  return hash;
}

// By bits: a NaN equals itself here, and zeros of two signs are two values.
bool same_picture(const Picture& a, const Picture& b) {
  if (&a == &b) return true;
  return a.grid == b.grid && a.pixel_values.size() == b.pixel_values.size() &&
         (a.pixel_values.empty() ||
          std::memcmp(a.pixel_values.data(), b.pixel_values.data(), a.pixel_values.size() * sizeof(float)) == 0);
}

}  // namespace

uint64_t content_hash(const Prompt& prompt) {
  uint64_t hash = add_words(0, prompt.tokens);
  for (const auto& picture : prompt.pictures) hash = add_words(add_words(hash, picture->grid), picture->pixel_values);
  return hash;
}

bool same_content(const Prompt& a, const Prompt& b) {
  return a.tokens == b.tokens && std::equal(a.pictures.begin(), a.pictures.end(), b.pictures.begin(), b.pictures.end(),
                                            [](const auto& x, const auto& y) { return same_picture(*x, *y); });
}

}  // namespace vlmr1
