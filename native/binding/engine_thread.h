// The thread of an engine: a queue of jobs, first in, first out. Everything comes back to JavaScript through one
// thread-safe function, which keeps the process alive only while a promise is pending.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "binding/job.h"

namespace vlmr1::binding {

class EngineThread : public std::enable_shared_from_this<EngineThread> {
 public:
  // -- Main thread.
  static std::shared_ptr<EngineThread> start(Napi::Env env, std::unique_ptr<Backend> backend);
  ~EngineThread();

  // Queues the job; its promise. After close() the promise is rejected with ERR_STATE.
  Napi::Value post(Napi::Env env, std::unique_ptr<Job> job);
  // Frees a model, with its decoders, or a decoder, after the jobs that were queued before.
  void release_model(uint64_t id);
  void release_decoder(uint64_t id);
  uint64_t new_decoder_id() { return next_decoder_++; }
  // Rejects what is queued, interrupts what runs, lets the thread end. Safe to call twice.
  void close(Napi::Env env);
  // The same where no JavaScript may run: when handles are collected, or at the end of the environment.
  void close_silently();
  MemoryCounts memory() const { return backend_->memory(); }

  // -- Any thread.
  bool closing() const { return closing_; }
  static Failure disposed_failure(const std::string& verb);

  // -- Engine thread.
  void send_progress(Job& job, const GenerateProgress& progress);

 private:
  struct Task {
    std::unique_ptr<Job> job;           // or:
    std::function<void()> silent = {};  // housekeeping that nobody waits for
  };
  // To JavaScript's thread; `done` hands the job over.
  struct Event {
    Job* job;
    bool done;
    GenerateProgress progress;
  };

  EngineThread() = default;
  void open_channel(Napi::Env env);
  void loop();
  void send(std::unique_ptr<Event> event);
  void housekeep(std::function<void()> task);
  std::deque<Task> begin_close();
  void join();
  void add_pending(napi_env env, int change);
  void finish(napi_env env, std::unique_ptr<Job> job);

  static void deliver(napi_env env, napi_value function, void* context, void* data);
  static void finalize(napi_env env, void* data, void* hint);
  static void at_exit(void* data);

  // Set before the thread starts. The back end itself is the engine thread's; its memory counters are for all.
  Backend* backend_ = nullptr;
  EngineContents contents_;
  napi_threadsafe_function channel_ = nullptr;
  napi_env env_ = nullptr;
  std::thread thread_;
  // Main thread.
  int pending_ = 0;
  uint64_t next_decoder_ = 1;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  Job* running_ = nullptr;
  std::atomic<bool> closing_{false};
};

// Shared by an engine's JavaScript object, those of its models and decoders, and their calls; the thread ends when the
// last of them is gone.
struct EngineHandle {
  explicit EngineHandle(std::shared_ptr<EngineThread> engine) : thread(std::move(engine)) {}
  ~EngineHandle() { thread->close_silently(); }
  EngineHandle(const EngineHandle&) = delete;
  EngineHandle& operator=(const EngineHandle&) = delete;

  std::shared_ptr<EngineThread> thread;
};

}  // namespace vlmr1::binding
