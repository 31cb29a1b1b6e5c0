// The thread pool, and how soon a kernel ends when it is interrupted.
#include "core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>

#include "backend/backend.h"
#include "core/cores.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

// -- Thread pool.

TEST(core_pool_runs_every_task_once) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t tasks : {0, 1, 2, 3, 100, 5000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      std::atomic<int> strangers{0};
      pool.run(tasks, [&](int64_t task, int thread) {
        runs[static_cast<size_t>(task)]++;
        if (thread < 0 || thread >= threads) strangers++;
      });
      EXPECT_TRUE(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
      EXPECT_EQ(strangers.load(), 0);
    }
  }
}

// Two tasks that run at the same time are given different scratch.
TEST(core_pool_threads_have_numbers_of_their_own) {
  ThreadPool pool(4);
  std::atomic<int> inside[4] = {};
  std::atomic<int> clashes{0};
  pool.run(400, [&](int64_t, int thread) {
    if (inside[thread].fetch_add(1) != 0) clashes++;
    std::this_thread::yield();
    inside[thread].fetch_sub(1);
  });
  EXPECT_EQ(clashes.load(), 0);
}

// Runs follow each other closely (workers still spin) and far apart (they sleep); what a task wrote is seen after.
TEST(core_pool_many_short_runs) {
  ThreadPool pool(3);
  std::vector<int64_t> values(64);
  for (int round = 0; round < 1000; ++round) {
    if (round % 200 == 199) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.run(64, [&](int64_t task, int) { values[static_cast<size_t>(task)] += task; });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 1000 * i);
}

TEST(core_pool_stops_and_runs_again) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    int32_t word = 0;
    pool.set_stop(StopFlag(&word));
    std::atomic<int> done{0};
    EXPECT_ERROR(ErrorCode::kAborted, pool.run(100'000, [&](int64_t task, int) {
      done++;
      if (task == 10) __atomic_store_n(&word, 1, __ATOMIC_RELAXED);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }));
    EXPECT_LT(done.load(), 1000);
    // It stays stopped until the flag is cleared, and then nothing of the old run is left.
    done = 0;
    EXPECT_ERROR(ErrorCode::kAborted, pool.run(5, [&](int64_t, int) { done++; }));
    EXPECT_EQ(done.load(), 0);
    word = 0;
    pool.run(100, [&](int64_t, int) { done++; });
    EXPECT_EQ(done.load(), 100);
  }
}

