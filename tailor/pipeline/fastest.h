/// \file As fast as a limit of accuracy allows: ever smaller steps towards it.
#pragma once

#include "tailor/pipeline/rounds.h"

#include <functional>
#include <string>

namespace tailor::pipeline {

/// What the search is made of. Each may take minutes.
struct FastestSteps {
  /// Searches on from what was found to `share` of its latency (0..1).
  std::function<Searched(const Searched& from, double share)> search;
  /// The same decisions with a repair that takes longer and loses less. Absent: there is none.
  std::function<Searched(const Searched&)> refine = {};
  /// Points that a model loses; what the limit is about.
  std::function<double(const graph::Model&)> drop;
  std::function<void(const std::string&)> say = {};  // one line per step
};

/// Steps of 15 % of the latency, halved wherever too much is lost, until they are below 1.5 %. The accuracy of a small change
/// is a toss of a few samples, so what misses the limit by at most 0.3 points is followed a little further. The long repair is
/// for what is lost without it, and for the result.
/// @return the fastest that loses at most `limit` points; `original` with nothing decided if there is none
Searched search_fastest(const graph::Model& original, double limit, const FastestSteps& steps);

}  // namespace tailor::pipeline
