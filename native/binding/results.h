// Results as JavaScript values, in the shapes of lib/engine/native-types.ts.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "core/trace.h"
#include "models/inputs.h"
#include "models/model.h"
#include "optim/adamw.h"
#include "rl/estimate.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "rl/request_decoder.h"

namespace vlmr1::binding {

struct Nothing {};

Napi::Value to_js(Napi::Env env, const Nothing&);
Napi::Value to_js(Napi::Env env, const std::vector<std::string>& strings);
Napi::Value to_js(Napi::Env env, const GenerateProgress& progress);
Napi::Value to_js(Napi::Env env, const ModelInfo& info);
Napi::Value to_js(Napi::Env env, const ModelDescription& description);
Napi::Value to_js(Napi::Env env, const MemoryEstimate& estimate);
Napi::Value to_js(Napi::Env env, const Picture& picture);
Napi::Value to_js(Napi::Env env, const std::vector<std::vector<Completion>>& completions);
Napi::Value to_js(Napi::Env env, const DecodeNews& news);
Napi::Value to_js(Napi::Env env, const TokenScores& scores);
Napi::Value to_js(Napi::Env env, const AccumulateResult& result);
Napi::Value to_js(Napi::Env env, const LossGradient& result);
Napi::Value to_js(Napi::Env env, const StepResult& result);
Napi::Value to_js(Napi::Env env, const TraceTable& trace);

}  // namespace vlmr1::binding
