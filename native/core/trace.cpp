#include "core/trace.h"

#include <chrono>
#include <string_view>
#include <unordered_map>

namespace vlmr1 {

constinit thread_local TraceLog* TraceScope::current_ = nullptr;

double trace_clock() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

namespace {

// Texts with a number each, in the order in which they came.
class Numbered {
 public:
  explicit Numbered(std::vector<std::string>& texts) : texts_(texts) {}
  int32_t of(const std::string& text) {
    const auto [found, added] = numbers_.emplace(text, static_cast<int32_t>(texts_.size()));
    if (added) texts_.push_back(text);
    return found->second;
  }

 private:
  std::vector<std::string>& texts_;
  std::unordered_map<std::string, int32_t> numbers_;
};

// "T=97 E=64 F=128"
std::string describe(const Work& work) {
  std::string text;
  std::string_view names = work.names;
  for (size_t i = 0; !names.empty() && i < work.sizes.size(); ++i) {
    const size_t comma = names.find(',');
    if (i > 0) text += ' ';
    text.append(names.substr(0, comma)).append("=").append(std::to_string(work.sizes[i]));
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
  }
  return text;
}

}  // namespace

TraceLog::Record* TraceLog::begin(const char* name) {
  if (records_.size() >= limit_) {
    ++dropped_;
    return nullptr;
  }
  return &records_.emplace_back(Record{name, {}, trace_clock(), -1.0});
}

TraceTable TraceLog::table() const {
  TraceTable table;
  table.dropped = dropped_;
  Numbered names(table.names);
  Numbered details(table.details);
  for (const Record& record : records_) {
    if (record.duration < 0) continue;
    table.name.push_back(names.of(record.name));
    table.detail.push_back(details.of(describe(record.work)));
    table.start.push_back(record.start);
    table.duration.push_back(record.duration);
    table.flops.push_back(record.work.flops);
    table.bytes.push_back(record.work.bytes);
  }
  return table;
}

}  // namespace vlmr1
