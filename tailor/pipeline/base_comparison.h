/// \file A network that was made smaller elsewhere beside the one that it was made of: what its layers gave up in arithmetic,
/// and what they got for it in time. A layer that stayed on the step that it stood on got nothing.
#pragma once

#include "tailor/base/json.h"
#include "tailor/base/units.h"
#include "tailor/latency/oracle.h"
#include "tailor/pipeline/surgery.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::pipeline {

/// What a layer got for fewer multiply-accumulates. same: it gave up less than 2 %. nothing: its time did not surely fall by
/// 2 %. partly: it fell by less than half of what the arithmetic did. slower: it surely rose by 2 %.
enum class Gained { same, paid, partly, nothing, slower };
const char* name(Gained gained);

/// Widths of a layer's output that cost what the present one does, and the next narrower one that costs less.
struct WidthRange {
  int narrowest = 0, widest = 0;
  std::optional<int> next = {};
  double next_share = 0;  // of the layer's time that `next` saves
};

struct BaseLayer {
  int layer = 0;     // index into Subject::layers of the present model
  std::string name;  // there
  latency::Workload before, after;
  latency::Estimate before_us, after_us;  // of the layer alone
  Gained gained = Gained::same;
  std::optional<WidthRange> step = {};  // where fewer outputs brought nothing
  std::string why = {};                 // in words

  double macs_ratio() const;
  double us_ratio() const;
};

struct BaseComparison {
  std::filesystem::path base;
  std::string sha256;
  How how = How::measured;
  double network_ratio = 1;  // latency of the present network over the base's
  double macs_ratio = 1;     // of all their layers
  std::vector<BaseLayer> layers =
      {};            // that were found in both and can be timed alone, in the present model's order
  int unpaired = 0;  // layers of the present model without one in the base, or that cannot be timed

  int count(Gained gained) const;
};

/// Layers of both by the names of their nodes; where fewer than half of the names are in both, by their order, if both have
/// as many layers of the same operators; else none. (index in base, index in present), by the latter. O(layers log layers)
std::vector<std::pair<int, int>> paired_layers(const Subject& base, const Subject& present);

/// The base as it is read; nullopt for an empty path. @throws Error as read_subject; unknown_name if they are not
/// of one kind: no paired_layers
std::optional<Subject> base_of(const Subject& present, const std::filesystem::path& base);

/// @param network_ratio as found by whoever can time whole networks; nullopt: that of the sums of layers
/// @throws Error as the oracle
BaseComparison compare_with_base(const Subject& base, const Subject& present, latency::LatencyOracle& oracle,
                                 How how, std::optional<double> network_ratio = std::nullopt);

/// {"model", "sha256", "how", "network_ratio", "macs_ratio", "unpaired", "layers": [...]}
Json to_json(const BaseComparison& comparison);

}  // namespace tailor::pipeline
