#include <type_traits>
#include <utility>

#include "binding/arguments.h"
#include "binding/decoder_object.h"
#include "binding/engine_object.h"
#include "binding/errors.h"
#include "binding/results.h"
#include "core/error.h"
#include "optim/blend.h"

namespace vlmr1::binding {

namespace {

std::vector<std::vector<Completion>> run_generate(Model& model, const GenerateArguments& args, Job& job) {
  for (size_t i = 0; i < args.prompts.size(); ++i)
    model.check_prompt(args.prompts[i], "generate: prompts[" + std::to_string(i) + "]");
  return generate(model, args.prompts, args.options, job.stop(),
                  [&job](const GenerateProgress& progress) { job.report(progress); });
}

void check_groups(const Model& model, const std::vector<Group>& groups, const char* verb) {
  for (size_t i = 0; i < groups.size(); ++i)
    model.check_prompt(groups[i].prompt, std::string(verb) + ": groups[" + std::to_string(i) + "].prompt");
}

TokenScores run_log_probs(Model& model, const LogProbsArguments& args, Job& job) {
  check_groups(model, args.groups, "logProbs");
  return score(model, args.groups, args.temperature, args.adapter, job.stop());
}

void check_trainable(const Model& model, const char* verb) {
  check(model.info().trainable_parameters > 0, ErrorCode::kState, verb,
        ": nothing of the model trains; load it with train \"full\", not all of it frozen, or \"lora\"");
}

vlmr1::AccumulateResult run_accumulate(Model& model, const AccumulateArguments& args, Job& job) {
  check_trainable(model, "accumulate");
  check_groups(model, args.groups, "accumulate");
  return vlmr1::accumulate(model, args.groups, args.objective, job.stop());
}

Nothing run_save(Model& model, const SaveArguments& args) {
  switch (args.what) {
    case SaveArguments::What::kModel:
    case SaveArguments::What::kMerged:
      save_parameters(model.backend(), model.parameters(), args.path, args.dtype, args.max_shard_bytes,
                      args.what == SaveArguments::What::kMerged);
      break;
    case SaveArguments::What::kAdapter: save_adapter(model.backend(), model.parameters(), args.path, args.dtype); break;
    case SaveArguments::What::kGradients: save_gradients(model.backend(), model.parameters(), args.path); break;
    case SaveArguments::What::kState: save_state(model.backend(), model.parameters(), args.path); break;
  }
  return {};
}

}  // namespace

Napi::Function ModelObject::define(Napi::Env env) {
  return DefineClass(env, "Model",
                     {
                         InstanceMethod<&ModelObject::info>("info"),
                         InstanceMethod<&ModelObject::generate>("generate"),
                         InstanceMethod<&ModelObject::open_decoder>("openDecoder"),
                         InstanceMethod<&ModelObject::log_probs>("logProbs"),
                         InstanceMethod<&ModelObject::accumulate>("accumulate"),
                         InstanceMethod<&ModelObject::zero_gradients>("zeroGradients"),
                         InstanceMethod<&ModelObject::step>("step"),
                         InstanceMethod<&ModelObject::save>("save"),
                         InstanceMethod<&ModelObject::load_state>("loadState"),
                         InstanceMethod<&ModelObject::blend>("blend"),
                         InstanceMethod<&ModelObject::dispose>("dispose"),
                     });
}

Napi::Object ModelObject::make(Napi::Env env, std::shared_ptr<EngineHandle> engine, uint64_t id,
                               const ModelInfo& model) {
  auto handle = std::make_shared<ModelHandle>(std::move(engine), id, model);
  using Handle = Napi::External<std::shared_ptr<ModelHandle>>;
  return env.GetInstanceData<AddonData>()->model_constructor.New({Handle::New(env, &handle)});
}

ModelObject::ModelObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelObject>(info) {
  if (!info[0].IsExternal())
    throw js_error(info.Env(), {error_code_name(ErrorCode::kArgument), "Model: made by Engine.loadModel() only"});
  model_ = *info[0].As<Napi::External<std::shared_ptr<ModelHandle>>>().Data();
}

const ModelHandle& ModelObject::open(const char* verb) const {
  check(model_->engine != nullptr, ErrorCode::kState, verb, ": the model was disposed");
  return *model_;
}

Call ModelObject::call(const Napi::CallbackInfo& info, const char* verb, size_t abort_index, bool interruptible) {
  return {info.Env(), verb, info.This().As<Napi::Object>(), info[abort_index], {}, interruptible};
}

template <typename Read, typename Run>
Napi::Value ModelObject::submit(const Call& call, const Napi::Value& args, Read read, Run run) {
  return guarded_promise(call.env, call.verb, [&] {
    const ModelHandle& model = open(call.verb);
    // Arguments may have getters, and one may dispose the model.
    const std::shared_ptr<EngineHandle> engine = model.engine;
    auto on_engine = [id = model.id, verb = call.verb, parsed = read(Reader(args, call.verb), model.info),
                      run = std::move(run)](EngineContents& engine, Job& job) {
      const Span span(verb);
      if constexpr (std::is_invocable_v<Run, EngineContents&, Model&, decltype(parsed), Job&>)
        return run(engine, engine.model(id), parsed, job);
      else return run(engine.model(id), parsed, job);
    };
    // The engine stays until its promise is settled, whatever else is disposed and collected meanwhile.
    auto wrap = [engine](Napi::Env env, const auto& result) { return to_js(env, result); };
    return engine->thread->post(call.env, make_job(call, std::move(on_engine), std::move(wrap)));
  });
}

Napi::Value ModelObject::info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "info", [&] { return to_js(info.Env(), open("info").info); });
}

