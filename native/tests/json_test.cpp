#include "io/json.h"

#include <string>

#include "tests/testing.h"

namespace vlmr1 {
namespace {

Json parse(const std::string& text) { return Json::parse(text, "t.json"); }

TEST(json_reads_values) {
  const Json json = parse(R"( {"a": [1, -2.5e1, true, false, null, "x"], "b": {"c": {}, "d": []}, "": 0} )");
  const auto& array = json.at("a").as_array();
  REQUIRE(array.size() == 6);
  EXPECT_EQ(array[0].as_int(), 1);
  EXPECT_EQ(array[1].as_double(), -25.0);
  EXPECT_TRUE(array[2].as_bool());
  EXPECT_FALSE(array[3].as_bool());
  EXPECT_TRUE(array[4].is_null());
  EXPECT_EQ(array[5].as_string(), "x");
  EXPECT_TRUE(json.at("b").at("c").as_object().empty());
  EXPECT_TRUE(json.at("b").at("d").as_array().empty());
  EXPECT_EQ(json.at("").as_int(), 0);
  EXPECT_TRUE(json.find("z") == nullptr);
  EXPECT_TRUE(array[0].find("z") == nullptr);
}

TEST(json_integers_are_exact) {
  EXPECT_EQ(parse("9223372036854775807").as_int(), INT64_MAX);
  EXPECT_EQ(parse("-9223372036854775808").as_int(), INT64_MIN);
  EXPECT_EQ(parse("9007199254740993").as_int(), 9007199254740993);
  EXPECT_EQ(parse("1e6").as_int(), 1000000);
  EXPECT_EQ(parse("-0").as_int(), 0);
  EXPECT_ERROR(ErrorCode::kConfig, parse("9223372036854775808").as_int());
  EXPECT_ERROR(ErrorCode::kConfig, parse("1.5").as_int());
  EXPECT_ERROR(ErrorCode::kConfig, parse("1e30").as_int());
  EXPECT_EQ(parse("1e-06").as_double(), 1e-6);
  EXPECT_EQ(parse("0.1").as_double(), 0.1);
  EXPECT_EQ(parse("-2.2250738585072014e-308").as_double(), -2.2250738585072014e-308);
}

TEST(json_reads_escapes) {
  EXPECT_EQ(parse(R"("\"\\\/\b\f\n\r\t")").as_string(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(parse(R"("\u0041\u00e9\u4e2d\ud83c\udf5c")").as_string(), "Aé中🍜");
  EXPECT_EQ(parse("\"é中🍜\"").as_string(), "é中🍜");
  EXPECT_EQ(parse(R"("a\u0000b")").as_string(), std::string("a\0b", 3));
}

TEST(json_rejects_what_is_not_json) {
  const struct {
    std::string text, message;
  } cases[] = {
      {"", "t.json:1:1: expected a value, got the end of the text"},
      {"{", "expected a key in quotes, got the end"},
      {"[1, 2", "expected ',' or ']', got the end"},
      {"[1, 2}", "t.json:1:6: expected ',' or ']', got '}'"},
      {"[1,]", "expected a value, got ']'"},
      {"[,1]", "expected a value"},
      {"{\"a\":1,}", "expected a key in quotes, got '}'"},
      {"{\"a\" 1}", "expected ':', got '1'"},
      {"{a: 1}", "expected a key in quotes, got 'a'"},
      {"{\n  \"a\": 1,\n  \"a\": 2\n}", "t.json:3:3: the key \"a\" stands twice"},
      {"1 2", "expected the end of the text, got '2'"},
      {"nul", "expected a value, got 'n'"},
      {"NaN", "expected a value, got 'N'"},
      {"-Infinity", "expected a digit, got 'I'"},
      {"01", "expected the end of the text"},
      {"+1", "expected a value"},
      {"1.", "expected a digit"},
      {".5", "expected a value"},
      {"1e", "expected a digit"},
      {"1e999", "beyond 64-bit floating point"},
      {"'a'", "expected a value, got '''"},
      {"\"abc", "t.json:1:1: this string has no end"},
      {"\"abc\\", "after a backslash, got the end"},
      {"\"\\x\"", "after a backslash, got 'x'"},
      {"\"\\u12g4\"", "four hexadecimal digits, got 'g'"},
      {"\"\\ud800\"", "t.json:1:2: half of a surrogate pair"},
      {"\"\\udc00\"", "half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
      {"\"a\nb\"", "got control character 10"},
      {"\"\xff\"", "expected UTF-8, got byte 255"},
      {"\"\xc0\x80\"", "expected UTF-8"},
      {"\"\xed\xa0\x80\"", "expected UTF-8"},
      {"\"\xf4\x90\x80\x80\"", "expected UTF-8"},
      {"\"\xe4\xb8", "expected UTF-8"},
      {"\xef\xbb\xbf{}", "expected a value"},
      {"// c\n1", "expected a value, got '/'"},
      {std::string("1\0", 2), "expected the end of the text, got control character 0"},
      {std::string(66, '['), "nested deeper than 64"},
      {std::string(1 << 20, '['), "nested deeper than 64"},
  };
  for (const auto& c : cases) EXPECT_ERROR_WITH(ErrorCode::kConfig, c.message, parse(c.text));
  EXPECT_TRUE(parse(std::string(64, '[') + "1" + std::string(64, ']')).is_array());
}

TEST(json_errors_say_the_path) {
  const Json json = parse(R"({"vision_config": {"depth": "x", "sizes": [1, "y"]}})");
  const Json& vision = json.at("vision_config");
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "t.json: vision_config.depth: expected an integer, got a string",
                    vision.at("depth").as_int());
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "t.json: vision_config.sizes[1]: expected a number, got a string",
                    vision.at("sizes").as_array()[1].as_double());
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "t.json: vision_config: \"heads\" is missing", vision.at("heads"));
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "t.json: \"heads\" is missing", json.at("heads"));
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "expected an object, got a string", vision.at("depth").at("x"));
}

TEST(json_defaults) {
  const Json json = parse(R"({"i": 3, "d": 2.5, "b": true, "s": "x", "n": null})");
  EXPECT_EQ(json.int_or("i", 7), 3);
  EXPECT_EQ(json.int_or("n", 7), 7);
  EXPECT_EQ(json.int_or("none", 7), 7);
  EXPECT_EQ(json.double_or("d", 1.0), 2.5);
  EXPECT_EQ(json.double_or("i", 1.0), 3.0);
  EXPECT_TRUE(json.bool_or("b", false));
  EXPECT_EQ(json.string_or("s", "y"), "x");
  EXPECT_EQ(json.string_or("n", "y"), "y");
  EXPECT_ERROR(ErrorCode::kConfig, json.int_or("s", 1));
}

}  // namespace
}  // namespace vlmr1
