#include "tests/op_harness.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "core/random.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1::testing {

const std::vector<Device>& devices() {
  static const std::vector<Device> kDevices = [] {
    std::vector<Device> list;
    for (const std::string& isa : cpu_isa_info().supported)
      list.push_back({"cpu/" + isa, [isa](int threads) { return make_cpu_backend({threads, isa}); }});
    return list;
  }();
  return kDevices;
}

Array random_array(uint64_t seed, const Shape& shape, double scale) {
  Array array{shape, std::vector<float>(static_cast<size_t>(shape.numel())), false};
  for (size_t i = 0; i < array.values.size(); ++i)
    array.values[i] = static_cast<float>(scale * random_normal(seed, 11, i));
  return array;
}

Array random_parameter(uint64_t seed, const Shape& shape, double scale) {
  Array array = random_array(seed, shape, scale);
  array.parameter = true;
  return array;
}

Tensor to_device(Backend& backend, const Array& array) {
  Tensor x = backend.empty(array.shape);
  backend.upload(x, array.values.data());
  return x;
}

Doubles to_double(const std::vector<float>& values) { return {values.begin(), values.end()}; }

double relative_error(const std::vector<float>& got, const Doubles& expected) {
  if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double error = 0.0, largest = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::fabs(got[i] - expected[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    error = std::max(error, difference);
    largest = std::max(largest, std::fabs(expected[i]));
  }
  return largest > 0.0 ? error / largest : error;
}

bool bench_wanted() {
  const char* wanted = std::getenv("VLMR1_BENCH");
  return wanted != nullptr && std::string(wanted) != "0";
}

namespace {

constexpr uint64_t kSeedOutput = 901;  // seeds of the output's gradient and of what lies in gradients before
constexpr uint64_t kSeedStart = 902;

// What the gradient of one input must be: at some elements, and along random directions.
struct ExpectedGradient {
  std::vector<std::pair<size_t, double>> elements;
  std::vector<std::pair<Doubles, double>> directions;
};

struct RunOptions {
  bool recording = true;
  int only = -1;        // the one input that needs a gradient; -1: all
  bool filled = false;  // all gradients hold something before, not only parameters'
};

struct RunResult {
  std::vector<float> y;
  std::vector<std::vector<float>> gradients;
};

std::vector<float> start_gradient(const Array& input) { return random_array(kSeedStart, input.shape, 0.1).values; }

bool starts_filled(const Array& input, const RunOptions& options) { return input.parameter || options.filled; }

RunResult run_op(Backend& inner, const OpCase& c, const RunOptions& options, const std::string& where) {
  GuardedBackend backend(inner);
  Graph graph(backend, options.recording);
  std::vector<Variable> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const bool wanted = options.recording && (options.only < 0 || options.only == static_cast<int>(i));
    auto slot = wanted ? std::make_shared<GradSlot>() : nullptr;
    if (slot && starts_filled(c.inputs[i], options))
      slot->grad = to_device(backend, {c.inputs[i].shape, start_gradient(c.inputs[i]), false});
    inputs.emplace_back(to_device(backend, c.inputs[i]), slot);
  }
  RunResult result;
  const Variable y = c.op(graph, inputs);
  result.y = to_vector(backend, y.value());
  if (options.recording) graph.backward(y, to_device(backend, random_array(kSeedOutput, y.shape())));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto& slot = inputs[i].slot();
    result.gradients.push_back(slot && slot->grad ? to_vector(backend, slot->grad) : std::vector<float>());
    if (!same_bits(to_vector(backend, inputs[i].value()), c.inputs[i].values))
      VLMR1_REPORT(where + ": input " + std::to_string(i) + " was changed");
  }
  const std::string broken = backend.check_guards();
  if (!broken.empty()) VLMR1_REPORT(where + ": " + broken);
  return result;
}

// Σ dy · reference(inputs)
double plain_loss(const OpCase& c, const std::vector<Doubles>& inputs, const Doubles& dy) {
  const Doubles y = c.reference(inputs);
  REQUIRE(y.size() == dy.size());
  double loss = 0.0;
  for (size_t i = 0; i < y.size(); ++i) loss += dy[i] * y[i];
  return loss;
}