Napi::Value ModelObject::generate(const Napi::CallbackInfo& info) {
  Call verb = call(info, "generate", 2);
  verb.progress = info[1];
  return submit(verb, info[0], read_generate, run_generate);
}

Napi::Value ModelObject::open_decoder(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "openDecoder", [&] {
    open("openDecoder");
    const DecoderOptions options = read_open_decoder(Reader(info[0], "openDecoder"));
    open("openDecoder");  // arguments may have getters, and one may dispose the model
    return DecoderObject::make(info.Env(), model_, options);
  });
}

Napi::Value ModelObject::log_probs(const Napi::CallbackInfo& info) {
  return submit(call(info, "logProbs"), info[0], read_log_probs, run_log_probs);
}

Napi::Value ModelObject::accumulate(const Napi::CallbackInfo& info) {
  return submit(call(info, "accumulate"), info[0], read_accumulate, run_accumulate);
}

Napi::Value ModelObject::zero_gradients(const Napi::CallbackInfo& info) {
  return submit(
      call(info, "zeroGradients", 0, false), {}, [](const Reader&, const ModelInfo&) { return Nothing{}; },
      [](Model& model, const Nothing&, Job&) {
        model.parameters().zero_grad(model.backend());
        return Nothing{};
      });
}

Napi::Value ModelObject::step(const Napi::CallbackInfo& info) {
  return submit(
      call(info, "step", 1, false), info[0], [](const Reader& args, const ModelInfo&) { return read_step(args); },
      [](Model& model, const AdamWOptions& options, Job&) {
        check_trainable(model, "step");
        return adamw_step(model.backend(), model.parameters(), options);
      });
}

Napi::Value ModelObject::save(const Napi::CallbackInfo& info) {
  return submit(
      call(info, "save"), info[0], [](const Reader& args, const ModelInfo&) { return read_save(args); },
      [](Model& model, const SaveArguments& args, Job&) { return run_save(model, args); });
}

Napi::Value ModelObject::load_state(const Napi::CallbackInfo& info) {
  return submit(
      call(info, "loadState", 1, false), info[0],
      [](const Reader& args, const ModelInfo&) { return args.field("path").path_string(); },
      [](Model& model, const std::string& path, Job&) {
        vlmr1::load_state(model.backend(), model.parameters(), path);
        return Nothing{};
      });
}

// A model of this engine that was not disposed.
uint64_t ModelObject::model_id(const Reader& reader) const {
  const Napi::Value value = reader.value();
  const Napi::Function made_by = value.Env().GetInstanceData<AddonData>()->model_constructor.Value();
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(made_by)) reader.fail_expected("a model");
  const ModelHandle& other = Unwrap(value.As<Napi::Object>())->open("blend: source");
  check(other.engine == model_->engine, ErrorCode::kArgument, reader.path(),
        ": expected a model of the same engine, got one of another");
  return other.id;
}

Napi::Value ModelObject::blend(const Napi::CallbackInfo& info) {
  struct Arguments {
    uint64_t source;
    double alpha;
  };
  return submit(
      call(info, "blend", 1, false), info[0],
      [this](const Reader& args, const ModelInfo&) {
        return Arguments{model_id(args.field("source")), args.field("alpha").number(0.0, 1.0)};
      },
      [](EngineContents& engine, Model& model, const Arguments& args, Job&) {
        blend_parameters(model.backend(), engine.model(args.source).parameters(), args.alpha, model.parameters());
        return Nothing{};
      });
}

void ModelObject::dispose(const Napi::CallbackInfo&) { model_->release(); }

}  // namespace vlmr1::binding
