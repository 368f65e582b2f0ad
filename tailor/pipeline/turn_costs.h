/// \file What each step costs on each unit that takes turns: measured in whole networks, where it is.
///
/// A layer alone does not find its operands in the caches where a network has left them, so layers are not timed alone:
/// whole networks are, layer by layer, in turns with each other: everything on one unit, everything on one unit that gives
/// f32, and units in alternation, whose values have to be converted in between.
#pragma once

#include "tailor/pipeline/turn_network.h"
#include "tailor/runtime/runner.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Layers that the library refuses on a unit, and its words about the first of them.
struct Refusal {
  int unit = 0;
  int layers = 0, of = 0;
  std::string why;
};
/// Asks for every way of every step once and takes those away that are refused.
/// @throws Error runtime_refused for a step that even f32 is refused for
std::vector<Refusal> drop_refused(runtime::Runner& runner, TurnNetwork& network,
                                  const std::function<void(double)>& progress);

/// A network of those that were measured, and what the sum of its parts makes of it.
struct Additivity {
  std::string name;
  double summed_us = 0, measured_us = 0;  // medians; the latter with no clock read in between
};

/// Whole runs of one choice: undisturbed ones, and one per round.
struct WholeRuns {
  std::vector<double> us, round_us;
};

/// Indices of the runs whose time lies between the quartiles of all: what is typical, without the machine's moods. All of them
/// where none lies there (two runs).
std::vector<std::size_t> typical_runs(const std::vector<double>& run_us);

struct TurnCosts {
  std::vector<Additivity> networks;
  int parts = 0, alone = 0;      // costs, and how many of them were met in no network and timed alone
  std::vector<WholeRuns> asked;  // of the choices that were asked for
};
/// Fills the costs of network.problem. Of each network those runs count whose time lies between its quartiles, and a part
/// costs their mean, so that parts add up to runs; of a part that several networks have, the mean of theirs.
/// @param asked choices that take turns with those networks; no cost comes from them
/// @param seconds of timing, about @throws Error as Runner::ask
TurnCosts measure_turns(runtime::Runner& runner, TurnNetwork& network,
                        const std::vector<std::vector<int>>& asked, double seconds,
                        const std::function<void(double)>& progress);

/// A choice with every step on one unit that can be computed there, the rest in f32; all in f32 for f32's own.
std::vector<int> all_on(const TurnNetwork& network, int unit);

}  // namespace tailor::pipeline
