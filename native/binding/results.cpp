#include "binding/results.h"

#include <algorithm>

#include "io/names.h"

namespace vlmr1::binding {

namespace {

Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }
Napi::Value number(Napi::Env env, int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Value typed_array(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value typed_array(Napi::Env env, const std::vector<int32_t>& values) {
  auto array = Napi::Int32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value typed_array(Napi::Env env, const std::vector<double>& values) {
  auto array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// fn(item, index) for each item of a list.
template <typename List, typename Fn>
Napi::Array array_of(Napi::Env env, const List& list, const Fn& fn) {
  auto array = Napi::Array::New(env, list.size());
  for (size_t i = 0; i < list.size(); ++i) array.Set(static_cast<uint32_t>(i), fn(list[i], i));
  return array;
}

Napi::Value token_values(Napi::Env env, const TokenValues& values) {
  return array_of(env, values, [&](const auto& group, size_t) {
    return array_of(env, group, [&](const auto& tokens, size_t) { return typed_array(env, tokens); });
  });
}

Napi::Value clip_sums(Napi::Env env, const ClipSums& sums) {
  auto object = Napi::Object::New(env);
  object.Set("count", number(env, sums.count));
  object.Set("low", number(env, sums.low));
  object.Set("high", number(env, sums.high));
  object.Set("lowMin", number(env, sums.low_min));
  object.Set("highMax", number(env, sums.high_max));
  object.Set("completions", number(env, sums.completions));
  object.Set("offPolicy", number(env, sums.off_policy));
  object.Set("phi", number(env, sums.phi));
  return object;
}

}  // namespace

Napi::Value to_js(Napi::Env env, const Nothing&) { return env.Undefined(); }

Napi::Value to_js(Napi::Env env, const std::vector<std::string>& strings) {
  return array_of(env, strings, [&](const std::string& text, size_t) { return Napi::String::New(env, text); });
}

Napi::Value to_js(Napi::Env env, const GenerateProgress& progress) {
  auto object = Napi::Object::New(env);
  object.Set("tokens", number(env, progress.tokens));
  object.Set("finished", number(env, progress.finished));
  object.Set("total", number(env, progress.total));
  object.Set("news", array_of(env, progress.news, [&](const DrawnToken& drawn, size_t) {
               auto item = Napi::Object::New(env);
               item.Set("completion", number(env, drawn.completion));
               item.Set("token", number(env, int64_t{drawn.token}));
               return item;
             }));
  return object;
}

Napi::Value to_js(Napi::Env env, const ModelInfo& info) {
  auto object = Napi::Object::New(env);
  object.Set("modelType", Napi::String::New(env, info.model_type));
  object.Set("parameters", number(env, info.parameters));
  object.Set("trainableParameters", number(env, info.trainable_parameters));
  object.Set("vocabSize", number(env, info.vocab_size));
  object.Set("imageTokenId", number(env, int64_t{info.image_token_id}));
  object.Set("videoTokenId", number(env, int64_t{info.video_token_id}));
  object.Set("patchSize", number(env, int64_t{info.patch_size}));
  object.Set("temporalPatchSize", number(env, int64_t{info.temporal_patch_size}));
  object.Set("mergeSize", number(env, int64_t{info.merge_size}));
  object.Set("maxPositionEmbeddings", number(env, info.max_position_embeddings));
  return object;
}

Napi::Value to_js(Napi::Env env, const ModelDescription& description) {
  constexpr const char* parts[] = {"vision", "merger", "language"};
  auto object = Napi::Object::New(env);
  object.Set("info", to_js(env, description.info));
  object.Set("parameters", array_of(env, description.parameters, [&](const ParameterSpec& spec, size_t) {
               auto item = Napi::Object::New(env);
               item.Set("name", Napi::String::New(env, spec.name));
               item.Set("runtimeName", Napi::String::New(env, runtime_name(spec.name)));
               auto shape = Napi::Array::New(env, spec.shape.rank());
               for (int i = 0; i < spec.shape.rank(); ++i)
                 shape.Set(static_cast<uint32_t>(i), number(env, spec.shape[i]));
               item.Set("shape", shape);
               item.Set("part", Napi::String::New(env, parts[static_cast<int>(spec.part)]));
               item.Set("linear", Napi::Boolean::New(env, spec.linear));
               return item;
             }));
  return object;
}

Napi::Value to_js(Napi::Env env, const MemoryEstimate& estimate) {
  constexpr const char* kinds[kMemoryKinds] = {"weights",     "gradients", "optimizer",
                                               "activations", "kvCache",   "workspace"};
  const auto bytes = [env](size_t count) { return number(env, static_cast<double>(count)); };
  auto object = Napi::Object::New(env);
  object.Set("device", Napi::String::New(env, estimate.device));
  object.Set("info", to_js(env, estimate.model));
  object.Set("pictureBytes", bytes(estimate.picture_bytes));
  object.Set("phases", array_of(env, estimate.phases, [&](const PhaseMemory& phase, size_t) {
               auto item = Napi::Object::New(env);
               item.Set("name", Napi::String::New(env, phase.name));
               auto use = Napi::Object::New(env);
               for (size_t kind = 0; kind < kMemoryKinds; ++kind) use.Set(kinds[kind], bytes(phase.use.by_kind[kind]));
               item.Set("use", use);
               item.Set("held", bytes(phase.held));
               return item;
             }));
  return object;
}

Napi::Value to_js(Napi::Env env, const Picture& picture) {
  auto object = Napi::Object::New(env);
  object.Set("pixelValues", typed_array(env, picture.pixel_values));
  object.Set("grid", array_of(env, picture.grid, [&](int32_t side, size_t) { return number(env, int64_t{side}); }));
  return object;
}

Napi::Value to_js(Napi::Env env, const std::vector<std::vector<Completion>>& completions) {
  return array_of(env, completions, [&](const auto& prompt, size_t) {
    return array_of(env, prompt, [&](const Completion& completion, size_t) {
      auto object = Napi::Object::New(env);
      object.Set("tokens", typed_array(env, completion.tokens));
      object.Set("logProbs", typed_array(env, completion.log_probs));
      object.Set("samplingLogProbs", typed_array(env, completion.sampling_log_probs));
      object.Set("finishReason", Napi::String::New(env, completion.stopped ? "stop" : "length"));
      return object;
    });
  });
}

Napi::Value to_js(Napi::Env env, const DecodeNews& news) {
  constexpr const char* reasons[] = {"stop", "length", "error"};
  const auto id = [env](uint64_t value) { return number(env, static_cast<int64_t>(value)); };
  auto object = Napi::Object::New(env);
  object.Set("news", array_of(env, news.tokens, [&](const DecodedToken& drawn, size_t) {
               auto item = Napi::Object::New(env);
               item.Set("id", id(drawn.id));
               item.Set("token", number(env, int64_t{drawn.token}));
               item.Set("logProb", number(env, double{drawn.log_prob}));
               return item;
             }));
  object.Set("finished", array_of(env, news.finished, [&](const DecodeEnded& ended, size_t) {
               auto item = Napi::Object::New(env);
               item.Set("id", id(ended.id));
               item.Set("finishReason", Napi::String::New(env, reasons[static_cast<int>(ended.reason)]));
               item.Set("message", Napi::String::New(env, ended.message));
               return item;
             }));
  object.Set("active", number(env, news.active));
  object.Set("waiting", number(env, news.waiting));
  return object;
}

Napi::Value to_js(Napi::Env env, const TokenScores& scores) {
  return array_of(env, scores.log_probs, [&](const auto& group, size_t g) {
    return array_of(env, group, [&](const auto& log_probs, size_t c) {
      auto object = Napi::Object::New(env);
      object.Set("logProbs", typed_array(env, log_probs));
      object.Set("entropy", typed_array(env, scores.entropy.at(g).at(c)));
      return object;
    });
  });
}

Napi::Value to_js(Napi::Env env, const AccumulateResult& result) {
  auto object = Napi::Object::New(env);
  object.Set("loss", number(env, result.loss));
  object.Set("policyLoss", number(env, result.policy_loss));
  object.Set("tokens", number(env, result.tokens));
  object.Set("entropySum", number(env, result.entropy_sum));
  object.Set("klSum", number(env, result.kl_sum));
  object.Set("clip", clip_sums(env, result.clip));
  object.Set("logProbs", token_values(env, result.log_probs));
  return object;
}

Napi::Value to_js(Napi::Env env, const LossGradient& result) {
  const LossResult& sums = result.sums;
  auto object = Napi::Object::New(env);
  object.Set("loss", number(env, sums.loss));
  object.Set("policyLoss", number(env, sums.policy_loss));
  object.Set("tokens", number(env, sums.tokens));
  object.Set("entropySum", number(env, sums.entropy_sum));
  object.Set("klSum", number(env, sums.kl_sum));
  object.Set("clip", clip_sums(env, sums.clip));
  object.Set("gradient", token_values(env, result.d_log_prob));
  object.Set("entropyGradient", token_values(env, result.d_entropy));
  return object;
}

Napi::Value to_js(Napi::Env env, const StepResult& result) {
  auto object = Napi::Object::New(env);
  object.Set("gradNorm", number(env, double{result.grad_norm}));
  object.Set("gradNormClipped", number(env, double{result.grad_norm_clipped}));
  object.Set("skipped", Napi::Boolean::New(env, result.skipped));
  object.Set("nonFinite", to_js(env, result.non_finite));
  object.Set("nonFiniteWeights", to_js(env, result.non_finite_weights));
  return object;
}

Napi::Value to_js(Napi::Env env, const TraceTable& trace) {
  auto object = Napi::Object::New(env);
  object.Set("names", to_js(env, trace.names));
  object.Set("details", to_js(env, trace.details));
  object.Set("name", typed_array(env, trace.name));
  object.Set("detail", typed_array(env, trace.detail));
  object.Set("start", typed_array(env, trace.start));
  object.Set("duration", typed_array(env, trace.duration));
  object.Set("flops", typed_array(env, trace.flops));
  object.Set("bytes", typed_array(env, trace.bytes));
  object.Set("dropped", number(env, trace.dropped));
  return object;
}

}  // namespace vlmr1::binding
