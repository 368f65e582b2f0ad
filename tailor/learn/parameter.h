/// \file Which tensors of a graph training may change.
#pragma once

#include "tailor/graph/model.h"

#include <string>
#include <vector>

namespace tailor::learn {

/// What a tensor does in the layer that reads it. `mean` and `variance` are the statistics of BatchNormalization:
/// they follow the data and have no gradient.
enum class Role { weight, bias, scale, shift, slope, table, mean, variance };

/// A tensor that training may change: an initializer or what a Constant node holds, by the name of its value.
struct Parameter {
  std::string name;
  Role role = Role::weight;
  graph::Shape dims = {};

  bool statistic() const { return role == Role::mean || role == Role::variance; }
  /// Weight decay is for what multiplies inputs, not for what shifts or scales them.
  bool decays() const { return role == Role::weight || role == Role::table; }
};

/// Weights and biases of convolutions and matrix products, also where the bias is a sum of its own or the weight goes
/// through Transpose or Reshape first; scales and shifts of normalisations, spelled out or not; slopes of PRelu; tables
/// that Gather reads. In the order of the nodes, each once. Other constants (positions, class tokens, anchors of a
/// detector) stay as they are. Tensors of other types than f32 and f64 stay too. O(nodes).
std::vector<Parameter> parameters(const graph::Graph& graph);

/// The model in which no two layers share a vector: biases, scales and statistics that several read are copied for each
/// (a cut stores equal constants once, and statistics of two layers cannot follow both). Matrices stay shared.
graph::Model with_own_vectors(graph::Model model);

/// The model with these tensors in the place of its own; all else, also tensors that did not change, as it was.
/// @pre names are of parameters, types and dimensions those of the model
graph::Model with_values(graph::Model model,
                         const std::vector<std::pair<std::string, graph::Tensor>>& values);

}  // namespace tailor::learn
