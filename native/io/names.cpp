#include "io/names.h"

namespace vlmr1 {

namespace {

const std::string kRuntimeText = "model.language_model.";
const std::string kRuntimeVision = "model.visual.";
const std::string kText = "model.";
const std::string kVision = "visual.";
const std::string kPeft = "base_model.model.";
const std::string kDefaultAdapter = ".default.weight";

std::string replace_start(const std::string& name, const std::string& from, const std::string& to) {
  return to + name.substr(from.size());
}

}  // namespace

std::string published_name(const std::string& name) {
  if (name.starts_with(kRuntimeText)) return replace_start(name, kRuntimeText, kText);
  if (name.starts_with(kRuntimeVision)) return replace_start(name, kRuntimeVision, kVision);
  return name;
}

std::string runtime_name(const std::string& published) {
  if (published.starts_with(kText)) return replace_start(published, kText, kRuntimeText);
  if (published.starts_with(kVision)) return replace_start(published, kVision, kRuntimeVision);
  return published;
}

std::string peft_name(const std::string& adapter_parameter) { return kPeft + runtime_name(adapter_parameter); }

std::string from_peft_name(const std::string& name) {
  std::string inner = name.starts_with(kPeft) ? name.substr(kPeft.size()) : name;
  if (inner.ends_with(kDefaultAdapter)) inner = inner.substr(0, inner.size() - kDefaultAdapter.size()) + ".weight";
  return published_name(inner);
}

}  // namespace vlmr1
