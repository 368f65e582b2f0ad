/// \file A model over the units of a platform: what each channel loses where, the front, one mapping chosen.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/recover.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/pipeline/verify.h"
#include "tailor/plan/platform_mapping.h"
#include "tailor/rewrite/quantise_network.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct MapOptions {
  std::string platform;  // as device::find_platform
  plan::Objective objective = plan::Objective::latency;
  /// At most this cost (microseconds or microjoules), or this share of the most precise mapping's.
  std::optional<double> budget = {}, budget_ratio = {};
  std::optional<double> budget_over_least = {};  // or this many times what the cheapest mapping costs
  std::string baseline = {};                     // instead of a goal: the baseline of that name
  /// At most so many points of top-1 (with eval) or of agreement (with calib alone) lost when weights are
  /// rounded as the units keep them, without retraining; measured, not predicted.
  std::optional<double> max_drop = {};
  std::filesystem::path calib = {};    // samples: losses of layers are measured on them
  std::filesystem::path eval = {};     // labelled samples: top-1 of the mapping
  std::int64_t calib_limit = 256;      // samples that each layer's loss is measured on
  std::filesystem::path mapping = {};  // a document of `map`: that mapping, instead of a goal
  /// bn: the statistics of a mapping's BatchNormalizations are moved as far as rounding moved them on calib, before
  /// it is judged or written.
  Recover recover = Recover::none;
  VerifyOptions samples = {};  // preparation, label_offset, limit, overrides, bench.runner, bench.threads
  std::function<void(const std::string& phase, double done)> progress = {};
};

/// A layer with its node, and its weights rounded as if all of it went one way.
struct MappedLayer {
  int node = 0;
  plan::LayerToMap layer;
  std::vector<float> weights;               // channels x row
  std::vector<std::vector<float>> rounded;  // per latency::unit_choices: channels x row
};

/// What a mapping's rounded weights do to the model's answers.
struct MappingAccuracy {
  std::string source;  // path of the data
  std::int64_t samples = 0;
  std::optional<double> top1, top1_before;  // percent, with labels
  double agreement = 0;                     // percent of samples with the class of the original
  double drop() const { return top1 ? *top1_before - *top1 : 100 - agreement; }
};

struct FreeLayer {
  int layer = 0;
  plan::FreeChannels free;
};

/// One mapping with its name and, where data was given, its accuracy.
struct NamedMapping {
  std::string name;
  plan::Mapping mapping;
  std::optional<plan::Certificate> certificate = {};  // none: a baseline
  std::optional<MappingAccuracy> accuracy = {};
};

struct MapResult {
  std::filesystem::path model;
  device::Platform platform;
  plan::Objective objective = plan::Objective::latency;
  bool measured_loss = false;  // of layers, on calibration data; else from the weights alone
  Recover recover = Recover::none;
  std::optional<graph::Model> estimated;  // recover bn: the original with statistics of the samples
  /// Of activations on calib, where the platform states how many bits they have; empty: accuracies are of activations in floats.
  std::map<std::string, rewrite::Range> ranges;
  std::vector<MappedLayer> layers;
  std::vector<std::string> elsewhere;  // layers that no unit computes; not in any number here
  int other_nodes = 0;                 // additions, pooling ...; not in any number here
  std::optional<double> budget;        // most cost asked for, in microseconds or microjoules
  int step = 1;                        // of plan::Splits: 1 if every split was looked at
  std::vector<NamedMapping> front;     // by rising cost: at most 20 points, spread over it
  std::vector<NamedMapping> baselines;
  std::optional<NamedMapping> chosen;  // none: the goal cannot be met
  std::string why;                     // of no choice: binding constraint and cheapest relaxation
  std::vector<FreeLayer> free;         // layers with free channels, for the most precise way
};

/// @pre the platform's costs are modelled (map_turns.h for measured ones)
/// @throws Error plan_mismatch if the mapping given is of another platform or other layers; as read_mapping;
/// nothing_to_map if no layer has constant float weights that a unit computes; usage if max_drop
/// comes without data, recover without calib (or is lsq: refitted weights would have to be rounded again), or energy
/// is asked of a platform without power; as read_subject, find_platform, compare_outputs
MapResult map_model(const std::filesystem::path& model, const MapOptions& options);

/// The model with every channel's weights rounded as its unit keeps them (and a channel that goes to a
/// depthwise unit reading its own input alone).
graph::Model rounded_model(const Subject& subject, const MapResult& result, const plan::Mapping& mapping);

/// The same, recovered as the options say. Accuracies are of it, with activations rounded to result.ranges.
graph::Model deployed_model(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                            const MapOptions& options);

/// Index into latency::unit_choices for each channel of a layer.
std::vector<int> channel_options(const MapResult& result, std::size_t layer, const plan::Mapping& mapping);

/// As documents of mappings have it.
Json to_json(const MappingAccuracy& accuracy);
/// Schema "tailor/map/1".
Json to_json(const MapResult& result);

}  // namespace tailor::pipeline
