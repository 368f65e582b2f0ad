/// \file The cost model "blocks" of a unit (platform_cost.h) from a few measured layers, and how far it is off on layers
/// that it has not seen.
///
/// Given the sizes of its blocks the model is linear in four numbers that are not negative (a start, and what a product, a
/// depthwise product and an element cost), so those come from least squares of the relative errors, tried on all sixteen
/// sets of numbers that may be zero; the blocks themselves from a grid. Weighted once more by the first errors, so that one
/// bad timing does not bend the rest (iteratively reweighted least squares; Holland and Welsch 1977).
#pragma once

#include "tailor/latency/workload.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace tailor::latency {

struct LayerTiming {
  Workload workload;
  double us = 0;
};

/// Relative errors, absolute ones: 0.1 is 10 %.
struct RelativeError {
  std::size_t layers = 0;
  double median = 0, p90 = 0, most = 0;
};

struct UnitFit {
  std::map<std::string, double> parameters;  // of the cost model "blocks"
  RelativeError fitted, held_out;
};

/// Cycles by those parameters, in microseconds at `frequency_mhz`.
double predict_us(const std::map<std::string, double>& parameters, const Workload& workload,
                  double frequency_mhz);
RelativeError error_of(const std::map<std::string, double>& parameters, std::span<const LayerTiming> timings,
                       double frequency_mhz);

/// On all timings; the error of the rest by fits on four fifths of them each, predicting the fifth.
/// O(blocks tried x timings). @throws Error bad_value for fewer than 10 timings, or times that are not positive
UnitFit fit_unit(std::span<const LayerTiming> timings, double frequency_mhz);

}  // namespace tailor::latency