ExpectedGradient finite_differences(const OpCase& c, std::vector<Doubles>& inputs, size_t input, const Doubles& dy) {
  constexpr double kStep = 1e-5;
  ExpectedGradient expected;
  Doubles& x = inputs[input];
  const Doubles at = x;
  const auto slope = [&](const std::function<double(size_t)>& direction) {
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      for (size_t i = 0; i < x.size(); ++i) x[i] = at[i] + (side == 0 ? kStep : -kStep) * direction(i);
      loss[side] = plain_loss(c, inputs, dy);
    }
    x = at;
    return (loss[0] - loss[1]) / (2 * kStep);
  };
  const size_t count = std::min(x.size(), static_cast<size_t>(c.elements));
  for (size_t n = 0; n < count; ++n) {
    size_t element = n;
    if (count < x.size()) element = n == 0 ? 0 : n == 1 ? x.size() - 1 : random_bits(3, input, n, 0) % x.size();
    expected.elements.emplace_back(element, slope([&](size_t i) { return i == element ? 1.0 : 0.0; }));
  }
  for (int n = 0; n < c.directions; ++n) {
    Doubles direction(x.size());
    for (size_t i = 0; i < x.size(); ++i) direction[i] = random_normal(5 + n, input, i);
    const double value = slope([&](size_t i) { return direction[i]; });
    expected.directions.emplace_back(std::move(direction), value);
  }
  return expected;
}

void compare_gradient(const OpCase& c, const ExpectedGradient& expected, const std::vector<float>& got,
                      const std::vector<float>& start, const std::string& where) {
  double largest = 0.0;
  for (const float g : got) largest = std::max(largest, std::fabs(double{g}));
  const double allowed = c.gradient_tolerance * largest + 1e-7;
  for (const auto& [element, slope] : expected.elements) {
    const double value = slope + (start.empty() ? 0.0 : start[element]);
    if (!(std::fabs(got[element] - value) <= allowed))
      VLMR1_REPORT(where + ", element " + std::to_string(element) + ": expected " + show(value) + ", got " +
                   show(got[element]));
  }
  for (const auto& [direction, slope] : expected.directions) {
    double value = slope, along = 0.0;
    for (size_t i = 0; i < got.size(); ++i) {
      along += got[i] * direction[i];
      if (!start.empty()) value += start[i] * direction[i];
    }
    if (!(std::fabs(along - value) <= allowed * std::sqrt(static_cast<double>(got.size()))))
      VLMR1_REPORT(where + ", along a direction: expected " + show(value) + ", got " + show(along));
  }
}

void compare_run(const OpCase& c, const RunResult& run, const Doubles& y, const std::vector<ExpectedGradient>& expected,
                 const RunOptions& options, const std::string& where) {
  const double error = relative_error(run.y, y);
  if (!(error <= c.tolerance)) VLMR1_REPORT(where + ": relative error " + show(error));
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const std::string which = where + ", gradient of input " + std::to_string(i);
    const bool filled = starts_filled(c.inputs[i], options);
    if (run.gradients[i].size() != c.inputs[i].values.size()) VLMR1_REPORT(which + " is missing");
    else
      compare_gradient(c, expected[i], run.gradients[i], filled ? start_gradient(c.inputs[i]) : std::vector<float>(),
                       which);
  }
}

void expect_bits(const std::vector<float>& got, const std::vector<float>& expected, const std::string& what) {
  if (!same_bits(got, expected)) VLMR1_REPORT(what + " changes bits");
}

void check_on(const Device& device, const OpCase& c, const Doubles& y, const std::vector<ExpectedGradient>& expected) {
  const std::string where = c.name + " on " + device.name;
  const auto one = device.open(1);
  poison_free_memory(*one);
  const RunResult base = run_op(*one, c, {}, where);
  compare_run(c, base, y, expected, {}, where);

  const RunOptions filled{true, -1, true};
  compare_run(c, run_op(*one, c, filled, where), y, expected, filled, where + ", adding to gradients");
  expect_bits(run_op(*one, c, {false, -1, false}, where).y, base.y, where + ": not recording");
  for (size_t i = 0; i < c.inputs.size() && c.inputs.size() > 1; ++i) {
    const RunResult alone = run_op(*one, c, {true, static_cast<int>(i), false}, where);
    expect_bits(alone.gradients[i], base.gradients[i], where + ": input " + std::to_string(i) + " alone");
  }
  const auto three = device.open(3);
  const RunResult threaded = run_op(*three, c, {}, where);
  expect_bits(threaded.y, base.y, where + ": three threads");
  for (size_t i = 0; i < c.inputs.size(); ++i)
    expect_bits(threaded.gradients[i], base.gradients[i],
                where + ": gradient of input " + std::to_string(i) + ", three threads");
}

