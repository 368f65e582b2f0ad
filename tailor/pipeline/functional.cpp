// take_over_costs  per reader: responses of the units at sampled places, their moments, the weights that read them
// merge_functions  per reader: the weights of each unit that goes, moved to its heir
#include "tailor/pipeline/functional.h"

#include "tailor/pipeline/readers.h"

#include <algorithm>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kSamples = 16384;  // of each unit at each reader

std::size_t inputs_per_unit(const Reader& reader) { return reader.inputs.front().size(); }

bool alike(const Reader& reader) {
  return std::all_of(reader.inputs.begin(), reader.inputs.end(),
                     [&](const auto& of_unit) { return of_unit.size() == inputs_per_unit(reader); });
}

std::vector<Reader> readers_alike(const Subject& subject, int group) {
  std::vector<Reader> readers = readers_of(subject, group);
  std::erase_if(readers,
                [](const Reader& reader) { return !alike(reader) || !reader.layer.takes_intercept(); });
  return readers;
}

// At places spread evenly over samples and positions, the same for all units.
saliency::Responses responses(const Reader& reader, const graph::Tensor& x) {
  const std::vector<float> values = x.values<float>();
  const auto samples = static_cast<std::size_t>(x.dims[0]), inputs = static_cast<std::size_t>(x.dims[1]),
             plane = values.size() / std::max<std::size_t>(samples * inputs, 1);
  const std::size_t step = std::max<std::size_t>(1, samples * plane * inputs_per_unit(reader) / kSamples);
  saliency::Responses r{static_cast<int>(reader.inputs.size()), 0, {}};
  for (const std::vector<int>& of_unit : reader.inputs) {
    const std::size_t before = r.values.size();
    for (int input : of_unit)
      for (std::size_t place = 0; place < samples * plane; place += step)
        r.values.push_back(
            values[(place / plane * inputs + static_cast<std::size_t>(input)) * plane + place % plane]);
    r.samples = r.values.size() - before;
  }
  return r;
}

std::size_t taps(const rewrite::LinearLayer& layer, const std::vector<float>& weights) {
  return weights.size() / static_cast<std::size_t>(layer.inputs) / static_cast<std::size_t>(layer.outputs);
}

// Per unit, the sum of the squares of the weights that read it.
std::vector<double> squared_weights(const Subject& subject, const Reader& reader) {
  const std::vector<float> w = rewrite::weights(subject.model, reader.layer);
  const std::size_t n = taps(reader.layer, w), inputs = static_cast<std::size_t>(reader.layer.inputs);
  std::vector<double> of_input(inputs, 0.0), of_unit;
  for (std::size_t i = 0; i < w.size(); ++i) of_input[i / n % inputs] += double{w[i]} * w[i];
  for (const std::vector<int>& list : reader.inputs) {
    of_unit.push_back(0);
    for (int input : list) of_unit.back() += of_input[static_cast<std::size_t>(input)];
  }
  return of_unit;
}

saliency::Moments moments(const Subject& subject, const Reader& reader, rewrite::Activations& now) {
  const graph::Tensor x = now.get(subject.model, {reader.layer.x}).front();
  return saliency::Moments(responses(reader, rewrite::channels_first(reader.layer, x)));
}

// What the layer adds to its weights' sums now, if set_weights takes it as a whole; zeros where it takes what is to be
// added.
std::vector<float> present_intercept(const graph::Model& model, const rewrite::LinearLayer& layer,
                                     const graph::Shapes& shapes) {
  const graph::Node& node = model.graph.nodes[static_cast<std::size_t>(layer.node)];
  const graph::Tensor* bias = node.input(2).empty() ? nullptr : shapes.constant(node.input(2));
  return bias ? bias->values<float>() : std::vector<float>(static_cast<std::size_t>(layer.outputs), 0.0f);
}

// The weights of one layer while units are merged in them.
class Reading {
 public:
  Reading(const graph::Model& model, const graph::Shapes& shapes, const Reader& reader)
      : reader_(reader),
        weights_(rewrite::weights(model, reader.layer)),
        intercept_(present_intercept(model, reader.layer, shapes)),
        taps_(taps(reader.layer, weights_)) {}

  void move(int unit, int heir, const saliency::Line& line) {
    for (std::size_t k = 0; k < inputs_per_unit(reader_); ++k)
      for (int o = 0; o < reader_.layer.outputs; ++o)
        move_row(o, reader_.inputs[static_cast<std::size_t>(unit)][k],
                 reader_.inputs[static_cast<std::size_t>(heir)][k], line);
  }
  void write(graph::Model& model) && {
    rewrite::set_weights(model, reader_.layer, std::move(weights_), intercept_);
  }

 private:
  std::size_t at(int output, int input) const {
    return (static_cast<std::size_t>(output) * static_cast<std::size_t>(reader_.layer.inputs) +
            static_cast<std::size_t>(input)) *
           taps_;
  }
  void move_row(int output, int from, int to, const saliency::Line& line) {
    for (std::size_t t = 0; t < taps_; ++t) {
      const float w = weights_[at(output, from) + t];
      weights_[at(output, to) + t] += static_cast<float>(line.gain) * w;
      intercept_[static_cast<std::size_t>(output)] += static_cast<float>(line.offset) * w;
    }
  }

  const Reader& reader_;
  std::vector<float> weights_, intercept_;
  std::size_t taps_;
};

}  // namespace

saliency::TakeOver take_over_costs(const Subject& subject, int group, rewrite::Activations& now) {
  saliency::TakeOver costs;
  for (const Reader& reader : readers_alike(subject, group))
    saliency::add_reader(costs, moments(subject, reader, now), squared_weights(subject, reader));
  return costs;
}

Merging merge_functions(const Subject& subject, const std::map<int, std::vector<int>>& kept,
                        rewrite::Activations& now) {
  Merging merging{subject.model, {}};
  for (const auto& [group, units] : kept) {
    const saliency::TakeOver costs = take_over_costs(subject, group, now);
    if (costs.units == 0) continue;
    const std::vector<int> heirs = saliency::heirs(costs, units);
    for (const Reader& reader : readers_alike(subject, group)) {
      const saliency::Moments seen = moments(subject, reader, now);
      Reading reading(merging.model, graph::infer_shapes(merging.model, subject.overrides), reader);
      for (int unit = 0; unit < costs.units; ++unit) {
        const int heir = heirs[static_cast<std::size_t>(unit)];
        if (heir == unit) continue;
        const saliency::Line line = seen.line(unit, heir);
        reading.move(unit, heir, line);
        merging.merged.push_back({group, unit, heir, reader.layer.y, line.unexplained});
      }
      std::move(reading).write(merging.model);
    }
  }
  return merging;
}

}  // namespace tailor::pipeline
