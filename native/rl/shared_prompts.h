// The prompts of a decoder's requests, each content once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "rl/decode_batch.h"

namespace vlmr1 {

struct SharedPrompt {
  Prompt prompt;
  uint64_t hash = 0;
  int64_t users = 0;  // requests that wait or are under way
  EncodedPrompt encoded;
};

class SharedPrompts {
 public:
  // One with that content, for one more user.
  SharedPrompt& use(Prompt prompt);
  // With its last user a prompt goes; its encoding is released before.
  void leave(SharedPrompt& shared, DecodeBatch& batch);
  void for_each(const std::function<void(SharedPrompt&)>& fn);
  size_t size() const { return by_hash_.size(); }

 private:
  std::unordered_multimap<uint64_t, std::unique_ptr<SharedPrompt>> by_hash_;
};

}  // namespace vlmr1
