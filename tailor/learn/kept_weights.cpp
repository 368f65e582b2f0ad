#include "tailor/learn/kept_weights.h"

#include "tailor/learn/state.h"

namespace tailor::learn {

at::Tensor rounded(const at::Tensor& weights, const KeptWeights& how) {
  at::NoGradGuard off;
  const at::Tensor rows = (how.outputs_last ? weights.movedim(-1, 0) : weights).to(at::kFloat).contiguous();
  std::vector<float> values =
      saliency::kept({rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())}, how.ways, how.way);
  const at::Tensor kept = at::from_blob(values.data(), rows.sizes(), at::kFloat);
  return (how.outputs_last ? kept.movedim(0, -1) : kept)
      .to(weights.scalar_type())
      .clone(at::MemoryFormat::Contiguous);
}

// The second summand is zero; its gradient is that of the weights.
at::Tensor straight_through(const at::Tensor& weights, const KeptWeights& how) {
  return rounded(weights, how) + (weights - weights.detach());
}

graph::Model as_kept(const graph::Model& model, const Keepings& keepings) {
  Network network(model);
  network.keep(keepings);
  return network.model();
}

}  // namespace tailor::learn
