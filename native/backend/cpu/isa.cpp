#include "backend/cpu/isa.h"

#include <cstdlib>
#include <thread>
#include <vector>

#include "backend/backend.h"

namespace vlmr1::cpu {

namespace baseline {
const KernelTable& table();
}
#ifdef VLMR1_X86
namespace avx2 {
const KernelTable& table();
}
namespace avx512 {
const KernelTable& table();
}
namespace avx512_bf16 {
const KernelTable& table();
}
#endif

namespace {

struct Variant {
  const char* name;
  const KernelTable& (*table)();
  bool runs;
};

// Worst first.
std::vector<Variant> variants() {
  std::vector<Variant> list{{"baseline", baseline::table, true}};
#ifdef VLMR1_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  list.push_back({"avx2", avx2::table, avx2});
  list.push_back({"avx512", avx512::table, avx512});
  list.push_back({"avx512_bf16", avx512_bf16::table, avx512 && __builtin_cpu_supports("avx512bf16")});
#endif
  return list;
}

std::string wanted(const std::string& isa) {
  if (!isa.empty()) return isa;
  const char* forced = std::getenv("VLMR1_CPU_ISA");
  return forced ? forced : "";
}

}  // namespace

const KernelTable& select_kernels(const std::string& isa) {
  const std::string name = wanted(isa);
  const KernelTable* best = nullptr;
  std::string known;
  for (const Variant& v : variants()) {
    known += (known.empty() ? "" : ", ") + std::string(v.name);
    if (name == v.name) {
      check(v.runs, ErrorCode::kDevice, "instruction set ", name, ": this processor does not run it");
      return v.table();
    }
    if (v.runs) best = &v.table();
  }
  check(name.empty(), ErrorCode::kDevice, "instruction set: expected one of ", known, ", got ", name);
  return *best;
}

}  // namespace vlmr1::cpu

namespace vlmr1 {

CpuIsaInfo cpu_isa_info() {
  CpuIsaInfo info;
  for (const cpu::Variant& v : cpu::variants()) {
    info.compiled.push_back(v.name);
    if (v.runs) info.supported.push_back(v.name);
  }
  info.selected = cpu::select_kernels("").name;
  info.logical_cores = static_cast<int>(std::thread::hardware_concurrency());
  return info;
}

}  // namespace vlmr1
