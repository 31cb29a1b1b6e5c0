#include "core/error.h"

namespace vlmr1 {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kShape: return "ERR_SHAPE";
    case ErrorCode::kDType: return "ERR_DTYPE";
    case ErrorCode::kArgument: return "ERR_ARGUMENT";
    case ErrorCode::kTokens: return "ERR_TOKENS";
    case ErrorCode::kTree: return "ERR_TREE";
    case ErrorCode::kConfig: return "ERR_CONFIG";
    case ErrorCode::kCheckpoint: return "ERR_CHECKPOINT";
    case ErrorCode::kIo: return "ERR_IO";
    case ErrorCode::kOutOfMemory: return "ERR_OUT_OF_MEMORY";
    case ErrorCode::kDevice: return "ERR_DEVICE";
    case ErrorCode::kState: return "ERR_STATE";
    case ErrorCode::kAborted: return "ERR_ABORTED";
  }
  return "ERR_UNKNOWN";
}

}  // namespace vlmr1
