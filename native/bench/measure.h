#pragma once

#include <vector>

#include "bench/cases.h"

namespace vlmr1::bench {

double now();  // seconds
double median(std::vector<double> values);

struct Rounds {
  int count = 5;
  double slice_seconds = 0.02;  // how long one contestant runs in a round, at least one call
};

// Seconds of a call, the median over rounds in which all take turns: a slow moment of the machine hits all of them.
std::vector<double> interleaved(const std::vector<Contestant>& contestants, const Rounds& rounds);

}  // namespace vlmr1::bench
