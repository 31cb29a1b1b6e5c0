// One verb that was called: runs on the engine's thread, settles its promise on JavaScript's.
#pragma once

#include <napi.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "backend/backend.h"
#include "binding/errors.h"
#include "core/stop.h"
#include "core/trace.h"
#include "models/model.h"
#include "rl/generate.h"
#include "rl/request_decoder.h"

namespace vlmr1::binding {

class EngineThread;

struct OpenDecoder {
  uint64_t model = 0;
  std::unique_ptr<RequestDecoder> decoder;
};

// What only the engine's thread touches: all tensors are made and freed there.
struct EngineContents {
  std::unique_ptr<Backend> backend;
  std::map<uint64_t, std::unique_ptr<Model>> models;
  uint64_t next_model = 1;
  std::map<uint64_t, OpenDecoder> decoders;
  // While the engine is profiled.
  std::unique_ptr<TraceLog> trace;
  // Throws ERR_STATE for a model that was freed.
  Model& model(uint64_t id) const;
  // The decoder of that number, from its first use on. Throws ERR_STATE where its model was freed.
  RequestDecoder& decoder(uint64_t id, uint64_t model, const DecoderOptions& options);
  // With its decoders.
  void free_model(uint64_t id);
};

// How JavaScript called a verb.
struct Call {
  Napi::Env env;
  const char* verb;
  Napi::Object owner;    // kept from the garbage collector until the verb has ended
  Napi::Value abort;     // Int32Array(1)
  Napi::Value progress;  // a function, or null, or empty
  // Whether kernels may end early; what must be done whole or not at all only looks at the flag before it starts.
  bool interruptible = true;
};

class Job {
 public:
  // Throws ERR_ARGUMENT for a bad abort flag or progress function.
  explicit Job(const Call& call);
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // -- Main thread.
  Napi::Promise promise() const { return deferred_.Promise(); }
  void settle(Napi::Env env);
  void reject(Napi::Env env, const Failure& failure) { deferred_.Reject(js_error(env, failure).Value()); }
  void call_progress(Napi::Env env, const GenerateProgress& progress);
  // Lets go of JavaScript handles without touching them: the environment is going.
  void forget();
  // Any thread, while the job exists.
  void raise_abort() const { __atomic_store_n(abort_word_, 1, __ATOMIC_RELAXED); }

  // -- Engine thread.
  void execute(EngineContents& contents, EngineThread& thread);
  StopFlag stop() const { return StopFlag(abort_word_); }
  // Sends progress to JavaScript, at most some twenty times a second.
  void report(const GenerateProgress& progress);
  const std::string& verb() const { return verb_; }

 protected:
  virtual void run(EngineContents& contents) = 0;
  virtual Napi::Value result(Napi::Env env) = 0;

 private:
  void flush_progress();

  std::string verb_;
  bool interruptible_;
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference owner_;
  // Keeps the memory of the word. A flag whose buffer is transferred away while a verb runs is the caller's mistake.
  Napi::ObjectReference abort_;
  int32_t* abort_word_ = nullptr;
  Napi::FunctionReference progress_;
  bool wants_progress_ = false;
  std::optional<Failure> failure_;
  std::optional<Napi::Error> thrown_;  // by the progress function

  EngineThread* thread_ = nullptr;
  // What JavaScript has not been told yet; keeps the memory of its list.
  GenerateProgress unsent_;
  bool has_unsent_ = false;
  std::chrono::steady_clock::time_point last_sent_{};
};

// A verb made of two functions: run(EngineContents&, Job&) and to_js(Napi::Env, result of run).
template <typename Run, typename ToJs>
class JobOf final : public Job {
 public:
  JobOf(const Call& call, Run run, ToJs to_js) : Job(call), run_(std::move(run)), to_js_(std::move(to_js)) {}

 protected:
  void run(EngineContents& contents) override { value_.emplace(run_(contents, *this)); }
  Napi::Value result(Napi::Env env) override { return to_js_(env, *value_); }

 private:
  Run run_;
  ToJs to_js_;
  std::optional<std::invoke_result_t<Run&, EngineContents&, Job&>> value_;
};

template <typename Run, typename ToJs>
std::unique_ptr<Job> make_job(const Call& call, Run run, ToJs to_js) {
  return std::make_unique<JobOf<Run, ToJs>>(call, std::move(run), std::move(to_js));
}

}  // namespace vlmr1::binding