// Best of some runs, seconds.
double fastest(const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  double total = 0.0;
  for (int i = 0; i < 200 && (i < 3 || total < 0.3); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

}  // namespace

void bench_op(const OpCase& c) {
  const auto backend = devices().back().open(0);
  std::vector<Tensor> values;
  double bytes = 0.0;
  for (const Array& input : c.inputs) {
    values.push_back(to_device(*backend, input));
    // As a model's parameters: the back end may keep them in its own layout.
    values.back().storage()->persistent = input.parameter;
    bytes += static_cast<double>(values.back().bytes());
  }
  Tensor dy;
  const auto run = [&](bool recording) {
    Graph graph(*backend, recording);
    std::vector<Variable> inputs;
    for (size_t i = 0; i < values.size(); ++i) {
      auto slot = recording ? std::make_shared<GradSlot>() : nullptr;
      if (slot && c.inputs[i].parameter) slot->grad = backend->zeros(values[i].shape());
      inputs.emplace_back(values[i], slot);
    }
    const Variable y = c.op(graph, inputs);
    if (recording) graph.backward(y, dy);
    return y.value();
  };
  const Tensor y = run(false);
  bytes += static_cast<double>(y.bytes());
  dy = to_device(*backend, random_array(kSeedOutput, y.shape()));
  const double forward = fastest([&] { run(false); });
  const double both = fastest([&] { run(true); });
  if (c.flops > 0)
    std::printf("  %-44s forward %8.1f GFLOP/s   with backward %8.1f GFLOP/s\n", c.name.c_str(),
                c.flops / forward * 1e-9, 3 * c.flops / both * 1e-9);
  else
    std::printf("  %-44s forward %8.1f GB/s      with backward %8.1f GB/s\n", c.name.c_str(), bytes / forward * 1e-9,
                3 * bytes / both * 1e-9);
}

void check_op(const OpCase& c) {
  std::vector<Doubles> inputs;
  for (const Array& input : c.inputs) inputs.push_back(to_double(input.values));
  const Doubles y = c.reference(inputs);
  const Doubles dy = to_double(random_array(kSeedOutput, {static_cast<int64_t>(y.size())}).values);
  std::vector<ExpectedGradient> expected;
  for (size_t i = 0; i < inputs.size(); ++i) expected.push_back(finite_differences(c, inputs, i, dy));
  for (const Device& device : devices()) check_on(device, c, y, expected);
  if (bench_wanted()) bench_op(c);
}

void check_kernel(const KernelCase& c) {
  std::vector<Doubles> expected;
  for (const Array& array : c.arrays) expected.push_back(to_double(array.values));
  c.reference(expected);
  for (const Device& device : devices()) {
    std::vector<std::vector<float>> single;
    for (const int threads : {1, 3}) {
      const std::string where = c.name + " on " + device.name + ", " + std::to_string(threads) + " threads";
      const auto inner = device.open(threads);
      if (threads == 1) poison_free_memory(*inner);
      GuardedBackend backend(*inner);
      std::vector<Tensor> tensors;
      for (const Array& array : c.arrays) tensors.push_back(to_device(backend, array));
      c.run(backend, tensors);
      for (size_t i = 0; i < tensors.size(); ++i) {
        const auto got = to_vector(backend, tensors[i]);
        const double error = relative_error(got, expected[i]);
        if (!(error <= c.tolerance))
          VLMR1_REPORT(where + ", array " + std::to_string(i) + ": relative error " + show(error));
        if (threads == 1) single.push_back(got);
        else expect_bits(got, single[i], where + ", array " + std::to_string(i));
      }
      const std::string broken = backend.check_guards();
      if (!broken.empty()) VLMR1_REPORT(where + ": " + broken);
    }
  }
}

}  // namespace vlmr1::testing
