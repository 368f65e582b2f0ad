/// \file A network on an accelerator that is only described: every layer with its best tiling, what that costs, and the
/// widths that cost the same. All numbers are modelled (tailor/latency/loop_nest.h); nothing is run. After DNN-Chip
/// Predictor (arXiv:2002.11270), with the tiling searched for.
#pragma once

#include "tailor/base/json.h"
#include "tailor/device/accelerator.h"
#include "tailor/latency/tilings.h"
#include "tailor/pipeline/surgery.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Output widths whose fastest tilings take as many cycles as the present width's, and the next narrower one, which takes
/// fewer. Of a depthwise layer all channels count.
struct WidthTread {
  std::int64_t narrowest = 0, widest = 0;  // the latter up to twice the present width
  double cycles = 0;                       // of the fastest tiling, whatever its energy
  std::optional<std::int64_t> next = {};   // absent where the narrowest width is the least there is
  double next_cycles = 0;
};

/// What a search for tilings needs of a layer: no type, nothing that is fused.
latency::Workload shape_of(const latency::Workload& workload);

struct PredictedLayer {
  std::string name, op;
  latency::Workload workload;
  std::optional<latency::BestTiling> best = {};  // absent: the accelerator cannot compute the layer
  std::vector<std::string> reasons = {};         // then; a sentence without a full stop each
  std::optional<WidthTread> tread = {};          // with best
};

struct AcceleratorPrediction {
  device::Accelerator accelerator;
  std::string objective;
  std::filesystem::path model;
  std::string sha256;
  std::vector<PredictedLayer> layers = {};  // in the model's order
  int other_nodes = 0;                      // in no number: what is no convolution or product with weights

  int refused() const;  // layers without a tiling
  double cycles() const;
  double pj() const;
  double macs() const;  // of layers that have one
  /// Microseconds of so many cycles; absent where the clock is not known.
  std::optional<double> us(double cycles) const;
};

struct PredictionOptions {
  std::string objective = "latency";               // "energy", "product"
  std::string layer = {};                          // only layers whose names have this part
  std::function<void(double done)> progress = {};  // 0..1
};

/// Layers of equal shapes are searched for once. O(layers x the search of tilings.h x log width).
/// @throws Error unknown_name (objective, layer), nothing_to_map if the model has no layer
AcceleratorPrediction predict_on(const Subject& subject, const device::Accelerator& accelerator,
                                 const PredictionOptions& options);

/// The widths around the present one. @param cycles of the fastest tiling of so many times `unit` output channels,
/// infinite where there is none; never falling @pre it is finite for the present width
WidthTread width_tread(std::int64_t present, std::int64_t unit,
                       const std::function<double(std::int64_t)>& cycles);

/// Schema "tailor/accelerator-prediction/1".
Json to_json(const AcceleratorPrediction& prediction);

}  // namespace tailor::pipeline
