#include "bench/measure.h"

#include <algorithm>
#include <chrono>

namespace vlmr1::bench {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

namespace {

double seconds_of(const Contestant& contestant, int64_t calls) {
  const double start = now();
  for (int64_t i = 0; i < calls; ++i) contestant.run();
  return (now() - start) / static_cast<double>(calls);
}

}  // namespace

std::vector<double> interleaved(const std::vector<Contestant>& contestants, const Rounds& rounds) {
  std::vector<int64_t> calls;
  for (const Contestant& contestant : contestants) {
    for (int i = 0; i < contestant.warmup; ++i) contestant.run();
    const double once = std::max(seconds_of(contestant, 1), 1e-9);
    calls.push_back(std::max<int64_t>(1, static_cast<int64_t>(rounds.slice_seconds / once)));
  }
  std::vector<std::vector<double>> seconds(contestants.size());
  for (int round = 0; round < rounds.count; ++round)
    for (size_t i = 0; i < contestants.size(); ++i) seconds[i].push_back(seconds_of(contestants[i], calls[i]));
  std::vector<double> medians;
  for (const auto& each : seconds) medians.push_back(median(each));
  return medians;
}

}  // namespace vlmr1::bench
