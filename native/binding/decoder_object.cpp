#include "binding/decoder_object.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/results.h"
#include "core/error.h"

namespace vlmr1::binding {

Napi::Function DecoderObject::define(Napi::Env env) {
  return DefineClass(env, "Decoder",
                     {
                         InstanceMethod<&DecoderObject::add>("add"),
                         InstanceMethod<&DecoderObject::remove>("remove"),
                         InstanceMethod<&DecoderObject::step>("step"),
                         InstanceMethod<&DecoderObject::dispose>("dispose"),
                     });
}

Napi::Object DecoderObject::make(Napi::Env env, std::shared_ptr<ModelHandle> model, const DecoderOptions& options) {
  Contents contents{model->engine, model, model->engine->thread->new_decoder_id(), options};
  return env.GetInstanceData<AddonData>()->decoder_constructor.New({Napi::External<Contents>::New(env, &contents)});
}

DecoderObject::DecoderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DecoderObject>(info) {
  if (!info[0].IsExternal())
    throw js_error(info.Env(), {error_code_name(ErrorCode::kArgument), "Decoder: made by Model.openDecoder() only"});
  contents_ = *info[0].As<Napi::External<Contents>>().Data();
}

DecoderObject::~DecoderObject() { release(); }

// Before the model, which may have been kept by this decoder alone.
void DecoderObject::release() {
  if (contents_.engine) contents_.engine->thread->release_decoder(contents_.id);
  contents_.engine.reset();
  contents_.model.reset();
}

template <typename Read, typename Run>
Napi::Value DecoderObject::submit(const Napi::CallbackInfo& info, const char* verb, bool interruptible, Read read,
                                  Run run) {
  return guarded_promise(info.Env(), verb, [&] {
    check(contents_.engine != nullptr, ErrorCode::kState, verb, ": the decoder was disposed");
    // Arguments may have getters, and one may dispose the decoder.
    const Contents decoder = contents_;
    const Call call{info.Env(), verb, info.This().As<Napi::Object>(), info[1], {}, interruptible};
    auto on_engine = [id = decoder.id, model = decoder.model->id, options = decoder.options, verb,
                      parsed = read(Reader(info[0], verb), decoder.model->info),
                      run = std::move(run)](EngineContents& engine, Job& job) mutable {
      const Span span(verb);
      return run(engine.decoder(id, model, options), parsed, job);
    };
    check(contents_.engine != nullptr, ErrorCode::kState, verb, ": the decoder was disposed");
    // The engine stays until its promise is settled, whatever else is disposed and collected meanwhile.
    auto wrap = [engine = decoder.engine](Napi::Env env, const auto& result) { return to_js(env, result); };
    return decoder.engine->thread->post(call.env, make_job(call, std::move(on_engine), std::move(wrap)));
  });
}

Napi::Value DecoderObject::add(const Napi::CallbackInfo& info) {
  return submit(
      info, "add", false,
      [](const Reader& args, const ModelInfo& model) { return read_requests(args.field("requests"), model); },
      [](RequestDecoder& decoder, std::vector<DecodeRequest>& requests, Job&) {
        decoder.add(std::move(requests));
        return Nothing{};
      });
}

Napi::Value DecoderObject::remove(const Napi::CallbackInfo& info) {
  return submit(
      info, "remove", false, [](const Reader& args, const ModelInfo&) { return read_ids(args.field("ids")); },
      [](RequestDecoder& decoder, const std::vector<uint64_t>& ids, Job&) {
        decoder.remove(ids);
        return Nothing{};
      });
}

Napi::Value DecoderObject::step(const Napi::CallbackInfo& info) {
  return submit(
      info, "step", true,
      [](const Reader& args, const ModelInfo&) { return read_milliseconds(args.field("maxMilliseconds")); },
      [](RequestDecoder& decoder, double milliseconds, Job& job) { return decoder.step(milliseconds, job.stop()); });
}

void DecoderObject::dispose(const Napi::CallbackInfo&) { release(); }

}  // namespace vlmr1::binding
