#include "models/batching.h"

#include <map>
#include <string>

namespace vlmr1 {

namespace {

class Packer {
 public:
  explicit Packer(const Model& model) : model_(model) { batch_.tree = std::make_shared<SegmentTree>(); }

  // Returns the segment and the position after the prompt.
  std::pair<int32_t, int32_t> add_prompt(const Prompt& prompt) {
    const PromptPositions positions = model_.prompt_positions(prompt);
    const int32_t start = static_cast<int32_t>(batch_.tokens.size());
    batch_.tokens.insert(batch_.tokens.end(), prompt.tokens.begin(), prompt.tokens.end());
    for (int a = 0; a < 3; ++a)
      batch_.positions[a].insert(batch_.positions[a].end(), positions.axes[a].begin(), positions.axes[a].end());
    place_pictures(prompt, start);
    return {add_segment(start, static_cast<int32_t>(prompt.tokens.size()), -1), positions.next};
  }

  // The last token of a completion predicts nothing that is scored: it stays out.
  int32_t add_completion(const std::vector<int32_t>& tokens, int32_t parent, int32_t position) {
    const int32_t start = static_cast<int32_t>(batch_.tokens.size());
    const int32_t length = static_cast<int32_t>(tokens.size()) - 1;
    if (length == 0) return start;
    batch_.tokens.insert(batch_.tokens.end(), tokens.begin(), tokens.end() - 1);
    for (auto& axis : batch_.positions)
      for (int32_t i = 0; i < length; ++i) axis.push_back(position + i);
    add_segment(start, length, parent);
    return start;
  }

  PackedBatch finish() {
    batch_.tree->tokens = static_cast<int32_t>(batch_.tokens.size());
    return std::move(batch_);
  }

 private:
  int32_t add_segment(int32_t start, int32_t length, int32_t parent) {
    batch_.tree->segments.push_back({start, length, parent, true});
    return static_cast<int32_t>(batch_.tree->segments.size()) - 1;
  }

  void place_pictures(const Prompt& prompt, int32_t start) {
    std::vector<int32_t> sources;
    for (const auto& picture : prompt.pictures) {
      const int32_t first = first_token(picture);
      const int64_t count = model_.picture_tokens(*picture);
      for (int64_t i = 0; i < count; ++i) sources.push_back(first + static_cast<int32_t>(i));
    }
    size_t next = 0;
    const int32_t pad = model_.info().image_token_id;
    for (size_t i = 0; i < prompt.tokens.size(); ++i) {
      if (prompt.tokens[i] != pad) continue;
      batch_.picture_rows.push_back(start + static_cast<int32_t>(i));
      batch_.picture_sources.push_back(sources[next++]);
    }
  }

  // A picture that several prompts share is encoded once.
  int32_t first_token(const std::shared_ptr<const Picture>& picture) {
    const auto [it, fresh] = known_.emplace(picture.get(), merged_);
    if (fresh) {
      batch_.pictures.push_back(picture);
      merged_ += static_cast<int32_t>(model_.picture_tokens(*picture));
    }
    return it->second;
  }

  const Model& model_;
  PackedBatch batch_;
  std::map<const Picture*, int32_t> known_;
  int32_t merged_ = 0;
};

void check_completion(const ModelInfo& info, const std::vector<int32_t>& tokens, const std::string& where) {
  check(!tokens.empty(), ErrorCode::kTokens, where, ": expected at least one token");
  for (int32_t t : tokens)
    check(t >= 0 && t < info.vocab_size, ErrorCode::kTokens, where, ": expected token ids in [0, ", info.vocab_size,
          "), got ", t);
}

}  // namespace

PackedGroups pack_groups(const Model& model, const std::vector<Group>& groups) {
  check(!groups.empty(), ErrorCode::kArgument, "groups: expected at least one");
  PackedGroups packed;
  Packer packer(model);
  for (size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    const std::string where = "group " + std::to_string(g);
    model.check_prompt(group.prompt, where);
    const auto [segment, position] = packer.add_prompt(group.prompt);
    // Rows are absolute in the batch; the prompt's last row predicts every completion's first token.
    int32_t last_prompt_row = -1;
    for (size_t c = 0; c < group.completions.size(); ++c) {
      const auto& tokens = group.completions[c];
      check_completion(model.info(), tokens, where + ", completion " + std::to_string(c));
      const int32_t start = packer.add_completion(tokens, segment, position);
      if (c == 0) last_prompt_row = start - 1;
      for (size_t i = 0; i < tokens.size(); ++i) {
        packed.rows.push_back(i == 0 ? last_prompt_row : start + static_cast<int32_t>(i) - 1);
        packed.targets.push_back(tokens[i]);
      }
    }
  }
  packed.batch = packer.finish();
  check(!packed.targets.empty(), ErrorCode::kArgument, "groups: expected at least one completion");
  return packed;
}

PackedBatch pack_prompts(const Model& model, const std::vector<const Prompt*>& prompts) {
  Packer packer(model);
  for (const Prompt* prompt : prompts) packer.add_prompt(*prompt);
  return packer.finish();
}

}  // namespace vlmr1
