#include "autograd/graph.h"

namespace vlmr1 {

Variable Variable::reshaped(Shape shape) const { return Variable(value_.reshaped(shape), slot_); }

Variable Graph::result(Tensor value, std::initializer_list<const Variable*> inputs) {
  bool needs = false;
  for (const Variable* input : inputs) needs = needs || (input != nullptr && input->needs_grad());
  met_gradient_ = met_gradient_ || needs;
  return Variable(std::move(value), recording_ && needs ? std::make_shared<GradSlot>() : nullptr);
}

void Graph::accumulate(const std::shared_ptr<GradSlot>& slot, Tensor grad) {
  if (!slot) return;
  if (!slot->grad) slot->grad = std::move(grad);
  else backend_.add(slot->grad, grad, slot->grad);
}

void Graph::backward(const Variable& root, Tensor seed) {
  check(root.needs_grad(), ErrorCode::kState, "backward: nothing that leads to this value has a gradient");
  accumulate(root.slot(), std::move(seed));
  while (!tape_.empty()) {
    Step step = std::move(tape_.back());
    tape_.pop_back();
    // No gradient arrived: what follows the op was not used.
    if (!step.out->grad) continue;
    const Tensor dout = std::move(step.out->grad);
    step.out->grad = Tensor();
    step.backward(dout);
  }
}

Variable recompute(Graph& graph, const Variable& input, const std::function<Variable(Graph&, const Variable&)>& block) {
  if (!graph.recording()) return block(graph, input);
  Graph silent(graph.backend(), false, graph.adapters());
  const Variable value = block(silent, Variable(input.value()));
  // Parameters inside the block may need gradients even where the input does not. A block without either is frozen:
  // nothing of it is kept or done again.
  if (!input.needs_grad() && !silent.met_gradient()) return value;
  const Variable out(value.value(), std::make_shared<GradSlot>());
  graph.record(out, [&graph, input, block](const Tensor& dout) {
    Graph again(graph.backend(), true, graph.adapters());
    const Variable leaf(input.value(), input.needs_grad() ? std::make_shared<GradSlot>() : nullptr);
    const Variable result = block(again, leaf);
    if (!result.needs_grad()) return;
    again.backward(result, dout);
    if (input.needs_grad() && leaf.slot()->grad) graph.accumulate(input.slot(), leaf.slot()->grad);
  });
  return out;
}

}  // namespace vlmr1
