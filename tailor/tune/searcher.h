/// \file Which configuration to try next.
///
/// A decision follows from the seed, what was told, in its order, and what is on its way. So telling a fresh searcher the
/// trials of a file puts it where the one that was killed stood.
#pragma once

#include "tailor/tune/prior.h"
#include "tailor/tune/space.h"
#include "tailor/tune/trial.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::tune {

class Searcher {
 public:
  virtual ~Searcher() = default;
  /// The next configuration: allowed, never asked and never told before. Nothing once all have been. Several may be
  /// asked before the first is told; the searcher knows that they are on their way.
  virtual std::optional<Configuration> ask() = 0;
  /// What became of a configuration, asked or not. One told twice replaces what was known.
  virtual void tell(const Trial& trial) = 0;
  /// The share of the best time that the trial asked last was expected to save; nothing where no model decided it.
  virtual std::optional<double> expected_gain() { return std::nullopt; }
  /// Remarks for people, such as why a prior was dropped; "" if there are none.
  virtual std::string remark() const { return {}; }
};

/// In lexicographic order.
std::unique_ptr<Searcher> search_exhaustively(const Space& space);
/// Evenly, without repetition.
std::unique_ptr<Searcher> search_at_random(const Space& space, std::uint64_t seed);

struct EvolutionOptions {
  int first = 20;      // drawn evenly before the first child
  int parents = 16;    // the best that have children
  double rate = 0.15;  // of values that come from no parent
};
/// A steady-state genetic algorithm (Whitley, ICGA 1989): the better of two drawn from the best, twice, uniform
/// crossover, mutation; every child is allowed by construction.
std::unique_ptr<Searcher> search_by_evolution(const Space& space, std::uint64_t seed,
                                              const EvolutionOptions& options = {});

struct ModelOptions {
  int first = 10;         // spread over the space before the model decides; none with a prior
  int candidates = 300;   // drawn evenly for each decision, beside the neighbours of the best
  int climbs = 4;         // candidates from which expected improvement is climbed, neighbour by neighbour
  int most_points = 300;  // that the model learns from: the best half and the newest
};
/// A Gaussian process (surrogate.h) over the logarithm of the time and the configuration of greatest expected
/// improvement (Jones, Schonlau, Welch 1998), climbed from the best candidates (as SMAC does: Hutter, Hoos,
/// Leyton-Brown 2011). What was asked and not yet told is believed to come out as predicted (kriging believer:
/// Ginsbourger et al. 2010). Failed trials count as slow as the slowest that succeeded. One decision costs
/// O(points^3 + candidates x points^2).
/// @param prior what is known from elsewhere; the model learns the difference to it, and drops it where the trials
/// contradict it (remark() says so)
std::unique_ptr<Searcher> search_by_model(const Space& space, std::uint64_t seed,
                                          const ModelOptions& options = {},
                                          std::optional<Prior> prior = std::nullopt);

/// "exhaustive", "random", "evolution" or "model". @throws Error unknown_name
std::unique_ptr<Searcher> make_searcher(std::string_view name, const Space& space, std::uint64_t seed);

}  // namespace tailor::tune
