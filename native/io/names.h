// Names of parameters: as published checkpoints hold them (which this engine uses), as transformers 5 has them in
// memory (which some checkpoints hold too), and as PEFT writes adapters.
#pragma once

#include <string>

namespace vlmr1 {

// "model.language_model.layers…" → "model.layers…", "model.visual…" → "visual…"; others stay.
std::string published_name(const std::string& name);
// The inverse: "model.layers…" → "model.language_model.layers…", "visual…" → "model.visual…"; lm_head stays.
std::string runtime_name(const std::string& published);

// "visual.blocks.0.attn.qkv.lora_A.weight" ↔ "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight".
// Reading takes published names too, and ".lora_A.default.weight".
std::string peft_name(const std::string& adapter_parameter);
std::string from_peft_name(const std::string& name);

}  // namespace vlmr1
