// The harness of all ops. A case holds inputs, the op, and the same mathematics written plainly in double; one line
//
//   check_op(linear_case({.rows = 3, .in = 600, .out = 50, .bias = true}));
//
// compares values with the plain reference, gradients with finite differences through it, on every device, between
// guarded buffer ends, on used memory, and bit by bit between thread counts, recording and not, all inputs and one
// alone. With VLMR1_BENCH=1 (`native_tests --bench`) it prints the speed as well.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/graph.h"
#include "backend/backend.h"

namespace vlmr1::testing {

using Doubles = std::vector<double>;

// A device that cases run on; opened with a number of threads.
struct Device {
  std::string name;
  std::function<std::unique_ptr<Backend>(int threads)> open;
};
// The processor with every instruction set that it runs, the best one last.
const std::vector<Device>& devices();

// An input. Values are floats, which the reference sees as they are.
struct Array {
  Shape shape;
  std::vector<float> values;
  bool parameter = false;  // its gradient lies ready, and the op adds to it
};

// Counter-based normal numbers.
Array random_array(uint64_t seed, const Shape& shape, double scale = 1.0);
Array random_parameter(uint64_t seed, const Shape& shape, double scale = 1.0);

struct OpCase {
  std::string name;
  std::vector<Array> inputs;
  std::function<Variable(Graph&, const std::vector<Variable>&)> op;
  std::function<Doubles(const std::vector<Doubles>&)> reference;
  // Relative to the largest element.
  double tolerance = 3e-6;
  double gradient_tolerance = 2e-5;
  // Single elements of each input, the first and the last among them, whose gradient is compared; and random
  // directions, which see all elements at once.
  int elements = 16;
  int directions = 2;
  // Of the forward pass, for the speed.
  double flops = 0;
};

void check_op(const OpCase& c);
// Prints the speed on the best device with all its threads: for sizes that a plain reference is too slow for.
void bench_op(const OpCase& c);

// A kernel without a tape: all arrays before and after. The reference works in place on the arrays.
struct KernelCase {
  std::string name;
  std::vector<Array> arrays;
  std::function<void(Backend&, std::vector<Tensor>&)> run;
  std::function<void(std::vector<Doubles>&)> reference;
  double tolerance = 3e-6;
};

void check_kernel(const KernelCase& c);

Tensor to_device(Backend& backend, const Array& array);
Doubles to_double(const std::vector<float>& values);

// max |got − expected| / max |expected|, infinite with a NaN.
double relative_error(const std::vector<float>& got, const Doubles& expected);

bool bench_wanted();

}  // namespace vlmr1::testing
