/// \file A graph made ready to run for inputs of certain shapes. Private to the module.
#pragma once

#include "tailor/graph/shapes.h"
#include "tailor/learn/call.h"
#include "tailor/learn/rounded_activations.h"

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace tailor::learn {

/// A node to run. `done` lists the places that nobody reads after it.
struct Step {
  const graph::Node* node = nullptr;
  Operator run = nullptr;
  std::int64_t opset = 1;
  std::vector<int> inputs, outputs, done;
};

/// Nodes in order, and the table of values that they work on: constants are in it, inputs and parameters are put there.
struct Program {
  std::vector<Step> steps;
  std::vector<at::Tensor> values;                  // undefined where a step or the caller fills them
  std::vector<std::pair<std::string, int>> given;  // inputs and parameters that are read
  std::vector<int> wanted;
  std::unordered_map<int, saliency::ValueLevels> rounded;  // places whose values are seen at levels
};

/// Keeps what `wanted` needs and folds what follows from the shapes alone. Values that depend on a parameter are not
/// folded, however small.
/// @param model     outlives the program, which points to its nodes
/// @param inputs    shape of each input
/// @param variables values that the caller puts in: parameters
/// @param rounded   values that are seen at levels; constants stay as they are
/// @throws Error not_trainable listing every operator that is missing, bad_shape, bad_model
Program compile(const graph::Model& model, const graph::ShapeOverrides& inputs,
                const std::vector<std::string>& wanted, const std::set<std::string>& variables,
                at::ScalarType real, const RoundedActivations& rounded = {});

/// Runs the steps on a table made from program.values. @throws Error bad_model where libtorch refuses, with its words
void run(const Program& program, const Setting& setting, std::vector<at::Tensor>& values);

}  // namespace tailor::learn
