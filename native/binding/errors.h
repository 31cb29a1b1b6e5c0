// Native errors as JavaScript errors with a `code`.
#pragma once

#include <napi.h>

#include <string>

namespace vlmr1::binding {

struct Failure {
  std::string code;
  std::string message;
};

// Inside a catch block: what is being handled. `verb` names the call where the error itself does not.
Failure current_failure(const std::string& verb);

Napi::Error js_error(Napi::Env env, const Failure& failure);

// Calls fn; native exceptions become JavaScript ones.
template <typename Fn>
auto guarded(Napi::Env env, const char* verb, const Fn& fn) {
  try {
    return fn();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw js_error(env, current_failure(verb));
  }
}

Napi::Value rejected(Napi::Env env, Napi::Value reason);

// The same for verbs that return a promise: it is rejected instead.
template <typename Fn>
Napi::Value guarded_promise(Napi::Env env, const char* verb, const Fn& fn) {
  try {
    return fn();
  } catch (const Napi::Error& error) {
    return rejected(env, error.Value());
  } catch (...) {
    return rejected(env, js_error(env, current_failure(verb)).Value());
  }
}

}  // namespace vlmr1::binding
