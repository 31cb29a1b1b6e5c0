// Measures kernels through the back end's contract, against what the machine can do. Answers a line of JSON for the
// machine, then one for every case. `npm run bench -- kernels` builds and calls it and makes tables of the lines.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/cases.h"
#include "bench/libraries/library.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "core/cores.h"

namespace vlmr1::bench {

namespace {

constexpr const char* kUsage =
    "usage: vlmr1_native_bench [--threads N] [--rounds N] [--slice MS] [--filter \"WORD ...\"] [--quick] [--list | "
    "--peaks]\n";

struct Options {
  int threads = 0;
  Rounds rounds;
  std::vector<std::string> words;  // all must be in a case's group and name
  bool quick = false, list = false, peaks = false;
};

[[noreturn]] void refuse(const std::string& message) {
  std::fprintf(stderr, "%s\n%s", message.c_str(), kUsage);
  std::exit(2);
}

double number(const std::string& option, const char* text, double least) {
  char* end = nullptr;
  const double value = text ? std::strtod(text, &end) : 0.0;
  if (text == nullptr || end == text || *end != '\0' || !(value >= least && value <= 1e6))
    refuse(option + ": expected a number of at least " + std::to_string(static_cast<int>(least)) + ", got " +
           (text ? "\"" + std::string(text) + "\"" : "nothing"));
  return value;
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quick") options.quick = true;
    else if (name == "--list") options.list = true;
    else if (name == "--peaks") options.peaks = true;
    else if (name == "--threads") options.threads = static_cast<int>(number(name, argv[++i], 0));
    else if (name == "--rounds") options.rounds.count = static_cast<int>(number(name, argv[++i], 1));
    else if (name == "--slice") options.rounds.slice_seconds = number(name, argv[++i], 0) / 1000;
    else if (name == "--filter" && i + 1 < argc) {
      std::istringstream words(argv[++i]);
      for (std::string word; words >> word;) options.words.push_back(word);
    } else refuse("unknown argument \"" + name + "\"");
  }
  if (options.quick) options.rounds = {1, 0.0};
  return options;
}

std::vector<Case> chosen_cases(const Options& options, const Sizes& sizes) {
  std::vector<Case> all;
  for (const auto& make : {gemm_cases, attention_cases, elementwise_cases, vocabulary_cases})
    for (Case& one : make(sizes)) all.push_back(std::move(one));
  std::vector<Case> chosen;
  for (const Case& one : all) {
    const std::string text = one.group + " " + one.name;
    const auto holds = [&](const std::string& word) { return text.find(word) != std::string::npos; };
    const bool fits = std::all_of(options.words.begin(), options.words.end(), holds);
    if (options.words.empty() ? one.standard || options.list : fits) chosen.push_back(one);
  }
  if (chosen.empty()) refuse("--filter: no kernel has all of these words in its name; --list shows the names");
  return chosen;
}

std::string peak_json(const char* name, const Peak& peak) {
  char text[128];
  std::snprintf(text, sizeof text, "\"%s\":{\"one\":%.4g,\"all\":%.4g}", name, peak.one / 1e9, peak.all / 1e9);
  return text;
}

// Peaks in 10⁹ operations or bytes a second.
void print_machine(const Machine& machine, const std::string& backend) {
  std::string peaks = peak_json("f32", machine.f32) + "," + peak_json("bf16", machine.bf16);
  peaks +=
      "," + peak_json("l2", machine.l2) + "," + peak_json("l3", machine.l3) + "," + peak_json("dram", machine.dram);
  std::string found;
  for (const Library& library : libraries())
    found += (found.empty() ? "\"" : ",\"") + library.name + " " + library.version + "\"";
  std::printf(
      "{\"type\":\"machine\",\"backend\":\"%s\",\"threads\":%d,\"l2Bytes\":%.0f,\"l3Bytes\":%.0f,\"peaks\":{%s},"
      "\"libraries\":[%s]}\n",
      backend.c_str(), machine.threads, machine.l2_bytes, machine.l3_bytes, peaks.c_str(), found.c_str());
  std::fflush(stdout);
}

// A library's number is how many times as fast as it the back end is.
void print_case(const Case& one, const Work& work, const Machine& machine, const std::vector<double>& seconds) {
  const Bound bound = bound_of(machine, work);
  std::string others;
  for (size_t i = 1; i < seconds.size(); ++i) {
    char text[96];
    std::snprintf(text, sizeof text, "%s\"%s\":%.4g", i > 1 ? "," : "", work.contestants[i].name.c_str(),
                  seconds[i] / seconds[0]);
    others += text;
  }
  std::printf(
      "{\"type\":\"case\",\"group\":\"%s\",\"name\":\"%s\",\"seconds\":%.6g,\"gflops\":%.5g,\"gigabytes\":%.5g,"
      "\"bound\":\"%s\",\"ofPeak\":%.4g,\"against\":{%s}}\n",
      one.group.c_str(), one.name.c_str(), seconds[0], work.flops / seconds[0] / 1e9, work.bytes / seconds[0] / 1e9,
      bound.by, bound.seconds / seconds[0], others.c_str());
  std::fflush(stdout);
}

// The libraries' threads must be as many as the back end's, and must sleep while that is measured: with OpenMP only the
// environment at a program's start says so. Comes back where that is so already, or cannot be had.
void start_with_quiet_libraries(char** argv, int threads) {
  const std::string count = std::to_string(threads);
  const std::vector<std::pair<const char*, std::string>> wanted{{"OMP_WAIT_POLICY", "passive"},
                                                                {"OMP_NUM_THREADS", count},
                                                                {"OPENBLAS_NUM_THREADS", count},
                                                                {"OPENBLAS_THREAD_TIMEOUT", "4"}};
  bool there = true;
  for (const auto& [name, value] : wanted) {
    const char* set = std::getenv(name);
    there = there && set != nullptr && value == set;
    ::setenv(name, value.c_str(), 1);
  }
  if (!there && !libraries().empty()) ::execvp(argv[0], argv);
}

int run(const Options& options, char** argv) {
  Sizes sizes;
  sizes.quick = options.quick;
  if (options.list) {
    for (const Case& one : chosen_cases(options, sizes)) std::printf("%s  %s\n", one.group.c_str(), one.name.c_str());
    return 0;
  }
  const int threads = options.threads > 0 ? options.threads : physical_cores();
  Machine machine = known_machine(threads);
  sizes.last_level_cache = machine.l3_bytes;
  const std::vector<Case> cases = chosen_cases(options, sizes);
  start_with_quiet_libraries(argv, threads);
  const auto backend = make_cpu_backend({threads, "", false});
  measure_peaks(machine, options.quick);
  print_machine(machine, backend->name());
  for (const Case& one : cases) {
    if (options.peaks) break;
    {
      const Work work = one.make(*backend);
      print_case(one, work, machine, interleaved(work.contestants, options.rounds));
    }
    backend->trim();
  }
  return 0;
}

}  // namespace

}  // namespace vlmr1::bench

int main(int argc, char** argv) {
  try {
    return vlmr1::bench::run(vlmr1::bench::read_options(argc, argv), argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
