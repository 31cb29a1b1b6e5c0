#include <napi.h>

#include <memory>

#include "backend/backend.h"
#include "binding/decoder_object.h"
#include "binding/engine_object.h"
#include "binding/errors.h"
#include "binding/loss_arguments.h"
#include "binding/results.h"

namespace vlmr1::binding {

namespace {

Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "cpuInfo", [&]() -> Napi::Value {
    const CpuIsaInfo cpu = cpu_isa_info();
    auto object = Napi::Object::New(info.Env());
    object.Set("compiled", to_js(info.Env(), cpu.compiled));
    object.Set("supported", to_js(info.Env(), cpu.supported));
    object.Set("selected", cpu.selected);
    object.Set("logicalCores", cpu.logical_cores);
    return object;
  });
}

Napi::Value cuda_info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "cudaInfo", [&]() -> Napi::Value {
    const CudaStatus status = cuda_status();
    auto object = Napi::Object::New(info.Env());
    object.Set("available", status.available);
    object.Set("reason", status.reason);
    return object;
  });
}

Napi::Value compute_loss(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), "computeLoss", [&]() -> Napi::Value {
    const ComputeLossArguments args = read_compute_loss(Reader(info[0], "computeLoss"));
    return to_js(info.Env(), loss_gradient(args.scores, args.objective));
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto data = std::make_unique<AddonData>();
  data->model_constructor = Napi::Persistent(ModelObject::define(env));
  data->decoder_constructor = Napi::Persistent(DecoderObject::define(env));
  env.SetInstanceData(data.release());
  exports.Set("version", VLMR1_VERSION);
  exports.Set("cpuInfo", Napi::Function::New(env, cpu_info, "cpuInfo"));
  exports.Set("cudaInfo", Napi::Function::New(env, cuda_info, "cudaInfo"));
  exports.Set("computeLoss", Napi::Function::New(env, compute_loss, "computeLoss"));
  exports.Set("Engine", EngineObject::define(env));
  return exports;
}

NODE_API_MODULE(vlmr1_native, initialise)

}  // namespace

}  // namespace vlmr1::binding
