#include "core/thread_pool.h"

#include <chrono>
#include <utility>

namespace vlmr1 {

namespace {
// Between the kernels of a step there are a few microseconds: spinning that long is cheaper than a sleep.
constexpr int kSpins = 4000;
// A time slice that the system gives to another program is several milliseconds; to be woken takes less than a tenth.
constexpr std::chrono::microseconds kPatience{300};
using Clock = std::chrono::steady_clock;

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
    gate_.fetch_add(kGeneration, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain(int thread) {
  try {
    for (;;) {
      const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_ || stop_.requested()) return;
      call_(fn_, task, thread);
    }
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    next_.store(tasks_, std::memory_order_relaxed);
  }
}

// Takes part in the run at hand unless that is over: a worker that the system let sleep holds nobody up.
bool ThreadPool::enter(uint64_t generation) {
  uint64_t gate = gate_.load(std::memory_order_acquire);
  while (gate / kGeneration == generation && (gate & kClosed) == 0) {
    if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
  }
  return false;
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  const auto now = [this] { return gate_.load(std::memory_order_acquire) / kGeneration; };
  for (;;) {
    for (int spin = 0; spin < kSpins && now() == seen; ++spin) pause();
    if (now() == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return now() != seen; });
    }
    seen = now();
    if (quit_) return;
    if (!enter(seen)) continue;
    drain(thread);
    leave();
  }
}

void ThreadPool::leave() {
  const uint64_t before = gate_.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & kAsleep) == 0 || (before & kInside) != 1) return;
  // The caller holds the mutex from when it says that it sleeps until it does.
  std::lock_guard<std::mutex> lock(mutex_);
  left_.notify_one();
}

// Where a worker takes much longer than its last task can, another program has its core: asleep, the caller leaves it
// its own.
void ThreadPool::wait_for_workers() {
  const auto inside = [this] { return (gate_.load(std::memory_order_acquire) & kInside) != 0; };
  for (int spin = 0; spin < kSpins; ++spin) {
    if (!inside()) return;
    pause();
  }
  for (const auto since = Clock::now(); Clock::now() - since < kPatience;) {
    if (!inside()) return;
    std::this_thread::yield();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  gate_.fetch_or(kAsleep, std::memory_order_acq_rel);
  left_.wait(lock, [&] { return !inside(); });
}

void ThreadPool::run_erased(int64_t tasks, Call call, const void* fn) {
  stop_.check();
  if (tasks <= 0 || idle_) return;
  tasks_ = tasks;
  call_ = call;
  fn_ = fn;
  next_.store(0, std::memory_order_relaxed);
  if (tasks > 1 && !workers_.empty()) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const uint64_t next = gate_.load(std::memory_order_relaxed) / kGeneration + 1;
      gate_.store(next * kGeneration, std::memory_order_release);
    }
    wake_.notify_all();
    drain(0);
    gate_.fetch_or(kClosed, std::memory_order_acq_rel);
    wait_for_workers();
  } else {
    drain(0);
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  stop_.check();
}

}  // namespace vlmr1
