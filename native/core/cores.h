#pragma once

namespace vlmr1 {

// Physical cores that this process may use: a second hardware thread per core does not speed up arithmetic, and
// containers often get fewer cores than the machine has. At least 1.
int physical_cores();

}  // namespace vlmr1
