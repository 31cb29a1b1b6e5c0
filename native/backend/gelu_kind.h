#pragma once

namespace vlmr1 {

// x · Φ(x) with the normal distribution's Φ, with its tanh approximation, and with σ(1.702·x) in its place.
enum class GeluKind { kExact, kTanh, kQuick };

}  // namespace vlmr1
