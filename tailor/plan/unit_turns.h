/// \file Units that take turns: one way to compute each step of a network, where handing a value over is a step of its own.
///
/// The precisions of a processor are such units: only one works at a time, so a layer goes to one of them as a whole, and a
/// value that was made in one format and is read in another is converted in between, once for each format that anybody
/// reads. The price of a value depends on the step that makes it and on all that read it; with a variable per value and
/// format ("somebody reads it so") that is a sum over pairs, which the width planner (width_planner.h) solves exactly.
#pragma once

#include "tailor/plan/problem.h"
#include "tailor/plan/width_planner.h"

#include <string>
#include <vector>

namespace tailor::plan {

/// A way to compute a step: a unit with the formats that it reads and writes there.
struct Way {
  std::string name;
  int reads = 0, writes = 0;  // formats; a residual is read in the format that is written
  double cost = 0;            // of the step alone
  double loss = 0;
};

struct Reading {
  int value = 0;
  bool residual = false;
};

struct TurnStep {
  std::string name;
  std::vector<Way> ways;  // at least one
  std::vector<Reading> reads;
  int writes = 0;  // a value
};

/// What lies between steps.
struct TurnValue {
  /// Cost by format made, then format read; 0 where both are the same. Infinite: there is no such conversion.
  std::vector<std::vector<double>> conversion;
  int given = -1;     // format in which it comes where no step makes it
  int asked = -1;     // format in which it is wanted at the end; -1: nobody wants it then
  bool free = false;  // no step makes it, and it is there in whatever format is read
};

struct TurnProblem {
  int formats = 1;
  std::vector<TurnStep> steps;    // in the order in which they run
  std::vector<TurnValue> values;  // each made by one step at most, before those that read it
};

/// A conversion that a choice of ways needs.
struct Conversion {
  int value = 0, from = 0, to = 0;
  friend auto operator<=>(const Conversion&, const Conversion&) = default;
};
/// In the order of values, then formats; each once. @param choice a way per step. O(readings x formats)
std::vector<Conversion> conversions(const TurnProblem& problem, const std::vector<int>& choice);

/// Costs of the chosen ways and of their conversions, and the sum of losses.
Cost evaluate(const TurnProblem& problem, const std::vector<int>& choice);

/// The same as a problem of the planner; its first variables are the steps.
Problem as_problem(const TurnProblem& problem);

/// The front over all choices, as plan_widths; a point's choice is a way per step.
/// @throws Error bug if sizes do not fit
Front plan_turns(const TurnProblem& problem, const PlannerOptions& options = {});

}  // namespace tailor::plan
