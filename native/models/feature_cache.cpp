#include "models/feature_cache.h"

#include <cstring>

#include "core/random.h"

namespace vlmr1 {

FeatureCache::Key FeatureCache::key_of(const Picture& picture) {
  Key key{static_cast<uint64_t>(picture.grid[0]), static_cast<uint64_t>(picture.grid[1]),
          static_cast<uint64_t>(picture.grid[2]), 0x243f6a8885a308d3ull, 0x13198a2e03707344ull};
  const size_t count = picture.pixel_values.size();
  for (size_t i = 0; i < count; i += 2) {
    uint64_t word = 0;
    std::memcpy(&word, picture.pixel_values.data() + i, (i + 1 < count ? 2 : 1) * sizeof(float));
    key[3] = mix64(key[3] ^ word);
    key[4] = mix64(key[4] + word);
  }
  return key;
}

Tensor FeatureCache::find(const Picture& picture) {
  const auto found = index_.find(key_of(picture));
  if (found == index_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->features;
}

void FeatureCache::of_weights(uint64_t version) {
  if (version == version_) return;
  version_ = version;
  entries_.clear();
  index_.clear();
  bytes_ = 0;
}

void FeatureCache::put(const Picture& picture, const Tensor& features) {
  const Key key = key_of(picture);
  if (features.bytes() > max_bytes_ || index_.count(key) != 0) return;
  while (bytes_ + features.bytes() > max_bytes_) {
    bytes_ -= entries_.back().features.bytes();
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, features});
  index_[key] = entries_.begin();
  bytes_ += features.bytes();
}

}  // namespace vlmr1
