// The list of a model's parameters, written down part by part under their published names.
#pragma once

#include <string>
#include <vector>

#include "models/qwen_vl/config.h"
#include "nn/parameters.h"

namespace vlmr1::qwen_vl {

class SpecList {
 public:
  // What follows belongs to this part.
  void begin(Part part) { part_ = part; }
  // Tables, norm weights, the patch convolution.
  void add(const std::string& name, const Shape& shape) { list_.push_back({name, shape, part_, false}); }
  void layer_norm(const std::string& name, int64_t size);
  void linear(const std::string& name, int64_t out, int64_t in, bool bias);
  // gate, up and down of a SwiGLU block.
  void swiglu_mlp(const std::string& name, int64_t size, int64_t inner, bool bias);
  const std::vector<ParameterSpec>& all() const { return list_; }

 private:
  Part part_ = Part::kLanguage;
  std::vector<ParameterSpec> list_;
};

void add_patch_embedding(SpecList& list, const PatchConfig& patches, int64_t size);
// The two linear layers after the merger's norm: from the patches of a token to what the decoder takes.
void add_merger_mlp(SpecList& list, const PatchConfig& patches, int64_t size, int64_t out);
void add_decoder(SpecList& list, const TextConfig& text);

}  // namespace vlmr1::qwen_vl
