#include "rl/shared_prompts.h"

#include <utility>

#include "models/prompt_content.h"

namespace vlmr1 {

SharedPrompt& SharedPrompts::use(Prompt prompt) {
  const uint64_t hash = content_hash(prompt);
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    SharedPrompt& known = *it->second;
    if (!same_content(known.prompt, prompt)) continue;
    ++known.users;
    return known;
  }
  auto fresh = std::make_unique<SharedPrompt>();
  fresh->prompt = std::move(prompt);
  fresh->hash = hash;
  fresh->users = 1;
  fresh->encoded.prompt = &fresh->prompt;
  fresh->encoded.keeps_end = true;
  return *by_hash_.emplace(hash, std::move(fresh))->second;
}

void SharedPrompts::leave(SharedPrompt& shared, DecodeBatch& batch) {
  if (--shared.users > 0) return;
  batch.release(shared.encoded);
  const auto [begin, end] = by_hash_.equal_range(shared.hash);
  for (auto it = begin; it != end; ++it) {
    if (it->second.get() != &shared) continue;
    by_hash_.erase(it);
    return;
  }
}

void SharedPrompts::for_each(const std::function<void(SharedPrompt&)>& fn) {
  for (auto& [hash, shared] : by_hash_) fn(*shared);
}

}  // namespace vlmr1
