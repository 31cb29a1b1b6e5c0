#include "binding/engine_thread.h"

#include <string>
#include <utility>

#include "core/error.h"

namespace vlmr1::binding {

namespace {

void require_ok(napi_env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

}  // namespace

std::shared_ptr<EngineThread> EngineThread::start(Napi::Env env, std::unique_ptr<Backend> backend) {
  std::shared_ptr<EngineThread> engine(new EngineThread());
  engine->env_ = env;
  engine->backend_ = backend.get();
  engine->contents_.backend = std::move(backend);
  engine->open_channel(env);
  engine->thread_ = std::thread([raw = engine.get()] { raw->loop(); });
  return engine;
}

EngineThread::~EngineThread() { join(); }

void EngineThread::open_channel(Napi::Env env) {
  const Napi::String name = Napi::String::New(env, "vlmr1-native engine");
  // Lives until the channel is finalised, which is after the thread's last message.
  auto keep = std::make_unique<std::shared_ptr<EngineThread>>(shared_from_this());
  require_ok(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, keep.get(), &finalize, this,
                                                  &deliver, &channel_));
  keep.release();  // NOLINT: finalize() deletes it
  require_ok(env, napi_unref_threadsafe_function(env, channel_));
  // After the channel's own hook, hence run before it: the thread must have ended when the channel closes.
  require_ok(env, napi_add_env_cleanup_hook(env, &at_exit, this));
}

Failure EngineThread::disposed_failure(const std::string& verb) {
  return {error_code_name(ErrorCode::kState), verb + ": the engine was disposed"};
}

Napi::Value EngineThread::post(Napi::Env env, std::unique_ptr<Job> job) {
  const Napi::Promise promise = job->promise();
  if (closing_) {
    job->reject(env, disposed_failure(job->verb()));
    return promise;
  }
  add_pending(env, 1);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back({std::move(job)});
  }
  wake_.notify_one();
  return promise;
}

void EngineThread::housekeep(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closing_) return;  // the thread's end frees all that there is
    queue_.push_back({nullptr, std::move(task)});
  }
  wake_.notify_one();
}

void EngineThread::release_model(uint64_t id) {
  housekeep([this, id] {
    contents_.free_model(id);
    contents_.backend->trim();
  });
}

void EngineThread::release_decoder(uint64_t id) {
  housekeep([this, id] {
    contents_.decoders.erase(id);
    contents_.backend->trim();
  });
}

std::deque<EngineThread::Task> EngineThread::begin_close() {
  std::deque<Task> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closing_) return dropped;
    closing_ = true;
    dropped.swap(queue_);
    if (running_ != nullptr) running_->raise_abort();
  }
  wake_.notify_one();
  return dropped;
}

void EngineThread::close(Napi::Env env) {
  for (Task& task : begin_close()) {
    if (!task.job) continue;
    add_pending(env, -1);
    task.job->reject(env, disposed_failure(task.job->verb()));
  }
}

void EngineThread::close_silently() {
  for (Task& task : begin_close())
    if (task.job) task.job->forget();
}

void EngineThread::join() {
  if (thread_.joinable()) thread_.join();
}

void EngineThread::loop() {
  for (;;) {
    Task task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      running_ = nullptr;
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (closing_) break;
      task = std::move(queue_.front());
      queue_.pop_front();
      running_ = task.job.get();
    }
    if (task.job) {
      task.job->execute(contents_, *this);
      {
        // From here on the job is JavaScript's, which may free it at once.
        const std::lock_guard<std::mutex> lock(mutex_);
        running_ = nullptr;
      }
      send(std::make_unique<Event>(Event{task.job.release(), true, {}}));
    } else {
      task.silent();
    }
  }
  // Tensors go before the back end that made them, all of it on the thread that used it.
  contents_.decoders.clear();
  contents_.models.clear();
  contents_.backend.reset();
  napi_release_threadsafe_function(channel_, napi_tsfn_release);
}

void EngineThread::send(std::unique_ptr<Event> event) {
  // Fails only when the environment is going; then nobody is left to free the handles of the job.
  if (napi_call_threadsafe_function(channel_, event.get(), napi_tsfn_nonblocking) == napi_ok) event.release();
}

void EngineThread::send_progress(Job& job, const GenerateProgress& progress) {
  send(std::make_unique<Event>(Event{&job, false, progress}));
}

void EngineThread::add_pending(napi_env env, int change) {
  const int before = pending_;
  pending_ += change;
  if (before == 0) napi_ref_threadsafe_function(env, channel_);
  if (pending_ == 0) napi_unref_threadsafe_function(env, channel_);
}

void EngineThread::finish(napi_env env, std::unique_ptr<Job> job) {
  add_pending(env, -1);
  try {
    job->settle(env);
  } catch (const Napi::Error& error) {
    job->reject(env, {"ERR_INTERNAL", job->verb() + ": the result could not be handed over: " + error.Message()});
  } catch (...) {
    job->reject(env, current_failure(job->verb()));
  }
}

void EngineThread::deliver(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Event> event(static_cast<Event*>(data));
  if (env == nullptr) {
    if (!event->done) return;
    event->job->forget();
    delete event->job;
    return;
  }
  try {
    if (event->done) static_cast<EngineThread*>(context)->finish(env, std::unique_ptr<Job>(event->job));
    else event->job->call_progress(env, event->progress);
  } catch (const Napi::Error&) {
    // Even rejecting failed: JavaScript is being terminated.
  }
}

void EngineThread::finalize(napi_env env, void* data, void*) {
  const std::unique_ptr<std::shared_ptr<EngineThread>> keep(static_cast<std::shared_ptr<EngineThread>*>(data));
  (*keep)->join();
  napi_remove_env_cleanup_hook(env, &at_exit, keep->get());
}

void EngineThread::at_exit(void* data) {
  auto* engine = static_cast<EngineThread*>(data);
  engine->close_silently();
  engine->join();
}

}  // namespace vlmr1::binding
