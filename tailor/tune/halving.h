/// \file Successive halving of measurements: many configurations get a few samples, the faster half twice as many, and
/// so on (Jamieson, Talwalkar, AISTATS 2016; Karnin, Koren, Somekh, ICML 2013).
#pragma once

#include "tailor/tune/diagram.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace tailor::tune {

struct HalvingOptions {
  int first = 3;           // samples of everyone in the first round; each later round takes twice as many
  int finalists = 4;       // at this number halving ends
  int last = 20;           // samples that each finalist has at the end, at least
  std::uint64_t seed = 0;  // of the order in a round
};

/// One configuration and all its samples, in microseconds.
struct Contender {
  Configuration configuration;
  std::vector<double> us;
  /// The least sample: on a clock of one thread noise only adds. Infinite without samples.
  double time() const;
};

/// So many more samples of a configuration; fewer or none if it fails.
using Measure = std::function<std::vector<double>(const Configuration&, int samples)>;

/// All contenders with the samples they got, those that came farthest first, and among equals the faster first. Who
/// fails leaves the contest with what he has. Samples asked in total: at most count x first x (1 + log2(count)) and
/// what finalists still lack.
/// @pre options.first, finalists and last are positive
std::vector<Contender> halve(const std::vector<Configuration>& configurations, const Measure& measure,
                             const HalvingOptions& options = {});

}  // namespace tailor::tune
