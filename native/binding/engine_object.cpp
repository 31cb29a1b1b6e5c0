#include "binding/engine_object.h"

#include <utility>

#include "backend/profiled_backend.h"
#include "binding/arguments.h"
#include "binding/errors.h"
#include "binding/results.h"
#include "core/cores.h"
#include "core/error.h"

namespace vlmr1::binding {

namespace {

struct LoadedModel {
  uint64_t id = 0;
  ModelInfo info;
};

LoadedModel load_into(EngineContents& engine, const LoadModelArguments& args) {
  const Span span("loadModel");
  std::unique_ptr<Model> model = Model::load(*engine.backend, args.directory, args.options);
  const LoadedModel loaded{engine.next_model++, model->info()};
  engine.models.emplace(loaded.id, std::move(model));
  return loaded;
}

Nothing start_trace(EngineContents& engine) {
  check(engine.trace == nullptr, ErrorCode::kState, "startProfile: this engine is being profiled already");
  engine.trace = std::make_unique<TraceLog>();
  return {};
}

TraceTable stop_trace(EngineContents& engine) {
  check(engine.trace != nullptr, ErrorCode::kState, "stopProfile: this engine is not being profiled");
  const std::unique_ptr<TraceLog> log = std::move(engine.trace);
  return log->table();
}

Picture make_picture(const ProcessImageArguments& args) {
  const Span span("processImage");
  const std::vector<uint8_t> resized =
      resize_bicubic(args.rgb.data(), args.width, args.height, args.resized_width, args.resized_height);
  return pack_patches(resized, args.resized_width, args.resized_height, args.patches);
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceAccessor<&EngineObject::device>("device"),
                         InstanceAccessor<&EngineObject::threads>("threads"),
                         InstanceAccessor<&EngineObject::isa>("isa"),
                         InstanceMethod<&EngineObject::memory>("memory"),
                         InstanceMethod<&EngineObject::describe_model>("describeModel"),
                         InstanceMethod<&EngineObject::load_model>("loadModel"),
                         InstanceMethod<&EngineObject::init_model>("initModel"),
                         InstanceMethod<&EngineObject::estimate>("estimate"),
                         InstanceMethod<&EngineObject::process_image>("processImage"),
                         InstanceMethod<&EngineObject::clock>("clock"),
                         InstanceMethod<&EngineObject::start_profile>("startProfile"),
                         InstanceMethod<&EngineObject::stop_profile>("stopProfile"),
                         InstanceMethod<&EngineObject::dispose>("dispose"),
                     });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  guarded(info.Env(), "Engine", [&] {
    const EngineArguments args = read_engine(Reader(info[0], "Engine"));
    std::unique_ptr<Backend> backend;
    threads_ = args.threads > 0 ? args.threads : physical_cores();
    if (args.cuda) {
      device_ = "cuda";
      backend = make_cuda_backend();
    } else {
      device_ = "cpu";
      isa_ = args.isa.empty() ? cpu_isa_info().selected : args.isa;
      backend = make_cpu_backend({threads_, args.isa});
    }
    engine_ =
        std::make_shared<EngineHandle>(EngineThread::start(info.Env(), make_profiled_backend(std::move(backend))));
  });
}

Napi::Value EngineObject::device(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), device_); }
Napi::Value EngineObject::threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), threads_); }
Napi::Value EngineObject::isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), isa_); }

Napi::Value EngineObject::memory(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "memory", [&]() -> Napi::Value {
    check(!engine_->thread->closing(), ErrorCode::kState, "memory: the engine was disposed");
    auto object = Napi::Object::New(info.Env());
    const MemoryCounts counts = engine_->thread->memory();
    object.Set("used", static_cast<double>(counts.used));
    object.Set("peak", static_cast<double>(counts.peak));
    object.Set("held", static_cast<double>(counts.held));
    return object;
  });
}

Call EngineObject::call(const Napi::CallbackInfo& info, const char* verb, size_t abort_index) {
  return {info.Env(), verb, info.This().As<Napi::Object>(), info[abort_index], {}};
}

Napi::Value EngineObject::describe_model(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "describeModel", [&] {
    const std::string config = Reader(info[0], "describeModel").field("config").string();
    return to_js(info.Env(), vlmr1::describe_model(Json::parse(config, "config.json")));
  });
}

Napi::Value EngineObject::load_model(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "loadModel", [&] {
    auto run = [args = read_load_model(Reader(info[0], "loadModel"))](EngineContents& engine, Job&) {
      return load_into(engine, args);
    };
    auto wrap = [engine = engine_](Napi::Env env, const LoadedModel& loaded) -> Napi::Value {
      return ModelObject::make(env, engine, loaded.id, loaded.info);
    };
    return engine_->thread->post(info.Env(), make_job(call(info, "loadModel"), std::move(run), std::move(wrap)));
  });
}

Napi::Value EngineObject::init_model(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "initModel", [&] {
    InitModelArguments args = read_init_model(Reader(info[0], "initModel"));
    args.weights.threads = threads_;
    auto run = [args = std::move(args)](EngineContents&, Job& job) {
      return write_random_weights(args.config, args.directory, args.weights, job.stop());
    };
    auto wrap = [](Napi::Env env, int64_t parameters) -> Napi::Value {
      auto object = Napi::Object::New(env);
      object.Set("parameters", static_cast<double>(parameters));
      return object;
    };
    return engine_->thread->post(info.Env(), make_job(call(info, "initModel"), std::move(run), std::move(wrap)));
  });
}

Napi::Value EngineObject::estimate(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "estimate", [&] {
    check(device_ == "cpu", ErrorCode::kDevice, "estimate: expected an engine on the cpu, got ", device_);
    EstimateOptions options = read_estimate(Reader(info[0], "estimate"));
    options.threads = threads_;
    options.isa = isa_;
    auto run = [options = std::move(options)](EngineContents&, Job& job) {
      return estimate_memory(options, job.stop());
    };
    auto wrap = [](Napi::Env env, const MemoryEstimate& estimate) { return to_js(env, estimate); };
    return engine_->thread->post(info.Env(), make_job(call(info, "estimate"), std::move(run), std::move(wrap)));
  });
}

Napi::Value EngineObject::process_image(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "processImage", [&] {
    auto run = [args = read_process_image(Reader(info[0], "processImage"))](EngineContents&, Job&) {
      return make_picture(args);
    };
    auto wrap = [](Napi::Env env, const Picture& picture) { return to_js(env, picture); };
    return engine_->thread->post(info.Env(), make_job(call(info, "processImage"), std::move(run), std::move(wrap)));
  });
}

Napi::Value EngineObject::clock(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), trace_clock()); }

Napi::Value EngineObject::start_profile(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "startProfile", [&] {
    auto run = [](EngineContents& engine, Job&) { return start_trace(engine); };
    auto wrap = [](Napi::Env env, const Nothing& nothing) { return to_js(env, nothing); };
    return engine_->thread->post(info.Env(), make_job(call(info, "startProfile", 0), std::move(run), std::move(wrap)));
  });
}

Napi::Value EngineObject::stop_profile(const Napi::CallbackInfo& info) {
  return guarded_promise(info.Env(), "stopProfile", [&] {
    auto run = [](EngineContents& engine, Job&) { return stop_trace(engine); };
    auto wrap = [](Napi::Env env, const TraceTable& trace) { return to_js(env, trace); };
    return engine_->thread->post(info.Env(), make_job(call(info, "stopProfile", 0), std::move(run), std::move(wrap)));
  });
}

void EngineObject::dispose(const Napi::CallbackInfo& info) { engine_->thread->close(info.Env()); }

}  // namespace vlmr1::binding
