/// \file Patterns: what excites a filter most, found by gradient ascent on the input.
///
/// Activation maximisation (Erhan et al., "Visualizing higher-layer features of a deep network", 2009) as it is used to
/// tell what filters are for by Qin et al. (arXiv:1811.02639, 1810.07322). The regularisation is after Yosinski et al.
/// (arXiv:1506.06579): decay, here towards the mean of the inputs, and a Gaussian blur every few steps; shifts by some
/// pixels at each step can be added. All filters of a layer begin with the same noise and step by gradients scaled to
/// deviation 1, so that pictures of two filters can be compared place by place: equal filters get equal pictures.
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/learn/filters.h"
#include "tailor/learn/network.h"
#include "tailor/saliency/functionality.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tailor::learn {

/// What of a filter's map of answers rises. middle: the answer at the map's middle place, so that the picture shows one
/// occurrence, at the same place for all filters. mean: of all places; what a filter without a nonlinear layer in front
/// of it answers to on average is an even colour. maximum: the largest answer, wherever it is at the moment.
enum class Aim { middle, mean, maximum };
const char* name(Aim aim);
/// @throws Error unknown_name
Aim parse_aim(const std::string& text);

struct PatternRecipe {
  Aim aim = Aim::middle;
  int steps = 64;
  double rate = 0.05;       // of a step, in deviations of the inputs
  double decay = 0.05;      // share of the distance from the inputs' mean that each step takes back
  double blur = 0.5;        // deviation of the Gaussian in pixels; 0: none
  int blur_every = 4;       // steps
  int jitter = 0;           // largest shift in pixels, drawn anew at each step, the same for all filters
  std::int64_t batch = 64;  // filters at once
  std::uint64_t seed = 1;
};
/// @throws Error bad_value naming the option
void check(const PatternRecipe& recipe);

/// Where inputs lie, per channel: a picture is centre + spread x pattern.
struct InputScale {
  std::vector<double> centre, spread;
};
/// Mean and deviation of every channel over the samples; a channel that is constant has spread 1. @pre samples are CxHxW
InputScale input_scale(const data::Dataset& data);

struct FilterPattern {
  double start = 0, reached = 0;   // the answer at the beginning and at the end, unshifted
  bool silent = false;             // no input moved the answer: it had no gradient at any step
  std::vector<float> values = {};  // channels x height x width, 0 where the filter is silent
};

/// Called after every batch of filters with how many of the layer's are done.
using OnBatch = std::function<void(int filters)>;

/// One pattern per filter of the layer. Only what the layer needs is run, BatchNormalization by its statistics. Equal
/// arguments give equal bits on equal numbers of threads. O(filters x steps) runs of the network up to there, forward
/// and back.
/// @param sample shape of one input, CxHxW @pre check(recipe)
/// @throws Error not_trainable (operators, an answer that does not have the samples along its first axis), bad_shape,
///         diverged (answers that are no numbers)
std::vector<FilterPattern> filter_patterns(Network& network, const FilterLayer& layer,
                                           const graph::Shape& sample, const InputScale& scale,
                                           const PatternRecipe& recipe, const OnBatch& done = {});

/// What the filters of every layer answer on samples, before their activation function: at places spread evenly over
/// samples and maps, the same for all filters of a layer. O(samples) runs.
std::vector<saliency::Responses> filter_responses(Network& network, const std::vector<FilterLayer>& layers,
                                                  const data::Dataset& data, std::int64_t batch);

}  // namespace tailor::learn
