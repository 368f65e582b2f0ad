/// \file A model over the precisions of a processor, each measured: one precision per layer, chosen exactly, and the chosen
/// network measured as a whole beside those of a single precision.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/map_model.h"
#include "tailor/pipeline/turn_costs.h"
#include "tailor/runtime/measure.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// One choice of ways: what is expected of it, and what was measured.
struct TurnMapping {
  std::string name;
  std::vector<int> choice;            // a way per step
  double predicted_us = 0, loss = 0;  // from parts that were timed in other networks, in the rounds of `us`
  double planned_us = 0;              // what it was chosen by: from parts timed before that
  std::optional<plan::Certificate> certificate = {};  // none: a baseline
  std::optional<MappingAccuracy> accuracy = {};
  std::vector<double> us = {};        // of whole runs, undisturbed
  std::vector<double> round_us = {};  // one per round, interleaved with the others'
  runtime::Comparison to_first = {};  // against the first baseline, by rounds
  double measured_us() const;         // median; 0 if it was not measured
  double off() const;                 // predicted over measured, less 1
};

struct MapTurns {
  std::filesystem::path model;
  TurnNetwork network;
  std::string runtime, version, isa, processor;
  int weight_bits = 8;  // of levels, as the runner says
  int shortcuts = 0;    // padded shortcuts that became convolutions
  std::vector<Refusal> refusals;
  TurnCosts costs;
  std::optional<double> budget, max_drop;  // microseconds; points
  std::vector<TurnMapping> front;          // by rising cost: at most 20 points, spread over it
  std::vector<TurnMapping> baselines;      // everything in one precision, f32 first; then the least latency
  std::optional<TurnMapping> chosen;
  std::string why;  // of no choice

  /// The fastest, by measurement, of the single precisions that meet the goal; nullptr if none does.
  const TurnMapping* best_single() const;
  /// The chosen one against it, by rounds. @pre chosen and best_single()
  runtime::Comparison against_best_single() const;
};

struct MapTurnsResult {
  MapTurns result;
  std::optional<graph::Model> rounded;  // the chosen network as it is written
};

/// @param seconds of timing: of the layers, and of whole networks again
/// @pre find_platform(options.platform).measured()
/// @throws Error usage without options.calib or for an objective, recovery or budget that is not for such a platform;
/// runtime_missing, runtime_refused of the runner; as map_model
MapTurnsResult map_turns(const std::filesystem::path& model, const MapOptions& options, double seconds);

/// Schema "tailor/map-turns/1".
Json to_json(const MapTurns& result);

}  // namespace tailor::pipeline
