// removal_order: one function per criterion, each a score per unit or an order.
#include "tailor/pipeline/criterion.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/activation_worth.h"
#include "tailor/pipeline/functional.h"
#include "tailor/pipeline/readers.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace tailor::pipeline {
namespace {

constexpr Criterion kCriteria[] = {Criterion::reconstruction, Criterion::l1,     Criterion::l2,
                                   Criterion::bn_scale,       Criterion::fpgm,   Criterion::activation,
                                   Criterion::functionality,  Criterion::taylor, Criterion::fisher};

bool has_weights(const graph::Node& node) {
  for (const char* op : {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
    if (node.op == op) return true;
  return false;
}

// Whether the binding is what the criterion looks at: the weights that make a unit, or its normalisation's scale.
bool counts(const graph::Node& node, const graph::Binding& binding, Criterion criterion) {
  if (criterion == Criterion::bn_scale) return node.op == "BatchNormalization" && binding.input == 1;
  return has_weights(node) && binding.input == 1 && binding.role == graph::Binding::Role::produces;
}

// The slices of weights that make each unit, one after another.
void for_each_slice(const Subject& subject, int group, Criterion criterion,
                    const std::function<void(std::size_t unit, const std::vector<float>&)>& take) {
  for (const graph::Binding& b : subject.channels.bindings) {
    const graph::Node& node = subject.model.graph.nodes[static_cast<std::size_t>(b.node)];
    if (!counts(node, b, criterion) || !contains_group(subject.channels, b.label, group)) continue;
    const graph::Tensor* tensor = subject.shapes.constant(node.inputs[static_cast<std::size_t>(b.input)]);
    if (!tensor || tensor->type != graph::DataType::f32) continue;
    for (std::size_t i = 0; i < b.label->size(); ++i) {
      const graph::AtomPlace place = subject.channels.atoms[static_cast<std::size_t>((*b.label)[i])];
      if (place.group == group)
        take(static_cast<std::size_t>(place.unit),
             rewrite::take(*tensor, b.axis, {static_cast<int>(i)}).values<float>());
    }
  }
}

std::size_t width_of(const Subject& subject, int group) {
  return static_cast<std::size_t>(subject.channels.groups[static_cast<std::size_t>(group)].width());
}

// Sum over a unit's slices of |w|_1, or |w|_2.
std::vector<double> magnitude(const Subject& subject, int group, Criterion criterion) {
  std::vector<double> score(width_of(subject, group), 0.0);
  for_each_slice(subject, group, criterion, [&](std::size_t unit, const std::vector<float>& slice) {
    double sum = 0;
    for (float w : slice) sum += criterion == Criterion::l2 ? double{w} * w : std::abs(w);
    score[unit] += criterion == Criterion::l2 ? std::sqrt(sum) : sum;
  });
  return score;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return std::sqrt(sum);
}

std::vector<double> distance_from_others(const Subject& subject, int group) {
  std::vector<std::vector<float>> weights(width_of(subject, group));
  for_each_slice(subject, group, Criterion::fpgm, [&](std::size_t unit, const std::vector<float>& slice) {
    weights[unit].insert(weights[unit].end(), slice.begin(), slice.end());
  });
  std::vector<double> score(weights.size(), 0.0);
  for (std::size_t a = 0; a < weights.size(); ++a)
    for (std::size_t b = a + 1; b < weights.size(); ++b) {
      const double d = distance(weights[a], weights[b]);
      score[a] += d, score[b] += d;
    }
  return score;
}

std::vector<int> ascending(const std::vector<double>& score) {
  std::vector<int> order(score.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return score[static_cast<std::size_t>(a)] < score[static_cast<std::size_t>(b)];
  });
  return order;
}

// Empty if no layer with equations reads the group.
std::vector<int> by_reconstruction(const Subject& present, int group, const Evidence& evidence) {
  TAILOR_CHECK(evidence.equations != nullptr);
  std::vector<const saliency::NormalEquations*> layers;
  std::vector<std::vector<std::vector<int>>> of_layer;
  for (Reader& reader : fitted_readers(present, *evidence.equations, group)) {
    layers.push_back(&evidence.equations->at(reader.layer.y));
    of_layer.push_back(std::move(reader.inputs));
  }
  return layers.empty() ? std::vector<int>{} : saliency::eliminate(layers, of_layer, evidence.ridge).order;
}

const rewrite::KeptChannels& kept_of(const Evidence& evidence) {
  static const rewrite::KeptChannels all;
  return evidence.kept ? *evidence.kept : all;
}

std::vector<int> by_gradients(const Subject& present, int group, Criterion criterion,
                              const Evidence& evidence) {
  TAILOR_CHECK(evidence.worth != nullptr);
  const auto& worth = criterion == Criterion::taylor ? evidence.worth->taylor : evidence.worth->fisher;
  return ascending(gradient_worth(present, group, worth, kept_of(evidence)));
}

// With gradients the filters of a cluster are ranked by them; without, by what it costs that another one takes over.
std::vector<int> by_functionality(const Subject& present, int group, const Evidence& evidence) {
  std::vector<int> cluster;
  if (evidence.patterns) cluster = unit_clusters(present, group, *evidence.patterns, kept_of(evidence));
  if (evidence.worth && !cluster.empty()) {
    const std::vector<double> worth =
        gradient_worth(present, group, evidence.worth->taylor, kept_of(evidence));
    if (!worth.empty()) return saliency::least_of_clusters(worth, cluster);
  }
  TAILOR_CHECK(evidence.now != nullptr);
  saliency::TakeOver costs = take_over_costs(present, group, *evidence.now);
  if (costs.units == 0) return {};
  return saliency::remove_repeats(std::move(costs), std::move(cluster)).order;
}

// Empty if the criterion needs a reader and there is none.
std::vector<int> order_by(const Subject& present, int group, Criterion criterion, const Evidence& evidence) {
  switch (criterion) {
    case Criterion::reconstruction:
      return by_reconstruction(present, group, evidence);
    case Criterion::activation:
      TAILOR_CHECK(evidence.now != nullptr);
      return ascending(activation_worth(present, group, *evidence.now));
    case Criterion::functionality:
      return by_functionality(present, group, evidence);
    case Criterion::taylor:
    case Criterion::fisher:
      return by_gradients(present, group, criterion, evidence);
    case Criterion::fpgm:
      return ascending(distance_from_others(present, group));
    case Criterion::l1:
    case Criterion::l2:
    case Criterion::bn_scale:
      break;
  }
  return ascending(magnitude(present, group, criterion));
}

}  // namespace

const char* name(Criterion criterion) {
  constexpr const char* names[] = {"reconstruction", "l1",     "l2",    "bn", "fpgm", "activation",
                                   "functionality",  "taylor", "fisher"};
  return names[static_cast<int>(criterion)];
}

Criterion parse_criterion(const std::string& text) {
  for (Criterion c : kCriteria)
    if (text == name(c)) return c;
  throw Error(Code::unknown_name, fmt::format("there is no criterion '{}'", text), "--criterion",
              "reconstruction, l1, l2, bn, fpgm, activation, functionality, taylor or fisher");
}

std::vector<int> removal_order(const Subject& present, int group, Criterion criterion,
                               const Evidence& evidence) {
  std::vector<int> order = order_by(present, group, criterion, evidence);
  return order.empty() ? ascending(magnitude(present, group, Criterion::l1)) : order;
}

}  // namespace tailor::pipeline
