/// \file What a layer costs on the units of a platform: cycles of each cost model, and energy.
///
/// All numbers are modelled. The models and their constants are published ones: DIANA and Darkside from the
/// search code of ODiMO (arXiv:2306.05060, 2409.18566), GAP8, NE16 and MPIC from PLiNIO. The files under
/// devices/platforms name the source of every constant.
#pragma once

#include "tailor/device/platform.h"
#include "tailor/latency/workload.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace tailor::latency {

/// A way to compute a channel: unit and format of the weights there.
struct UnitChoice {
  int unit = 0, format = 0;  // indices into Platform::units and Unit::weights
  friend bool operator==(const UnitChoice&, const UnitChoice&) = default;
};

/// All ways, unit by unit, formats in their order.
std::vector<UnitChoice> unit_choices(const device::Platform& platform);
/// "analog", or "ne16 int4" where the unit has several formats.
std::string name(const device::Platform& platform, UnitChoice choice);

/// Cost of what a unit cannot compute.
inline constexpr double kCannot = std::numeric_limits<double>::infinity();

/// Depthwise: each output channel reads one input channel of its own.
bool is_depthwise(const Workload& workload);

/// Cycles for `channels` of the output channels of `workload`; 0 for none, kCannot where the unit has no
/// operation for it. Never decreasing in `channels`. A depthwise layer reads as many input channels; a layer
/// with other groups is possible as a whole only.
/// @pre 0 <= channels <= workload.oc
double cycles(const device::Platform& platform, UnitChoice choice, const Workload& workload,
              std::int64_t channels);

/// What the cost model "blocks" counts of a layer whose channels are computed in blocks.
struct BlockWork {
  double macs = 0, depthwise_macs = 0;  // multiply-accumulates, blocks filled up
  double elements = 0;                  // of operands and result, each once
};
BlockWork block_work(const Workload& workload, double outputs, double inputs);

/// Energy of units that begin together and work for `unit_cycles`, until the last one ends: each stretch of
/// time costs the power of exactly the units that work then (Platform::together where it says so, else the
/// sum) and the idle power of the others. Microjoules. O(units^2)
/// @pre platform.knows_power(); one entry per unit
double energy_uj(const device::Platform& platform, std::span<const double> unit_cycles);

/// The largest entry.
double makespan(std::span<const double> unit_cycles);

}  // namespace tailor::latency
