// The parsing half of json.h: RFC 8259 and nothing more lenient.
#include <cmath>
#include <locale>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "io/json.h"

namespace vlmr1 {

namespace {

constexpr int kMaxDepth = 64;
// A value costs some hundred bytes, far more than its text: this bounds what a hostile file can make us allocate.
constexpr int64_t kMaxValues = 4'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

// Bytes of the UTF-8 character at the start of `text`, 0 where it is malformed: overlong, surrogate, cut off or above
// U+10FFFF.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  uint8_t low = 0x80, high = 0xbf;  // of the second byte
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

}  // namespace

class JsonParser {
 public:
  JsonParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Json parse_document() {
    skip_space();
    Json value = parse_value(where_, 0);
    skip_space();
    if (at_ != text_.size()) fail_here("expected the end of the text");
    return value;
  }

 private:
  // Says the place and, unless the text ends there, what stands in it.
  [[noreturn]] void fail_at(size_t at, const std::string& message, bool show_what_came) const {
    int64_t line = 1, column = 1;
    for (size_t i = 0; i < at; ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n';
    }
    std::string came;
    if (show_what_came) came = at >= text_.size() ? ", got the end of the text" : ", got " + shown(at);
    fail(ErrorCode::kConfig, where_, ":", line, ":", column, ": ", message, came);
  }
  [[noreturn]] void fail_here(const std::string& message) const { fail_at(at_, message, true); }

  std::string shown(size_t at) const {
    const auto c = static_cast<uint8_t>(text_[at]);
    if (c < 0x20 || c == 0x7f) return "control character " + std::to_string(c);
    const size_t length = utf8_length(text_.substr(at));
    if (length == 0) return "byte " + std::to_string(c) + ", which is not UTF-8";
    return "'" + std::string(text_.substr(at, length)) + "'";
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }

  Json parse_value(const std::string& path, int depth) {
    if (depth > kMaxDepth) fail_at(at_, "nested deeper than " + std::to_string(kMaxDepth), false);
    if (++values_ > kMaxValues) fail_at(at_, "more than " + std::to_string(kMaxValues) + " values", false);
    Json value;
    value.path_ = path;
    switch (peek()) {
      case '{': parse_object(value, depth); break;
      case '[': parse_array(value, depth); break;
      case '"':
        value.kind_ = Json::Kind::kString;
        value.string_ = parse_string();
        break;
      case 't':
        parse_word("true");
        value.kind_ = Json::Kind::kBool;
        value.bool_ = true;
        break;
      case 'f':
        parse_word("false");
        value.kind_ = Json::Kind::kBool;
        break;
      case 'n': parse_word("null"); break;
      default: parse_number(value);
    }
    return value;
  }

  void parse_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) fail_here("expected a value");
    at_ += word.size();
  }

  void parse_object(Json& value, int depth) {
    value.kind_ = Json::Kind::kObject;
    const std::string prefix = value.path_ + (depth == 0 ? ": " : ".");
    ++at_;
    skip_space();
    if (peek() == '}') {
      ++at_;
      return;
    }
    for (;;) {
      if (peek() != '"') fail_here("expected a key in quotes");
      const size_t key_at = at_;
      std::string key = parse_string();
      if (value.object_.count(key) != 0) fail_at(key_at, "the key \"" + key + "\" stands twice in one object", false);
      skip_space();
      if (peek() != ':') fail_here("expected ':'");
      ++at_;
      skip_space();
      Json member = parse_value(prefix + key, depth + 1);
      value.object_.emplace(std::move(key), std::move(member));
      skip_space();
      const char next = peek();
      if (next != ',' && next != '}') fail_here("expected ',' or '}'");
      ++at_;
      if (next == '}') return;
      skip_space();
    }
  }

  void parse_array(Json& value, int depth) {
    value.kind_ = Json::Kind::kArray;
    const std::string prefix = value.path_ + (depth == 0 ? ": [" : "[");
    ++at_;
    skip_space();
    if (peek() == ']') {
      ++at_;
      return;
    }
    for (;;) {
      value.array_.push_back(parse_value(prefix + std::to_string(value.array_.size()) + "]", depth + 1));
      skip_space();
      const char next = peek();
      if (next != ',' && next != ']') fail_here("expected ',' or ']'");
      ++at_;
      if (next == ']') return;
      skip_space();
    }
  }

  std::string parse_string() {
    const size_t start = at_++;
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail_at(start, "this string has no end", false);
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\') {
        parse_escape(out);
        continue;
      }
      if (static_cast<uint8_t>(c) < 0x20) fail_here("control characters in strings are written as \\u escapes");
      const size_t length = utf8_length(text_.substr(at_));
      if (length == 0) fail_here("expected UTF-8");
      out.append(text_, at_, length);
      at_ += length;
    }
  }

  void parse_escape(std::string& out) {
    const size_t start = at_++;
    const char c = peek();
    switch (c) {
      case '"':
      case '\\':
      case '/': out += c; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        ++at_;
        append_utf8(parse_code_point(start), out);
        return;
      }
      default: fail_here("expected one of \"\\/bfnrtu after a backslash");
    }
    ++at_;
  }

  // After "\u"; reads the second half of a surrogate pair too.
  uint32_t parse_code_point(size_t start) {
    const uint32_t first = parse_hex4();
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const uint32_t second = parse_hex4();
      if (second >= 0xdc00 && second <= 0xdfff) return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    fail_at(start, "half of a surrogate pair", false);
  }

  uint32_t parse_hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      uint32_t digit = 0;
      if (is_digit(c)) digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') digit = static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') digit = static_cast<uint32_t>(c - 'A' + 10);
      else fail_here("expected four hexadecimal digits");
      code = code * 16 + digit;
    }
    return code;
  }

  void skip_digits() {
    if (!is_digit(peek())) fail_here("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  void parse_number(Json& value) {
    const size_t start = at_;
    if (peek() != '-' && !is_digit(peek())) fail_here("expected a value");
    if (peek() == '-') ++at_;
    if (peek() == '0') ++at_;
    else skip_digits();
    bool whole = true;
    if (peek() == '.') {
      whole = false;
      ++at_;
      skip_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      skip_digits();
    }
    const std::string digits(text_.substr(start, at_ - start));
    value.kind_ = Json::Kind::kNumber;
    value.is_integer_ = whole && to_integer(digits, value.integer_);
    value.number_ = to_double(digits, start);
  }

  // False where it does not fit 64 bits.
  static bool to_integer(const std::string& digits, int64_t& out) {
    const bool negative = digits[0] == '-';
    uint64_t magnitude = 0;
    const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    for (size_t i = negative ? 1 : 0; i < digits.size(); ++i) {
      const auto digit = static_cast<uint64_t>(digits[i] - '0');
      if (magnitude > (limit - digit) / 10) return false;
      magnitude = magnitude * 10 + digit;
    }
    out = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
    return true;
  }

  double to_double(const std::string& digits, size_t start) const {
    // A stream with the classic locale: strtod would read by the locale of the process, and from_chars for floating
    // point is missing from some standard libraries.
    std::istringstream stream(digits);
    stream.imbue(std::locale::classic());
    double number = 0.0;
    stream >> number;
    if (stream.fail() || !std::isfinite(number)) fail_at(start, "a number beyond 64-bit floating point", false);
    return number;
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
  int64_t values_ = 0;
};

Json Json::parse(std::string_view text, const std::string& where) { return JsonParser(text, where).parse_document(); }

}  // namespace vlmr1
