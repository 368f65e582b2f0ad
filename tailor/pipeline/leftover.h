/// \file The part of a network's latency that its layers, timed one by one, do not explain.
///
/// It depends on how layers fit together, and that on the few widths that many layers share (the streams of a
/// residual network): a stream that is no multiple of the runtime's block costs a change of layout at every layer
/// that touches it. So it is learned from measured choices, for each choice of these *hubs* by itself.
#pragma once

#include "tailor/plan/width_planner.h"

#include <map>
#include <vector>

namespace tailor::pipeline {

/// A choice, and the front that it was taken from: points up to the budget, by rising latency.
struct Chosen {
  plan::Point point;
  std::vector<plan::Cost> front;
};

class Leftover {
 public:
  /// @param us what is assumed where nothing was measured yet
  Leftover(const plan::Problem& problem, double us);

  double at(const std::vector<int>& choice) const;
  /// A choice was measured and took this much longer than its layers. The first lesson is also what is assumed for
  /// hubs that were not measured.
  void learn(const std::vector<int>& choice, double us);

  /// The point of `problem` that loses least among those whose layers and leftover take at most `budget_us`; the
  /// fastest one if there is none. One plan per choice of hubs that is known, and one for the others.
  Chosen choose(const plan::Problem& problem, double budget_us) const;

  const std::vector<int>& hubs() const { return hubs_; }

 private:
  std::vector<int> key(const std::vector<int>& choice) const;

  std::vector<int> hubs_;  // variables that more than eight factors depend on
  std::map<std::vector<int>, double> known_;
  double otherwise_;
};

}  // namespace tailor::pipeline
