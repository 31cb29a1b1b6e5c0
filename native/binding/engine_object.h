// The classes that JavaScript sees.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "binding/engine_thread.h"
#include "binding/job.h"
#include "binding/reader.h"
#include "models/model.h"

namespace vlmr1::binding {

// Per environment (a worker has its own).
struct AddonData {
  Napi::FunctionReference model_constructor;
  Napi::FunctionReference decoder_constructor;
};

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value isa(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value describe_model(const Napi::CallbackInfo& info);
  Napi::Value load_model(const Napi::CallbackInfo& info);
  Napi::Value init_model(const Napi::CallbackInfo& info);
  Napi::Value estimate(const Napi::CallbackInfo& info);
  Napi::Value process_image(const Napi::CallbackInfo& info);
  Napi::Value clock(const Napi::CallbackInfo& info);
  Napi::Value start_profile(const Napi::CallbackInfo& info);
  Napi::Value stop_profile(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  Call call(const Napi::CallbackInfo& info, const char* verb, size_t abort_index = 1);

  std::shared_ptr<EngineHandle> engine_;
  std::string device_;
  int threads_ = 0;
  std::string isa_;
};

// A model that the engine's thread holds, for as long as its object or a decoder of it is there, or until it is
// disposed.
struct ModelHandle {
  ModelHandle(std::shared_ptr<EngineHandle> on, uint64_t number, ModelInfo what)
      : engine(std::move(on)), id(number), info(std::move(what)) {}
  ~ModelHandle() { release(); }
  ModelHandle(const ModelHandle&) = delete;
  ModelHandle& operator=(const ModelHandle&) = delete;
  void release() {
    if (engine) engine->thread->release_model(id);
    engine.reset();
  }

  std::shared_ptr<EngineHandle> engine;  // null: disposed
  uint64_t id;
  ModelInfo info;
};

class ModelObject : public Napi::ObjectWrap<ModelObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // Around a model that the engine's thread holds.
  static Napi::Object make(Napi::Env env, std::shared_ptr<EngineHandle> engine, uint64_t id, const ModelInfo& model);
  // For make() alone: JavaScript cannot build one.
  explicit ModelObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value open_decoder(const Napi::CallbackInfo& info);
  Napi::Value log_probs(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value zero_gradients(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value load_state(const Napi::CallbackInfo& info);
  Napi::Value blend(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  const ModelHandle& open(const char* verb) const;  // throws ERR_STATE when disposed
  uint64_t model_id(const Reader& reader) const;
  // Reads the arguments with `read(reader, model info)`, then queues `run(model, arguments, job)`, or `run(engine
  // contents, model, arguments, job)`.
  template <typename Read, typename Run>
  Napi::Value submit(const Call& call, const Napi::Value& args, Read read, Run run);
  Call call(const Napi::CallbackInfo& info, const char* verb, size_t abort_index = 1, bool interruptible = true);

  std::shared_ptr<ModelHandle> model_;
};

}  // namespace vlmr1::binding
