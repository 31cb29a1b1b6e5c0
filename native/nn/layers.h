// Layers bind parameters to ops.
#pragma once

#include "autograd/graph.h"
#include "nn/parameters.h"

namespace vlmr1::nn {

// A parameter, or rows [begin, end) of its first axis, as a variable whose gradient is added to in place. A graph that
// does not record only notes that there is one.
Variable leaf(Graph& graph, const Parameter& p);
Variable leaf_rows(Graph& graph, const Parameter& p, int64_t begin, int64_t end);

// y = x · Wᵀ + bias (+ residual), and + scale · (dropout(x) · Aᵀ) · Bᵀ where the layer has an adapter that is on.
struct Linear {
  const Parameter* weight = nullptr;  // [F, E]
  const Parameter* bias = nullptr;    // [F] or null
  const Adapter* adapter = nullptr;   // or null
  // x [T, E] → [T, F] (+ residual)
  Variable operator()(Graph& graph, const Variable& x, const Variable* residual = nullptr) const;
  // Only the outputs [begin, end): one of several projections that a checkpoint keeps in one tensor.
  Variable part(Graph& graph, const Variable& x, int64_t begin, int64_t end) const;
  // Whether an adapter is added to it.
  bool adapts(const Graph& graph) const;

 private:
  Variable adapted(Graph& graph, const Variable& x, const Variable& y, int64_t begin, int64_t end) const;
};

// The layer `name`, with its bias and its adapter where the store has them.
Linear linear(ParameterStore& parameters, const std::string& name);

struct RmsNorm {
  const Parameter* weight = nullptr;
  float eps = 1e-6f;
  Variable operator()(Graph& graph, const Variable& x) const;
};

struct LayerNorm {
  const Parameter* weight = nullptr;
  const Parameter* bias = nullptr;
  float eps = 1e-5f;
  Variable operator()(Graph& graph, const Variable& x) const;
};

// down(silu(gate(x)) · up(x)) + residual
struct SwigluMlp {
  Linear gate, up, down;
  Variable operator()(Graph& graph, const Variable& x, const Variable& residual) const;
};

// out(gelu(in(x))) + residual
struct GeluMlp {
  Linear in, out;
  GeluKind kind = GeluKind::kExact;
  Variable operator()(Graph& graph, const Variable& x, const Variable& residual) const;
};

}  // namespace vlmr1::nn
