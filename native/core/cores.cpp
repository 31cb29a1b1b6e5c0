#include "core/cores.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
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
#endif

// "max 100000" where there is no limit, and -1 in version 1. 0: no limit.
double share(const std::string& quota_file, const std::string& period_file) {
  std::ifstream quotas(quota_file);
  double quota = 0.0, period = 0.0;
  if (!(quotas >> quota)) return 0.0;
  if (period_file.empty()) {
    quotas >> period;
  } else {
    std::ifstream(period_file) >> period;
  }
  return quota > 0.0 && period > 0.0 ? quota / period : 0.0;
}

bool names_cpu(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

}  // namespace

int quota_cores(const std::string& root) {
  double least = 0.0;
  const auto take = [&](double cores) {
    if (cores > 0.0) least = least > 0.0 ? std::min(least, cores) : cores;
  };
  const auto look = [&](const std::string& mount, std::string group, bool unified) {
    // A container may see its own group as the root, under a path that is only known outside.
    for (;;) {
      const std::string folder = root + mount + group;
      take(unified ? share(folder + "/cpu.max", "")
                   : share(folder + "/cpu.cfs_quota_us", folder + "/cpu.cfs_period_us"));
      if (group.empty()) return;
      group.resize(group.find_last_of('/'));
    }
  };
  // Lines such as "0::/user.slice" (version 2) and "4:cpu,cpuacct:/docker/1f2e" (version 1).
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || line.compare(second + 1, 1, "/") != 0) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) look("/sys/fs/cgroup", group, true);
    else if (names_cpu(controllers)) look("/sys/fs/cgroup/cpu", group, false);
  }
  // Where /proc does not tell the group.
  look("/sys/fs/cgroup", "", true);
  return least > 0.0 ? std::max(1, static_cast<int>(std::min(std::ceil(least - 0.001), 4096.0))) : 0;
}

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
