// What this machine can do at most, measured in the run that uses it.
#pragma once

#include <string>

#include "bench/cases.h"

namespace vlmr1::bench {

struct Peak {
  double one = 0.0, all = 0.0;  // with one thread, and with all of the run
};

struct Machine {
  int threads = 1;
  double l2_bytes = 0.0;  // of a core
  double l3_bytes = 0.0;
  Peak f32, bf16;     // operations a second; bf16's is f32's where the CPU has no instruction for it
  Peak l2, l3, dram;  // bytes read a second
};

// Without its peaks.
Machine known_machine(int threads);
// `quick`: good enough to see that it works.
void measure_peaks(Machine& machine, bool quick);

// How long the work takes at least, and what keeps it from taking less.
struct Bound {
  double seconds = 0.0;
  const char* by = "";  // compute, L2, L3 or DRAM
};
Bound bound_of(const Machine& machine, const Work& work);

}  // namespace vlmr1::bench
