// Which instruction sets this build holds, which the processor runs, and the kernels of one.
#pragma once

#include <string>

#include "backend/cpu/kernels/kernels.h"

namespace vlmr1::cpu {

// Empty name: VLMR1_CPU_ISA, else the best that runs here. Throws ERR_DEVICE for one that is unknown or cannot run.
const KernelTable& select_kernels(const std::string& isa);

}  // namespace vlmr1::cpu
