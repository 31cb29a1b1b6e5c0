#pragma once

#include <string>

namespace vlmr1 {

// Physical cores that this process may use: a second hardware thread per core does not speed up arithmetic, and
// containers often get fewer cores than the machine has. At least 1.
int physical_cores();

// Cores that control groups leave to this process, rounded up; 0: no limit, or none that can be read. `root` is where
// the system's files are. The process's own group counts and all around it, by version 1 of the interface or 2.
int quota_cores(const std::string& root = "");

}  // namespace vlmr1
