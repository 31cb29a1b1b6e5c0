// An own pool of threads. Work is cut by the caller into tasks whose results do not depend on who runs them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/stop.h"

namespace vlmr1 {

class ThreadPool {
 public:
  // Idle: has no threads, and `run` does nothing.
  explicit ThreadPool(int threads, bool idle = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }
  void set_stop(const StopFlag& stop) { stop_ = stop; }

  // Runs fn(task, thread) for task in [0, tasks); the caller takes part. Throws ERR_ABORTED when the stop flag is set,
  // after the tasks under way have ended; so does what a task throws, the first where several do.
  template <typename Fn>
  void run(int64_t tasks, const Fn& fn) {
    run_erased(
        tasks, [](const void* f, int64_t task, int thread) { (*static_cast<const Fn*>(f))(task, thread); }, &fn);
  }

 private:
  using Call = void (*)(const void* fn, int64_t task, int thread);
  void run_erased(int64_t tasks, Call call, const void* fn);
  bool enter(uint64_t generation);
  void work(int thread);
  void drain(int thread);
  void leave();
  void wait_for_workers();

  const int threads_;
  const bool idle_;
  std::vector<std::thread> workers_;
  StopFlag stop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable left_;
  // The number of the run at hand, whether it still takes workers, whether the caller sleeps until those that are
  // inside have left, and how many these are.
  static constexpr uint64_t kGeneration = 1 << 16;
  static constexpr uint64_t kClosed = 1 << 15;
  static constexpr uint64_t kAsleep = 1 << 14;
  static constexpr uint64_t kInside = kAsleep - 1;
  std::atomic<uint64_t> gate_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<bool> quit_{false};
  int64_t tasks_ = 0;
  Call call_ = nullptr;
  const void* fn_ = nullptr;
  std::exception_ptr failure_;  // of the run at hand; written under the mutex
};

}  // namespace vlmr1
