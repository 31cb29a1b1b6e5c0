#include "optim/blend.h"

#include "backend/backend.h"
#include "core/error.h"
#include "core/trace.h"

namespace vlmr1 {

namespace {

void check_blend(const ParameterStore& from, double alpha, const ParameterStore& to) {
  check(alpha >= 0.0 && alpha <= 1.0, ErrorCode::kArgument, "blend: alpha: expected a value in [0, 1], got ", alpha);
  check(to.plan().writable, ErrorCode::kArgument,
        "blend: expected a writable model, got one that is not; load it with train \"none\" and writable");
  check(&from != &to, ErrorCode::kArgument, "blend: source: expected another model, got the model itself");
  check(from.adapters().empty(), ErrorCode::kArgument,
        "blend: source: expected a model without an adapter, got one with it; its own weights do not change");
  check(from.base_count() == to.base_count(), ErrorCode::kShape, "blend: source: expected ", to.base_count(),
        " parameters, got ", from.base_count());
  for (size_t i = 0; i < to.base_count(); ++i) {
    const Parameter& a = from.all()[i];
    const Parameter& b = to.all()[i];
    check(a.name == b.name && a.shape == b.shape, ErrorCode::kShape, "blend: source: expected ", b.name, " ",
          b.shape.str(), ", got ", a.name, " ", a.shape.str());
  }
}

}  // namespace

void blend_parameters(Backend& backend, const ParameterStore& from, double alpha, ParameterStore& to) {
  check_blend(from, alpha, to);
  if (alpha == 0.0) return;
  from.check_sources();
  for (size_t i = 0; i < to.base_count(); ++i) {
    const Tensor& source = from.all()[i].exact();
    backend.blend(source, static_cast<float>(alpha), to.all()[i].value);
    // What stays in a file, and is packed, must not be in memory twice from here on.
    if (source.storage()->discard) source.storage()->discard(source.raw(), source.bytes());
  }
  to.mark_written();
}

}  // namespace vlmr1
