/// \file Training: a model, data and a recipe in; the trained model and its curve out.
///
/// The same model, data, recipe and number of threads end with the same weights bit by bit, however often the run was
/// stopped and gone on with.
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/graph/shapes.h"
#include "tailor/learn/kept_weights.h"
#include "tailor/learn/recipe.h"
#include "tailor/learn/rounded_activations.h"
#include "tailor/learn/unit_search.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tailor::learn {

/// What a model does on labelled samples.
struct Evaluation {
  std::int64_t samples = 0, right = 0;
  double loss = 0;  // mean cross entropy

  double top1() const { return samples ? static_cast<double>(right) / static_cast<double>(samples) : 0; }
};

/// @param batch samples at once; the result does not depend on it but for rounding
/// @param activations that the model is judged with at levels
/// @throws Error not_trainable (no class scores, operators), dataset_mismatch (no labels, or labels that are no class)
Evaluation evaluate(const graph::Model& model, const data::Dataset& data, std::int64_t label_offset = 0,
                    std::int64_t batch = 100, const RoundedActivations& activations = {});

/// Smaller networks that learn beside the model at each step with its weights (supernet.h), from its answers: the
/// sandwich rule and in-place distillation of Yu and Huang (arXiv:1903.05134).
struct Sandwich {
  std::function<std::vector<graph::Model>(std::int64_t step)> carved;  // out of numbered(the model)
  double temperature = 1;                                              // softens both answers
};

/// What to learn from. The data outlive the run.
struct Task {
  const data::Dataset* data = nullptr;
  const data::Dataset* eval = nullptr;  // labelled; looked at after each epoch
  std::optional<graph::Model> teacher = {};
  std::optional<Sandwich> sandwich = {};
  Keepings keepings = {};                // how units keep weights: they learn for that, and are written so
  RoundedActivations activations = {};   // of the model (not of the teacher), in training and evaluation
  std::optional<UnitSearch> units = {};  // without keepings: how each channel is kept is learned too
};

/// One epoch. `right`: the share of samples seen in training whose largest score is the label's, or, where labels are
/// not learned from, the teacher's.
struct CurvePoint {
  std::int64_t epoch = 0, step = 0;
  double rate = 0, loss = 0, right = 0, images_per_s = 0;
  std::optional<Evaluation> eval = {};
};

/// Where a run is kept while it is going on; an empty path: nowhere.
struct Keeping {
  std::filesystem::path checkpoint = {}, curve = {};  // curve: CSV, rewritten after each epoch
  std::string run = {};                               // fingerprint of models, data, recipe and threads
  bool resume = false;                                // go on from the checkpoint
  double every_s = 60;  // how often it is written; at the end of an epoch too, if a tenth of that has passed
};

struct Moment {
  std::int64_t step = 0, steps = 0, epoch = 0, epochs = 0;
  double loss = 0, images_per_s = 0;
};

struct Training {
  graph::Model model;
  std::vector<CurvePoint> curve;
  std::int64_t steps = 0, resumed_at = 0, parameters = 0;
  double seconds = 0;  // of this process, waiting for data included, evaluation not
  double images_per_s = 0;
  Keepings keepings = {};  // as the task said, or as a search for units decided
};

/// @throws Error not_trainable, dataset_mismatch, bad_value, diverged, interrupted (after the checkpoint is written),
///         nothing_to_resume, bad_checkpoint, checkpoint_mismatch, write_failed
Training train(const graph::Model& model, const Task& task, const Recipe& recipe, const Keeping& keeping = {},
               const std::function<void(const Moment&)>& progress = {});

/// The curve as CSV with a line of titles; what was not measured is empty.
std::string to_csv(const std::vector<CurvePoint>& curve);

/// The model as before training: weights drawn from a normal distribution (of convolutions with variance 2 / inputs, He
/// et al., arXiv:1502.01852; of matrices 2 / (inputs + outputs)), biases, shifts and means 0, scales and variances 1,
/// slopes 0.25.
graph::Model initialised(const graph::Model& model, std::uint64_t seed);

}  // namespace tailor::learn
