/// \file A model as steps for units that take turns (plan/unit_turns.h), and a choice of ways as the list that a runner
/// executes, with a step of its own wherever a value goes from one format to another.
///
/// A format is the type in which a unit keeps activations: f32, bf16, or levels, which are u8 where a value cannot be
/// negative (behind Relu, Clip, Sigmoid) and s8 around zero where it can. One more format is how a user gives an input.
#pragma once

#include "tailor/device/platform.h"
#include "tailor/pipeline/layer_list.h"
#include "tailor/plan/unit_turns.h"

#include <array>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct TurnNetwork {
  device::Platform platform;
  LayerList list;             // its layers are the steps of `problem`, in f32
  plan::TurnProblem problem;  // costs and losses 0 at first; a way's format `reads` is its unit
  std::vector<int> node;      // of the model, per step; -1: no weights
  std::vector<std::array<std::int64_t, 4>> sizes;  // mb, c, h, w of each value
  std::vector<bool> negative;                      // whether a value can be

  int f32() const;                                                       // the unit that computes in it
  int given() const { return static_cast<int>(platform.units.size()); }  // the format of inputs
};

/// Layers with weights can go to every unit whose precision they have a form in: in 8 bits those of `quantisable` nodes
/// with nothing behind them but bias, sum, relu, clip; they write levels or, for who reads those, f32. Maximum pooling is
/// possible everywhere, all else in f32. @pre platform.measured()
TurnNetwork turn_network(const Subject& subject, const device::Platform& platform,
                         const std::vector<int>& quantisable);

/// What a step of an executed list is.
struct ListedStep {
  int step = -1;                // of the problem; -1: a conversion
  plan::Conversion conversion;  // format `from` == problem format of who made it
};
struct TurnList {
  std::string network;            // {"layers": [...]}, as the protocol has it, as one line
  std::vector<ListedStep> steps;  // of each of them
};
/// @param choice a way per step
TurnList turn_list(const TurnNetwork& network, const std::vector<int>& choice);

/// Networks of one step alone in one way, reading inputs of its own; a conversion alone.
std::string step_alone(const TurnNetwork& network, std::size_t step, const plan::Way& way);
std::string conversion_alone(const TurnNetwork& network, const plan::Conversion& conversion);

/// Every conversion that some choice needs.
std::vector<plan::Conversion> possible_conversions(const TurnNetwork& network);

}  // namespace tailor::pipeline
