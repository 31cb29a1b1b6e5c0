#include "core/cores.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace vlmr1 {

namespace {

int logical_cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

#if defined(__linux__)
// 0 where the system does not say.
int allowed_physical_cores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 0;
  // The hardware threads of a core share one list of siblings.
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) return 0;
    cores.insert(siblings);
  }
  return static_cast<int>(cores.size());
}

// The share of a control group, rounded up; 0: no limit.
int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0.0, period = 0.0;
  if (!(file >> quota >> period) || quota <= 0.0 || period <= 0.0) return 0;
  return std::max(1, static_cast<int>(std::min(quota / period + 0.999, 4096.0)));
}
#endif

}  // namespace

int physical_cores() {
#if defined(__linux__)
  const int physical = allowed_physical_cores();
  const int quota = quota_cores();
  const int cores = physical > 0 ? physical : logical_cores();
  return quota > 0 ? std::min(cores, quota) : cores;
#elif defined(__APPLE__)
  int cores = 0;
  size_t size = sizeof(cores);
  return sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0 ? cores : logical_cores();
#else
  return logical_cores();
#endif
}

}  // namespace vlmr1
