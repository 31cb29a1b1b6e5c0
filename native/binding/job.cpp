#include "binding/job.h"

#include "binding/engine_thread.h"
#include "binding/reader.h"
#include "binding/results.h"
#include "core/error.h"

namespace vlmr1::binding {

namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(50);

int32_t* abort_word(const Call& call) {
  const Reader reader(call.abort, std::string(call.verb) + ": abort");
  const bool typed =
      call.abort.IsTypedArray() && call.abort.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
  if (!typed) reader.fail_expected("an Int32Array(1)");
  auto array = call.abort.As<Napi::Int32Array>();
  check(array.ElementLength() >= 1 && array.Data() != nullptr, ErrorCode::kArgument, reader.path(),
        ": expected an Int32Array(1), got an empty one");
  return array.Data();
}

}  // namespace

Model& EngineContents::model(uint64_t id) const {
  const auto found = models.find(id);
  check(found != models.end(), ErrorCode::kState, "the model was disposed");
  return *found->second;
}

RequestDecoder& EngineContents::decoder(uint64_t id, uint64_t model_id, const DecoderOptions& options) {
  const auto found = decoders.find(id);
  if (found != decoders.end()) return *found->second.decoder;
  auto fresh = std::make_unique<RequestDecoder>(model(model_id), options);
  return *decoders.emplace(id, OpenDecoder{model_id, std::move(fresh)}).first->second.decoder;
}

void EngineContents::free_model(uint64_t id) {
  std::erase_if(decoders, [id](const auto& entry) { return entry.second.model == id; });
  models.erase(id);
}

Job::Job(const Call& call)
    : verb_(call.verb), interruptible_(call.interruptible), deferred_(Napi::Promise::Deferred::New(call.env)) {
  abort_word_ = abort_word(call);
  if (!call.progress.IsEmpty() && !call.progress.IsNull()) {
    if (!call.progress.IsFunction()) Reader(call.progress, verb_ + ": onProgress").fail_expected("a function or null");
    progress_ = Napi::Persistent(call.progress.As<Napi::Function>());
    wants_progress_ = true;
  }
  owner_ = Napi::Persistent(call.owner);
  abort_ = Napi::Persistent(call.abort.As<Napi::Object>());
}

void Job::settle(Napi::Env env) {
  if (thrown_) {
    deferred_.Reject(thrown_->Value());
  } else if (failure_) {
    reject(env, *failure_);
  } else {
    const Napi::Value value = result(env);
    deferred_.Resolve(value);
  }
}

void Job::call_progress(Napi::Env env, const GenerateProgress& progress) {
  if (thrown_) return;
  try {
    progress_.Call({to_js(env, progress)});
  } catch (const Napi::Error& error) {
    // What the caller's function throws ends the verb and is what the promise is rejected with.
    thrown_.emplace(error);
    raise_abort();
  }
}

void Job::forget() {
  owner_.SuppressDestruct();
  abort_.SuppressDestruct();
  progress_.SuppressDestruct();
  if (thrown_) thrown_->SuppressDestruct();
}

void Job::execute(EngineContents& contents, EngineThread& thread) {
  thread_ = &thread;
  try {
    stop().check();
    if (interruptible_) contents.backend->set_stop(stop());
    const TraceScope trace(contents.trace.get());
    run(contents);
  } catch (...) {
    failure_ = current_failure(verb_);
  }
  contents.backend->set_stop(StopFlag());
  if (failure_ && failure_->code == error_code_name(ErrorCode::kAborted) && thread.closing())
    failure_ = EngineThread::disposed_failure(verb_);
  if (failure_ && failure_->code == error_code_name(ErrorCode::kOutOfMemory)) contents.backend->trim();
  flush_progress();
}

void Job::report(const GenerateProgress& progress) {
  if (!wants_progress_) return;
  has_unsent_ = true;
  unsent_.tokens = progress.tokens;
  unsent_.finished = progress.finished;
  unsent_.total = progress.total;
  unsent_.news.insert(unsent_.news.end(), progress.news.begin(), progress.news.end());
  if (std::chrono::steady_clock::now() - last_sent_ >= kProgressInterval) flush_progress();
}

void Job::flush_progress() {
  if (!has_unsent_) return;
  thread_->send_progress(*this, unsent_);
  has_unsent_ = false;
  unsent_.news.clear();
  last_sent_ = std::chrono::steady_clock::now();
}

}  // namespace vlmr1::binding
