// Spans of time for a profile: what a thread did, one within the other, and on how much. A thread that records none
// pays a look at one variable for a span.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace vlmr1 {

// Microseconds of the steady clock.
double trace_clock();

// What a span worked on: `names` says what `sizes` are, comma-separated, as in "T,E,F".
struct Work {
  const char* names = "";
  std::array<int64_t, 4> sizes{};
  double flops = 0.0;  // floating-point operations
  double bytes = 0.0;  // read and written
};

// The spans of a log in the order in which they began, as columns. A span that has not ended is left out.
struct TraceTable {
  std::vector<std::string> names, details;  // each once
  std::vector<int32_t> name, detail;        // per span, into the above
  std::vector<double> start, duration;      // µs of trace_clock()
  std::vector<double> flops, bytes;
  int64_t dropped = 0;
};

// The spans of one thread. Past `limit` they are counted and dropped: a log's memory is bounded, and as places are
// taken when spans begin, whatever is kept has the spans around it.
class TraceLog {
 public:
  static constexpr size_t kDefaultLimit = 1'000'000;
  explicit TraceLog(size_t limit = kDefaultLimit) : limit_(limit) {}
  TraceTable table() const;

 private:
  friend class Span;
  struct Record {
    const char* name;
    Work work;
    double start;
    double duration;  // below 0 until it has ended
  };
  Record* begin(const char* name);

  std::deque<Record> records_;  // stays in place as it grows
  size_t limit_;
  int64_t dropped_ = 0;
};

// While it lives, this thread records into the log. Null: it records nothing.
class TraceScope {
 public:
  explicit TraceScope(TraceLog* log) : before_(current_) { current_ = log; }
  ~TraceScope() { current_ = before_; }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  static TraceLog* current() { return current_; }

 private:
  TraceLog* before_;
  constinit static thread_local TraceLog* current_;
};

// From here to the end of the block, or to end(). The name must outlive the log: a literal.
class Span {
 public:
  explicit Span(const char* name) {
    if (TraceLog* log = TraceScope::current()) record_ = log->begin(name);
  }
  // `work()` is only called when it is recorded.
  template <typename MakeWork>
  Span(const char* name, const MakeWork& work) : Span(name) {
    if (record_ != nullptr) record_->work = work();
  }
  // One of many: `Span("decoder layer", "layer", 3)`.
  Span(const char* name, const char* what, int64_t value) : Span(name) {
    if (record_ != nullptr) record_->work = {what, {value}};
  }
  ~Span() { end(); }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  void end() {
    if (record_ == nullptr) return;
    record_->duration = trace_clock() - record_->start;
    record_ = nullptr;
  }

 private:
  TraceLog::Record* record_ = nullptr;
};

}  // namespace vlmr1
