#include "bench/machine.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <new>
#include <vector>

#include "bench/measure.h"
#include "bench/peak_loops.h"
#include "core/thread_pool.h"

namespace vlmr1::bench {

namespace {

const PeakLoops& best_loops() {
#ifdef VLMR1_X86
  const std::string best = cpu_isa_info().supported.back();
  if (best == "avx512_bf16") return avx512_bf16::loops();
  if (best == "avx512") return avx512::loops();
  if (best == "avx2") return avx2::loops();
#endif
  return baseline::loops();
}

// What the system says of the first core's caches; sysconf is wrong on some processors. 0: it says nothing.
double cache_size(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    int found = 0;
    double kilobytes = 0.0;
    std::ifstream(folder + "/level") >> found;
    if (found == level && std::ifstream(folder + "/size") >> kilobytes) return 1024.0 * kilobytes;
  }
  return 0.0;
}

// Best of several runs, each of which every thread begins at once: units a second.
template <typename Fn>
double best_rate(ThreadPool& pool, double units_per_thread, double seconds, const Fn& fn) {
  std::atomic<float> kept{0.0f};  // nothing is computed in vain
  double best = 0.0;
  const double end = now() + seconds;
  do {
    const double start = now();
    pool.run(pool.threads(), [&](int64_t task, int) { kept.store(fn(task), std::memory_order_relaxed); });
    best = std::max(best, units_per_thread * pool.threads() / (now() - start));
  } while (now() < end);
  return best;
}

struct Budget {
  double seconds;       // of a measurement
  int64_t rounds;       // of arithmetic in a run
  int64_t read_floats;  // in a run, at least
};

double compute_rate(ThreadPool& pool, float (*loop)(int64_t), double flops, const Budget& budget) {
  return best_rate(pool, flops * static_cast<double>(budget.rounds), budget.seconds,
                   [&](int64_t) { return loop(budget.rounds); });
}

double read_rate(ThreadPool& pool, const float* memory, double bytes, const Budget& budget) {
  const int64_t each = std::max<int64_t>(1, static_cast<int64_t>(bytes / 4 / pool.threads()) / kReadUnit) * kReadUnit;
  const int64_t passes = std::max<int64_t>(1, budget.read_floats / each);
  const auto read = best_loops().read;
  return best_rate(pool, 4.0 * static_cast<double>(each * passes), budget.seconds, [&](int64_t task) {
    float sum = 0.0f;
    for (int64_t pass = 0; pass < passes; ++pass) sum += read(memory + task * each, each);
    return sum;
  });
}

struct FreeAligned {
  void operator()(float* p) const { ::operator delete[](p, std::align_val_t(64)); }
};

}  // namespace

Machine known_machine(int threads) {
  Machine machine;
  machine.threads = threads;
  const double l2 = cache_size(2), l3 = cache_size(3);
  machine.l2_bytes = l2 > 0 ? l2 : 1 << 20;
  machine.l3_bytes = l3 > 0 ? l3 : 32 << 20;
  return machine;
}

void measure_peaks(Machine& machine, bool quick) {
  ThreadPool one(1), all(machine.threads);
  const Budget budget = quick ? Budget{0.005, 1 << 10, 1 << 16} : Budget{0.15, 1 << 15, 1 << 25};
  const double large = quick ? 8e6 : std::max(256e6, 4 * machine.l3_bytes);
  const std::unique_ptr<float[], FreeAligned> memory(new (std::align_val_t(64)) float[static_cast<size_t>(large / 4)]);
  std::fill_n(memory.get(), static_cast<size_t>(large / 4), 1.0f);

  const PeakLoops& loops = best_loops();
  const auto both = [&](auto&& measure) { return Peak{measure(one), measure(all)}; };
  machine.f32 = both([&](ThreadPool& pool) { return compute_rate(pool, loops.f32, loops.f32_flops, budget); });
  machine.bf16 = machine.f32;
  if (loops.bf16)
    machine.bf16 = both([&](ThreadPool& pool) { return compute_rate(pool, loops.bf16, loops.bf16_flops, budget); });
  // Half of a cache: the rest holds what is not measured.
  machine.l2 = both([&](ThreadPool& pool) {
    return read_rate(pool, memory.get(), std::min(large, machine.l2_bytes / 2 * pool.threads()), budget);
  });
  machine.l3 = both(
      [&](ThreadPool& pool) { return read_rate(pool, memory.get(), std::min(large, machine.l3_bytes / 2), budget); });
  machine.dram = both([&](ThreadPool& pool) { return read_rate(pool, memory.get(), large, budget); });
}

Bound bound_of(const Machine& machine, const Work& work) {
  const double l2 = machine.l2_bytes * machine.threads;
  const bool in_l2 = !work.from_dram && work.bytes <= l2, in_l3 = !work.from_dram && work.bytes <= machine.l3_bytes;
  const Peak& memory = in_l2 ? machine.l2 : in_l3 ? machine.l3 : machine.dram;
  const double compute = work.flops / (work.bf16 ? machine.bf16 : machine.f32).all;
  const double traffic = work.bytes / memory.all;
  if (compute >= traffic) return {compute, "compute"};
  return {traffic, in_l2 ? "L2" : in_l3 ? "L3" : "DRAM"};
}

}  // namespace vlmr1::bench
