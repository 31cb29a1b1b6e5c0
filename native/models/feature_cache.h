// Features of pictures from weights that do not change: a picture is encoded once for the rollout, the reference and
// the update of a step, and again only when others have taken its place.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>

#include "core/tensor.h"
#include "models/inputs.h"

namespace vlmr1 {

class FeatureCache {
 public:
  explicit FeatureCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // What was put for a picture of the same grid and pixels, or an empty tensor.
  Tensor find(const Picture& picture);
  // Lets go of what was used longest ago where there is no room; keeps nothing that is too large by itself.
  void put(const Picture& picture, const Tensor& features);
  size_t bytes() const { return bytes_; }
  // From here on features are of these weights: what was kept of others is let go of.
  void of_weights(uint64_t version);

 private:
  // Grid, and 128 bits over the pixels.
  using Key = std::array<uint64_t, 5>;
  struct Entry {
    Key key;
    Tensor features;
  };
  static Key key_of(const Picture& picture);

  size_t max_bytes_;
  size_t bytes_ = 0;
  uint64_t version_ = 0;
  std::list<Entry> entries_;  // the last used first
  std::map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace vlmr1
