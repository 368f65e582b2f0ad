/// \file A set of configurations as a layered graph: one level per parameter, one edge per value that some
/// configuration of the set takes from there on.
///
/// Nodes of a level are shared when the values chosen so far that later conditions still read are the same (a
/// multi-valued decision diagram; Srinivasan et al., ICCAD 1990). So a space of 10^12 configurations is counted, indexed
/// and sampled evenly without ever being listed; compare the trees of trees of ATF (Rasch et al., TACO 2021).
#pragma once

#include "tailor/base/random.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace tailor::tune {

/// One place in the list of values per parameter.
using Configuration = std::vector<int>;

/// A condition on some parameters. It is asked only when all that it reads are chosen; others hold any value then.
struct Rule {
  std::vector<int> reads;  // ascending, not empty
  std::function<bool(const Configuration&)> holds;
};

class Diagram {
 public:
  Diagram() = default;
  /// All configurations that every rule allows. Values are tried in order, conditions as early as possible.
  /// @param sizes number of values of each parameter, at least one each
  /// @throws Error bad_space: more than 2^62 configurations, or conditions that tie parameters so that more than
  /// 400,000 nodes would be needed
  static Diagram of_rules(std::vector<int> sizes, const std::vector<Rule>& rules);
  /// The configurations of a list, in lexicographic order; doubles count once. O(list)
  static Diagram of_list(std::vector<int> sizes, std::vector<Configuration> list);

  std::uint64_t count() const { return root_ < 0 ? 0 : nodes_[static_cast<std::size_t>(root_)].count; }
  /// The configuration of that number, in lexicographic order. @pre index < count()
  Configuration at(std::uint64_t index) const;
  /// Its number; nothing if it is not in the set. O(parameters)
  std::optional<std::uint64_t> index_of(const Configuration& configuration) const;
  /// A path from the top: `choose(level, values)` picks one of the values that lead somewhere. @pre count() > 0
  Configuration walk(const std::function<int(int, const std::vector<int>&)>& choose) const;

  std::size_t node_count() const { return nodes_.size(); }

 private:
  struct Node {
    std::uint64_t count = 0;
    std::vector<int> child;  // per value: node, kEnd after the last level, or -1: nothing there
  };
  class Builder;
  std::uint64_t count_below(int child) const;

  std::vector<int> sizes_;
  std::vector<Node> nodes_;
  int root_ = -1;
};

}  // namespace tailor::tune
