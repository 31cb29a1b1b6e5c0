// Stands in for the CUDA back end in builds without it.
#include "backend/backend.h"
#include "core/error.h"

namespace vlmr1 {

CudaStatus cuda_status() {
  return {false,
          "this build of vlmr1-native has no CUDA back end: use device \"cpu\", or install a CUDA build "
          "(see \"GPU\" in the README)"};
}

std::unique_ptr<Backend> make_cuda_backend() { fail(ErrorCode::kDevice, "device \"cuda\": ", cuda_status().reason); }

}  // namespace vlmr1
