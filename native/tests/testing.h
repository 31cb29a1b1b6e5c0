// A small test framework.
//
//   TEST(json_reads_numbers) { EXPECT_EQ(Json::parse("1", "t").as_int(), 1); }
//
// A failed expectation is reported and the test goes on; an exception ends it. Names are matched by part:
// `native_tests json image` runs the tests whose names hold "json" or "image".
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace vlmr1::testing {

using TestFunction = void (*)();

struct Registration {
  Registration(const char* name, TestFunction run);
};

// 0 when every test that matches passed. `--list` prints the names.
int run_tests(const std::vector<std::string>& filters);

void report_failure(const char* file, int line, const std::string& message);
// Ends the running test without failing it: what it needs is not there.
[[noreturn]] void skip(const std::string& reason);

template <typename T>
std::string show(const T& value) {
  std::ostringstream text;
  text.precision(9);
  if constexpr (std::is_same_v<T, bool>) text << (value ? "true" : "false");
  else if constexpr (std::is_enum_v<T>) text << static_cast<int64_t>(value);
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) text << static_cast<int>(value);
  else if constexpr (requires { text << value; }) text << value;
  else if constexpr (requires { value.str(); }) text << value.str();
  else if constexpr (requires { value.begin(); }) {
    text << "[";
    size_t shown = 0;
    for (const auto& item : value) {
      if (shown > 0) text << ", ";
      if (shown == 32) {
        text << "… " << value.size() << " in all";
        break;
      }
      text << show(item);
      ++shown;
    }
    text << "]";
  } else text << "?";
  return text.str();
}

template <typename A, typename B>
bool equal(const A& a, const B& b) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && !std::is_same_v<A, bool> && !std::is_same_v<B, bool>)
    return std::cmp_equal(a, b);
  else return a == b;
}

// Functions, not macros, so that what an expression refers to lives until it was compared.
template <typename A, typename B>
void expect_equal(const A& got, const B& expected, const char* text, const char* file, int line) {
  if (!equal(got, expected))
    report_failure(file, line, std::string(text) + ": expected " + show(expected) + ", got " + show(got));
}

template <typename A, typename B, typename Compare>
void expect_compare(const A& a, const B& b, const Compare& compare, const char* text, const char* file, int line) {
  if (!compare(a, b))
    report_failure(file, line, std::string("expected ") + text + ", got " + show(a) + " and " + show(b));
}

// A scratch folder that is gone when the object is.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// -- Comparing arrays. NaN anywhere makes the result infinite (cosine: -1), so that no bound passes.

// max |a - b| / max |b|: relative to the expected array's largest element.
double max_relative_error(std::span<const float> got, std::span<const float> expected);
double max_absolute_error(std::span<const float> got, std::span<const float> expected);
// ‖a − b‖ / ‖b‖.
double relative_norm_error(std::span<const float> got, std::span<const float> expected);
// 1 for two zero vectors.
double cosine(std::span<const float> a, std::span<const float> b);
// Equal bits, which is stricter than == (signed zeros, NaN).
bool same_bits(std::span<const float> a, std::span<const float> b);

}  // namespace vlmr1::testing

#define TEST(name)                                                                  \
  static void test_##name();                                                        \
  static const ::vlmr1::testing::Registration register_##name(#name, &test_##name); \
  static void test_##name()

#define VLMR1_REPORT(message) ::vlmr1::testing::report_failure(__FILE__, __LINE__, message)

#define EXPECT_TRUE(condition)                              \
  do {                                                      \
    if (!(condition)) VLMR1_REPORT("expected " #condition); \
  } while (0)

#define EXPECT_FALSE(condition)                              \
  do {                                                       \
    if (condition) VLMR1_REPORT("expected not " #condition); \
  } while (0)

#define EXPECT_EQ(got, expected) ::vlmr1::testing::expect_equal((got), (expected), #got, __FILE__, __LINE__)

#define VLMR1_COMPARE(a, op, b)                                                                                 \
  ::vlmr1::testing::expect_compare((a), (b),                                                                    \
                                   [](const auto& vlmr1_a, const auto& vlmr1_b) { return vlmr1_a op vlmr1_b; }, \
                                   #a " " #op " " #b, __FILE__, __LINE__)

#define EXPECT_LE(a, b) VLMR1_COMPARE(a, <=, b)
#define EXPECT_LT(a, b) VLMR1_COMPARE(a, <, b)
#define EXPECT_GE(a, b) VLMR1_COMPARE(a, >=, b)
#define EXPECT_GT(a, b) VLMR1_COMPARE(a, >, b)

// |got − expected| ≤ tolerance; false for NaN.
#define EXPECT_NEAR(got, expected, tolerance)                                                 \
  do {                                                                                        \
    const double vlmr1_got = static_cast<double>(got);                                        \
    const double vlmr1_expected = static_cast<double>(expected);                              \
    if (!(std::fabs(vlmr1_got - vlmr1_expected) <= static_cast<double>(tolerance)))           \
      VLMR1_REPORT(#got ": expected " + ::vlmr1::testing::show(vlmr1_expected) + " within " + \
                   ::vlmr1::testing::show(static_cast<double>(tolerance)) + ", got " +        \
                   ::vlmr1::testing::show(vlmr1_got));                                        \
  } while (0)

#define EXPECT_CONTAINS(text, part)                                              \
  do {                                                                           \
    const std::string vlmr1_text = (text);                                       \
    const std::string vlmr1_part = (part);                                       \
    if (vlmr1_text.find(vlmr1_part) == std::string::npos)                        \
      VLMR1_REPORT("expected \"" + vlmr1_part + "\" in \"" + vlmr1_text + "\""); \
  } while (0)

// The expression throws vlmr1::Error with the code, and its message holds `part`.
#define EXPECT_ERROR_WITH(error_code, part, expression)                                                      \
  do {                                                                                                       \
    try {                                                                                                    \
      (void)(expression);                                                                                    \
      VLMR1_REPORT(#expression ": expected " #error_code ", nothing was thrown");                            \
    } catch (const ::vlmr1::Error& vlmr1_error) {                                                            \
      if (vlmr1_error.code() != (error_code))                                                                \
        VLMR1_REPORT(#expression ": expected " #error_code ", got " +                                        \
                     std::string(::vlmr1::error_code_name(vlmr1_error.code())) + ": " + vlmr1_error.what()); \
      EXPECT_CONTAINS(vlmr1_error.what(), part);                                                             \
    } catch (const std::exception& vlmr1_error) {                                                            \
      VLMR1_REPORT(#expression ": expected " #error_code ", got another exception: " +                       \
                   std::string(vlmr1_error.what()));                                                         \
    }                                                                                                        \
  } while (0)

#define EXPECT_ERROR(error_code, expression) EXPECT_ERROR_WITH(error_code, "", expression)

// Throws out of the test: what follows makes no sense without it.
#define REQUIRE(condition)                                                             \
  do {                                                                                 \
    if (!(condition)) throw std::runtime_error(std::string("required ") + #condition); \
  } while (0)
