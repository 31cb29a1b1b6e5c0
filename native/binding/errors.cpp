#include "binding/errors.h"

#include <exception>
#include <new>

#include "core/error.h"

namespace vlmr1::binding {

Failure current_failure(const std::string& verb) {
  try {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kAborted) return {error_code_name(error.code()), verb + ": interrupted"};
    return {error_code_name(error.code()), error.what()};
  } catch (const std::bad_alloc&) {
    return {error_code_name(ErrorCode::kOutOfMemory), verb + ": the host has no more memory"};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", verb + ": " + error.what()};
  } catch (...) {
    return {"ERR_INTERNAL", verb + ": an unknown exception"};
  }
}

Napi::Error js_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  return error;
}

Napi::Value rejected(Napi::Env env, Napi::Value reason) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(reason);
  return deferred.Promise();
}

}  // namespace vlmr1::binding
