// A decoder as JavaScript sees it.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/engine_object.h"
#include "rl/request_decoder.h"

namespace vlmr1::binding {

class DecoderObject : public Napi::ObjectWrap<DecoderObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The decoder itself is made on the engine's thread, with its first verb.
  static Napi::Object make(Napi::Env env, std::shared_ptr<ModelHandle> model, const DecoderOptions& options);
  // For make() alone: JavaScript cannot build one.
  explicit DecoderObject(const Napi::CallbackInfo& info);
  ~DecoderObject() override;

 private:
  struct Contents {
    std::shared_ptr<EngineHandle> engine;  // null: disposed
    std::shared_ptr<ModelHandle> model;
    uint64_t id = 0;
    DecoderOptions options;
  };

  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  void release();
  // Reads the arguments with `read(reader, model info)`, then queues `run(decoder, arguments, job)`.
  template <typename Read, typename Run>
  Napi::Value submit(const Napi::CallbackInfo& info, const char* verb, bool interruptible, Read read, Run run);

  Contents contents_;
};

}  // namespace vlmr1::binding
