// Errors are thrown, never printed. Each has a code that JavaScript sees as `error.code`.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace vlmr1 {

enum class ErrorCode {
  kShape,        // ERR_SHAPE: a tensor or array has the wrong shape
  kDType,        // ERR_DTYPE
  kArgument,     // ERR_ARGUMENT: a value outside its range
  kTokens,       // ERR_TOKENS: token ids, picture tokens, lengths
  kTree,         // ERR_TREE: a malformed segment tree
  kConfig,       // ERR_CONFIG: config.json
  kCheckpoint,   // ERR_CHECKPOINT: safetensors, missing or misshapen tensors
  kIo,           // ERR_IO: the operating system refused
  kOutOfMemory,  // ERR_OUT_OF_MEMORY
  kDevice,       // ERR_DEVICE: no such device or instruction set
  kState,        // ERR_STATE: disposed, not trainable, wrong order of calls
  kAborted,      // ERR_ABORTED
};

const char* error_code_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// fail(ErrorCode::kShape, "linear: expected x [T, ", e, "], got ", x.shape().str())
template <typename... Parts>
[[noreturn]] void fail(ErrorCode code, Parts&&... parts) {
  std::ostringstream text;
  (text << ... << std::forward<Parts>(parts));
  throw Error(code, text.str());
}

template <typename... Parts>
void check(bool ok, ErrorCode code, Parts&&... parts) {
  if (!ok) fail(code, std::forward<Parts>(parts)...);
}

}  // namespace vlmr1
