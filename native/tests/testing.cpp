#include "tests/testing.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

namespace vlmr1::testing {

namespace {

struct TestCase {
  std::string name;
  TestFunction run;
};

// A function's static: registrations run before main in no known order.
std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}

struct Skipped {
  std::string reason;
};

int failures_of_test = 0;

bool matches(const std::string& name, const std::vector<std::string>& filters) {
  return filters.empty() || std::any_of(filters.begin(), filters.end(), [&](const std::string& filter) {
           return name.find(filter) != std::string::npos;
         });
}

// What happened to one test, in words; empty when it passed.
std::string run_one(const TestCase& test) {
  failures_of_test = 0;
  try {
    test.run();
  } catch (const Skipped& skipped) {
    if (failures_of_test == 0) return "skipped: " + skipped.reason;
  } catch (const Error& error) {
    return "failed: " + std::string(error_code_name(error.code())) + ": " + error.what();
  } catch (const std::exception& error) {
    return "failed: " + std::string(error.what());
  }
  return failures_of_test == 0 ? "" : "failed";
}

}  // namespace

Registration::Registration(const char* name, TestFunction run) { registry().push_back({name, run}); }

void report_failure(const char* file, int line, const std::string& message) {
  ++failures_of_test;
  // A loop that fails everywhere says so a few times, not a million.
  constexpr int kShown = 20;
  if (failures_of_test <= kShown) std::fprintf(stderr, "%s:%d: %s\n", file, line, message.c_str());
  if (failures_of_test == kShown + 1) std::fprintf(stderr, "%s:%d: more failures follow\n", file, line);
}

void skip(const std::string& reason) { throw Skipped{reason}; }

int run_tests(const std::vector<std::string>& filters) {
  std::vector<TestCase> tests = registry();
  std::sort(tests.begin(), tests.end(), [](const TestCase& a, const TestCase& b) { return a.name < b.name; });
  if (filters.size() == 1 && filters[0] == "--list") {
    for (const TestCase& test : tests) std::printf("%s\n", test.name.c_str());
    return 0;
  }
  int passed = 0, failed = 0, skipped = 0;
  for (const TestCase& test : tests) {
    if (!matches(test.name, filters)) continue;
    const auto begin = std::chrono::steady_clock::now();
    const std::string outcome = run_one(test);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const bool was_skipped = outcome.starts_with("skipped");
    (outcome.empty() ? passed : was_skipped ? skipped : failed)++;
    std::printf("%s %s%s%s",
                outcome.empty() ? "ok  "
                : was_skipped   ? "skip"
                                : "FAIL",
                test.name.c_str(), outcome.empty() ? "" : ": ", outcome.c_str());
    if (seconds >= 0.5) std::printf(" (%.1f s)", seconds);
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed", passed, failed);
  if (skipped > 0) std::printf(", %d skipped", skipped);
  std::printf("\n");
  if (passed + failed + skipped == 0) std::fprintf(stderr, "no test matches\n");
  return failed == 0 && passed + skipped > 0 ? 0 : 1;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "vlmr1-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

namespace {

void require_same_size(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    throw std::runtime_error("cannot compare " + std::to_string(a.size()) + " with " + std::to_string(b.size()) +
                             " numbers");
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double divide(double error, double by) {
  if (!(error < kInfinity) || !(by < kInfinity)) return kInfinity;
  return by > 0.0 ? error / by : error;
}

}  // namespace

double max_absolute_error(std::span<const float> got, std::span<const float> expected) {
  require_same_size(got, expected);
  double error = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::fabs(double{got[i]} - double{expected[i]});
    if (std::isnan(difference)) return kInfinity;
    error = std::max(error, difference);
  }
  return error;
}

double max_relative_error(std::span<const float> got, std::span<const float> expected) {
  const double error = max_absolute_error(got, expected);
  double largest = 0.0;
  for (const float value : expected) largest = std::max(largest, std::fabs(double{value}));
  return divide(error, largest);
}

double relative_norm_error(std::span<const float> got, std::span<const float> expected) {
  require_same_size(got, expected);
  double error = 0.0, norm = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = double{got[i]} - double{expected[i]};
    error += difference * difference;
    norm += double{expected[i]} * double{expected[i]};
  }
  return divide(std::sqrt(error), std::sqrt(norm));
}

double cosine(std::span<const float> a, std::span<const float> b) {
  require_same_size(a, b);
  double dot = 0.0, norm_a = 0.0, norm_b = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * double{b[i]};
    norm_a += double{a[i]} * double{a[i]};
    norm_b += double{b[i]} * double{b[i]};
  }
  if (norm_a == 0.0 && norm_b == 0.0) return 1.0;
  const double value = dot / std::sqrt(norm_a * norm_b);
  return std::isfinite(value) ? value : -1.0;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace vlmr1::testing
