// measured_levels = batches of samples through the model, the least and the largest of each value, levels between them.
#include "tailor/learn/rounded_activations.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/classes.h"
#include "tailor/learn/state.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::learn {
namespace {

constexpr std::int64_t kBatch = 32;

struct Range {
  float lo = 0, hi = 0;
};

void check_names(const graph::Model& model, const std::vector<std::string>& values) {
  std::set<std::string> known;
  for (const graph::ValueInfo& input : model.graph.inputs) known.insert(input.name);
  for (const graph::Node& node : model.graph.nodes) known.insert(node.outputs.begin(), node.outputs.end());
  for (const std::string& value : values)
    if (!known.contains(value))
      throw Error(Code::unknown_name, fmt::format("the graph has no value '{}'", value), "activations");
}

void widen(Range& range, const at::Tensor& value, const std::string& name) {
  if (value.numel() == 0) return;
  if (!at::isfinite(value).all().item().toBool())
    throw Error(Code::dataset_mismatch, "the model computes numbers that are not finite on these samples",
                fmt::format("value '{}'", name), "give samples as the model expects them (--mean, --std)");
  range.lo = std::min(range.lo, value.min().item<float>());
  range.hi = std::max(range.hi, value.max().item<float>());
}

}  // namespace

RoundedActivations measured_levels(const graph::Model& model, const std::vector<std::string>& values,
                                   const data::Dataset& data, int bits, std::int64_t samples) {
  check_names(model, values);
  at::NoGradGuard off;
  Network network(model);
  const std::string input = only_input(model).name;
  std::map<std::string, Range> ranges;
  const std::int64_t count = std::min(samples, data.size());
  for (std::int64_t first = 0; first < count; first += kBatch) {
    throw_if_interrupted();
    const Feeds feeds = {{input, to_aten(data.batch(first, std::min(kBatch, count - first)), at::kFloat)}};
    const std::vector<at::Tensor> seen = network.state().forward(feeds, values, Mode::evaluate);
    for (std::size_t v = 0; v < values.size(); ++v) widen(ranges[values[v]], seen[v], values[v]);
  }
  RoundedActivations levels;
  for (const auto& [name, range] : ranges) levels[name] = saliency::value_levels(range.lo, range.hi, bits);
  return levels;
}

}  // namespace tailor::learn