TEST(core_pool_refuses_odd_numbers_of_threads) {
  EXPECT_ERROR(ErrorCode::kArgument, ThreadPool(0));
  EXPECT_ERROR(ErrorCode::kArgument, ThreadPool(-3));
  EXPECT_ERROR(ErrorCode::kArgument, ThreadPool(100'000));
  EXPECT_GE(physical_cores(), 1);
}

// -- Idleness.

// Between steps, while rewards are computed or a user reads, the engine must not take a core from others.
TEST(core_pool_idles_without_computing) {
  ThreadPool pool(4);
  // Other threads of this process have ended; the best of three, as a sleeping worker may be woken late.
  double best = std::numeric_limits<double>::infinity();
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::atomic<int> done{0};
    for (int run = 0; run < 100; ++run) pool.run(16, [&](int64_t, int) { done++; });
    EXPECT_EQ(done.load(), 1600);
    const std::clock_t before = std::clock();  // processor time of all threads
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    best = std::min(best, static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
  }
  EXPECT_LT(best, 0.02);
}

// -- Limits of containers.

void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(core_cores_follow_control_groups) {
  {
    const TemporaryFolder root;
    EXPECT_EQ(quota_cores(root.path()), 0);
    // Inside a container the group is the root.
    write_file(root.file("sys/fs/cgroup/cpu.max"), "250000 100000\n");
    EXPECT_EQ(quota_cores(root.path()), 3);
    write_file(root.file("proc/self/cgroup"), "0::/\n");
    EXPECT_EQ(quota_cores(root.path()), 3);
    write_file(root.file("sys/fs/cgroup/cpu.max"), "max 100000\n");
    EXPECT_EQ(quota_cores(root.path()), 0);
    // The tightest of a group and those around it counts.
    write_file(root.file("proc/self/cgroup"), "0::/jobs/one\n");
    write_file(root.file("sys/fs/cgroup/jobs/cpu.max"), "200000 100000\n");
    EXPECT_EQ(quota_cores(root.path()), 2);
    write_file(root.file("sys/fs/cgroup/jobs/one/cpu.max"), "40000 100000\n");
    EXPECT_EQ(quota_cores(root.path()), 1);
    write_file(root.file("sys/fs/cgroup/jobs/one/cpu.max"), "700000 100000\n");
    EXPECT_EQ(quota_cores(root.path()), 2);
  }
  {
    const TemporaryFolder root;
    write_file(root.file("proc/self/cgroup"), "5:cpuset:/x\n4:cpu,cpuacct:/docker/1f\n");
    write_file(root.file("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us"), "-1\n");
    write_file(root.file("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us"), "100000\n");
    EXPECT_EQ(quota_cores(root.path()), 0);
    write_file(root.file("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us"), "400000\n");
    EXPECT_EQ(quota_cores(root.path()), 4);
  }
  // Whatever the files hold.
  for (const char* text : {"", "x", "0::", "0::jobs", ":::", "1:cpu:/a/b\n0::/c"}) {
    const TemporaryFolder root;
    write_file(root.file("proc/self/cgroup"), text);
    write_file(root.file("sys/fs/cgroup/cpu.max"), "lots of it");
    EXPECT_EQ(quota_cores(root.path()), 0);
  }
}

// -- Interruption inside long kernels.

// Milliseconds from the flag to the error: the best of some tries, as other programs may hold the cores.
double time_to_stop(Backend& backend, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int attempt = 0; attempt < 3; ++attempt) {
    int32_t word = 0;
    Clock::time_point set;
    const StopScope scope(backend, StopFlag(&word));
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(15));
      set = Clock::now();
      __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
    });
    bool aborted = false;
    const auto limit = Clock::now() + std::chrono::seconds(10);
    try {
      while (Clock::now() < limit) work();
    } catch (const Error& error) {
      aborted = error.code() == ErrorCode::kAborted;
    }
    const auto end = Clock::now();
    other.join();
    if (aborted) best = std::min(best, std::chrono::duration<double, std::milli>(end - set).count());
  }
  return best;
}

// Memory for a task's scratch may run out on any thread: the process goes on, and so does the pool.
TEST(core_thread_pool_hands_on_what_tasks_throw) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int64_t> done{0};
      const auto fails = [&](int64_t task, int) {
        if (task % 7 == 3) throw std::bad_alloc();
        ++done;
      };
      bool caught = false;
      try {
        pool.run(64, fails);
      } catch (const std::bad_alloc&) {
        caught = true;
      }
      EXPECT_TRUE(caught);
      EXPECT_LT(done.load(), 64);
      done = 0;
      pool.run(64, [&](int64_t, int) { ++done; });
      EXPECT_EQ(done.load(), 64);
    }
  }
}

TEST(core_stop_ends_long_kernels_soon) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    // About half a second of work each with the slowest instructions.
    const Tensor x = backend->zeros({768, 1536});
    const Tensor w = backend->zeros({2048, 1536});
    Tensor y = backend->empty({768, 2048});
    Tensor dx = backend->empty(x.shape());
    Tensor dw = backend->zeros(w.shape());
    EXPECT_LT(time_to_stop(*backend, [&] { backend->linear(x, w, nullptr, nullptr, y); }), 50.0);
    EXPECT_LT(time_to_stop(*backend, [&] { backend->linear_grad_input(y, w, dx, Write::kSet); }), 50.0);
    EXPECT_LT(time_to_stop(*backend, [&] { backend->linear_grad_weight(y, x, dw); }), 50.0);

    const SegmentTree tree{{{0, 2048, -1, true}}, 2048};
    const AttentionShape shape{12, 2, 128, 0.1f};
    const Tensor q = backend->zeros({2048, 1536});
    const Tensor k = backend->zeros({2048, 256});
    Tensor out = backend->empty(q.shape());
    Tensor lse = backend->zeros({2048, 12});
    EXPECT_LT(time_to_stop(*backend, [&] { backend->attention(q, k, k, tree, shape, out, &lse); }), 50.0);
    Tensor dq = backend->empty(q.shape()), dk = backend->empty(k.shape()), dv = backend->empty(k.shape());
    EXPECT_LT(time_to_stop(*backend, [&] { backend->attention_grad(q, q, k, k, q, lse, tree, shape, dq, dk, dv); }),
              50.0);
    // And it works again.
    backend->linear(x, w, nullptr, nullptr, y);
  }
}

}  // namespace
}  // namespace vlmr1
