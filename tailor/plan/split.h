/// \file One layer over several units: the exact trade of cost against loss over all splits of its channels.
///
/// A channel can go to one of several options (a unit with a format of weights), each with a loss of its own;
/// an option's time is a staircase in how many channels it gets. For given numbers of channels the best
/// channels are a transportation problem, solved exactly by successive shortest paths over the options (with
/// two options: the channels that suffer least go); all numbers are gone through. The problem is that of ODiMO
/// (arXiv:2306.05060), which searches it by training.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tailor::plan {

struct SplitOption {
  int unit = 0;  // options of one unit run one after the other, units side by side
  std::vector<double>
      cycles;                // channels + 1 entries: of 0 .. all channels, never decreasing; infinite: cannot
  std::vector<double> loss;  // of each channel, if it goes here
};

struct SplitProblem {
  int channels = 0, units = 1;
  std::vector<SplitOption> options;  // at least one
  bool whole = false;                // all channels go to one option
  /// What a split costs, from the cycles of each unit. @pre never decreasing in any of them
  std::function<double(std::span<const double>)> cost;
};

/// How many channels each option gets.
struct Split {
  std::vector<int> counts;          // per option
  std::vector<double> unit_cycles;  // per unit
  double cost = 0, loss = 0;        // loss: least over all choices of channels
};

struct SplitOptions {
  /// Only splits that no other one beats in cost and loss; false: all of them, where something else (the
  /// price of handing over activations) depends on the numbers too.
  bool pareto = true;
  /// Beyond this many splits, numbers are thinned to a grid, and the result says so. Two options need
  /// channels + 1.
  std::size_t most = 20000;
};

struct Splits {
  std::vector<Split> splits;  // by rising cost, then falling loss
  int step = 1;               // numbers of channels are multiples of it (or all that are left); 1: exact
};

/// Splits that are possible. Empty if no option can compute the layer.
/// O(splits x options! x channels): with two options channels^2 at most.
/// @throws Error bug if sizes do not fit
Splits find_splits(const SplitProblem& problem, const SplitOptions& options = {});

/// The option of each channel: of all choices with these counts one of least loss. O(channels^2 x options!).
/// @pre counts sum up to the channels
std::vector<int> assign_channels(const SplitProblem& problem, const std::vector<int>& counts);

/// The split with these counts, whatever it costs (infinite where an option cannot). @pre as assign_channels
Split split_with(const SplitProblem& problem, const std::vector<int>& counts);

/// Channels that may be in an option at no cost, because the others set the pace.
struct FreeChannels {
  int option = 0;           // which option they may go to
  int least = 0, most = 0;  // channels that it may have in splits of the least cost: most - least are free
  double cost = 0;          // of all of them
  double at_most = 0;       // cycles of the option's unit with `most` channels
  double next = 0;          // and with one more; infinite if there is none
  double limit = 0;         // cycles of the slowest other unit with `most` channels there
};
/// Of splits made by find_splits with pareto = false: what is free for `option` at the least cost.
/// @pre splits not empty
FreeChannels free_channels(const SplitProblem& problem, const Splits& splits, int option);

}  // namespace tailor::plan
