#include "core/thread_pool.h"

namespace vlmr1 {

namespace {
// Between the kernels of a step there are a few microseconds: spinning that long is cheaper than a sleep.
constexpr int kSpins = 4000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}
}  // namespace

ThreadPool::ThreadPool(int threads, bool idle) : threads_(threads), idle_(idle) {
  check(threads >= 1 && threads <= 1024, ErrorCode::kArgument, "threads: expected 1 to 1024, got ", threads);
  if (idle) return;
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    quit_ = true;
    generation_++;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain(int thread) {
  for (;;) {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_ || stop_.requested()) return;
    call_(fn_, task, thread);
  }
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
    }
    seen = generation_.load(std::memory_order_acquire);
    if (quit_) return;
    drain(thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run_erased(int64_t tasks, Call call, const void* fn) {
  stop_.check();
  if (tasks <= 0 || idle_) return;
  tasks_ = tasks;
  call_ = call;
  fn_ = fn;
  next_.store(0, std::memory_order_relaxed);
  if (tasks > 1 && !workers_.empty()) {
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    drain(0);
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < kSpins) pause();
      else std::this_thread::yield();
    }
  } else {
    drain(0);
  }
  stop_.check();
}

}  // namespace vlmr1
