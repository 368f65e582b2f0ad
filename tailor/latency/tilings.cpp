// Splits of each dimension -> branch and bound over their combinations. A node of the search is a tiling of some of the
// dimensions. The others lie whole inside when it is priced, and are 1 when its sizes are looked at: both only grow
// further down.
#include "tailor/latency/tilings.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dimension;
using device::PerDimension;

double rounded_up(double a, double b) { return std::ceil(a / b); }

// Bounds of one dimension, by Level.
using Split = std::array<double, 4>;

double turns_of(const Split& split) {
  return split[static_cast<std::size_t>(Level::dram)] * split[static_cast<std::size_t>(Level::buffer)] *
         split[static_cast<std::size_t>(Level::registers)];
}
double over_array(const Split& split) { return split[static_cast<std::size_t>(Level::array)]; }

void put(Tiling& tiling, Dimension d, const Split& split) {
  for (Level level : kLevels) tiling.at(level, d) = split[static_cast<std::size_t>(level)];
}

// Splits of one dimension that fit beside 1 of every other dimension and of which no bound can be smaller.
class Splits {
 public:
  Splits(const Accelerator& a, const LayerLoops& layer, Dimension d, const TilingLimits& limits)
      : accelerator_(a), layer_(layer), dimension_(d), extent_(layer.extent[d]), limits_(limits) {
    levels_ = levels_of(a.dataflow, d);
    split_.fill(1);
  }
  std::vector<Split> all() {
    add(levels_.size(), extent_);
    if (found_.size() <= limits_.splits) return std::move(found_);
    found_.clear(), coarse_ = true;
    add(levels_.size(), extent_);
    return std::move(found_);
  }
  bool coarse() const { return coarse_; }

 private:
  double& bound(std::size_t i) { return split_[static_cast<std::size_t>(levels_[i])]; }

  bool fits_alone() const {
    Tiling tiling;
    put(tiling, dimension_, split_);
    return fits(accelerator_, nest_sizes(accelerator_, layer_, tiling));
  }
  // Rounding up twice may leave room.
  bool is_tight() const {
    double product = 1;
    for (double one : split_) product *= one;
    return std::all_of(split_.begin(), split_.end(),
                       [&](double one) { return one == 1 || product / one * (one - 1) < extent_; });
  }
  // Levels below `open` are yet to be given bounds, which must cover `rest`; the innermost one comes first.
  void add(std::size_t open, double rest) {
    if (!coarse_ && found_.size() > limits_.splits) return;
    if (open == 0) {
      if (rest == 1 && (coarse_ || is_tight()) && fits_alone()) found_.push_back(split_);
      return;
    }
    if (open == 1) {
      bound(0) = rest;
      add(0, 1);
      bound(0) = 1;
      return;
    }
    for (double b = 1; b <= rest; b = next(b, rest)) {
      bound(open - 1) = b;
      if (b > 1 && !fits_alone()) break;
      add(open - 1, rounded_up(rest, b));
      if (!coarse_ && found_.size() > limits_.splits) break;
    }
    bound(open - 1) = 1;
  }
  // The next bound with fewer turns outside.
  double next(double b, double rest) const {
    if (coarse_) return 2 * b;
    const double turns = rounded_up(rest, b);
    return turns == 1 ? rest + 1 : rounded_up(rest, turns - 1);
  }

  const Accelerator& accelerator_;
  const LayerLoops& layer_;
  Dimension dimension_;
  double extent_;
  const TilingLimits& limits_;
  std::vector<Level> levels_;
  Split split_;
  std::vector<Split> found_;
  bool coarse_ = false;
};

bool limits_bandwidth(const Accelerator& a) {
  const auto limited = [](const auto& one) { return one.bytes_per_cycle > 0; };
  return limited(a.dram) || limited(a.unicast) || limited(a.multicast) || limited(a.forward) ||
         std::any_of(a.buffers.begin(), a.buffers.end(), limited) ||
         std::any_of(a.registers.begin(), a.registers.end(), limited);
}

// What is to be small, then what decides between equals.
using Value = std::pair<double, double>;

enum class Goal { latency, energy, product, cycles_alone };

Value value_of(Goal goal, double cycles, double pj) {
  switch (goal) {
    case Goal::latency:
      return {cycles, pj};
    case Goal::energy:
      return {pj, cycles};
    case Goal::product:
      return {cycles * pj, cycles};
    case Goal::cycles_alone:
      break;
  }
  return {cycles, 0};
}

class Search {
 public:
  Search(const Accelerator& a, const LayerLoops& layer, Goal goal, const TilingLimits& limits)
      : accelerator_(a), layer_(layer), goal_(goal), limits_(limits) {
    for (Dimension d : device::kDimensions) {
      Splits splits(a, layer, d, limits);
      dimensions_.push_back({d, splits.all()});
      exact_ = exact_ && !splits.coarse();
      const std::vector<Level> levels = levels_of(a.dataflow, d);
      over_array_[d] = std::find(levels.begin(), levels.end(), Level::array) != levels.end();
    }
    has_bandwidths_ = limits_bandwidth(a);
    std::stable_sort(dimensions_.begin(), dimensions_.end(), [](const auto& l, const auto& r) {
      return (l.splits.size() > 1 ? l.splits.size() : 0) < (r.splits.size() > 1 ? r.splits.size() : 0);
    });
  }

  std::optional<BestTiling> run() {
    descend(0, root());
    if (!best_) return std::nullopt;
    return BestTiling{*best_, nest_cost(accelerator_, layer_, *best_), looked_at_, exact_};
  }

 private:
  struct Choices {
    Dimension dimension;
    std::vector<Split> splits;
  };
  struct Child {
    Value bound;
    const Split* split;
  };
  // `tiling` has the dimensions that are cut, the others are 1; in `whole` the others lie inside.
  struct Node {
    Tiling tiling, whole;
    double turns = 1, pes = 1;                 // of the dimensions that are cut
    double rest_turns = 1, rest_anywhere = 1;  // of the others: without and with a loop over the array
  };

  Node root() const {
    Node node;
    node.turns = layer_.groups;
    for (Dimension d : device::kDimensions) {
      node.whole.at(Level::inside, d) = layer_.extent[d];
      (over_array_[d] ? node.rest_anywhere : node.rest_turns) *= layer_.extent[d];
    }
    return node;
  }

  void open(Node& node, Dimension d) const {
    node.whole.at(Level::inside, d) = 1;
    (over_array_[d] ? node.rest_anywhere : node.rest_turns) /= layer_.extent[d];
  }

  // Turns of a node's loops, and of what the rest needs at least on the PEs that are left.
  double least_turns(const Node& node, const Split& split) const {
    const double turns = node.turns * node.rest_turns * turns_of(split);
    return turns * std::max(1.0, node.rest_anywhere /
                                     std::floor(accelerator_.pes() / (node.pes * over_array(split))));
  }

  // Of all tilings below the node with the split. Where cycles alone count, bytes do only against a bandwidth.
  Value bound(const Node& node, Dimension dimension, const Split& split) {
    const double turns = least_turns(node, split);
    if (goal_ == Goal::cycles_alone && !has_bandwidths_) return {turns, 0};
    Tiling whole = node.whole;
    put(whole, dimension, split);
    const NestCost cost = nest_cost(accelerator_, layer_, whole);
    return value_of(goal_, std::max(cost.cycles, turns), cost.pj);
  }

  bool is_late(const Node& node, const Split& split) const {
    const bool by_cycles = goal_ == Goal::latency || goal_ == Goal::cycles_alone;
    return best_ && by_cycles && least_turns(node, split) > value_.first;
  }

  std::vector<Child> children(const Node& node, const Choices& choices) {
    std::vector<Child> children;
    Tiling tiling = node.tiling;
    for (const Split& split : choices.splits) {
      if (++looked_at_ > limits_.looked_at && !children.empty()) {
        exact_ = false;
        break;
      }
      if (is_late(node, split)) continue;
      put(tiling, choices.dimension, split);
      if (!fits(accelerator_, nest_sizes(accelerator_, layer_, tiling))) continue;
      const Value least = bound(node, choices.dimension, split);
      if (!best_ || least < value_) children.push_back({least, &split});
    }
    std::stable_sort(children.begin(), children.end(),
                     [](const Child& l, const Child& r) { return l.bound < r.bound; });
    return children;
  }

  void descend(std::size_t cut, Node node) {
    const Choices& choices = dimensions_[cut];
    open(node, choices.dimension);
    for (const Child& child : children(node, choices)) {
      if (best_ && !(child.bound < value_)) return;
      Node next = node;
      put(next.tiling, choices.dimension, *child.split), put(next.whole, choices.dimension, *child.split);
      next.turns *= turns_of(*child.split), next.pes *= over_array(*child.split);
      if (cut + 1 == dimensions_.size())
        best_ = next.tiling, value_ = child.bound;
      else
        descend(cut + 1, next);
      if (looked_at_ > limits_.looked_at && best_) {
        exact_ = false;
        return;
      }
    }
  }

  const Accelerator& accelerator_;
  const LayerLoops& layer_;
  Goal goal_;
  const TilingLimits& limits_;
  std::vector<Choices> dimensions_;
  PerDimension<bool> over_array_ = {};
  bool has_bandwidths_ = false;
  std::optional<Tiling> best_;
  Value value_;
  std::int64_t looked_at_ = 0;
  bool exact_ = true;
};

Goal goal_of(Objective objective) {
  return objective == Objective::latency  ? Goal::latency
         : objective == Objective::energy ? Goal::energy
                                          : Goal::product;
}

}  // namespace

Objective parse_objective(std::string_view text) {
  if (text == "latency") return Objective::latency;
  if (text == "energy") return Objective::energy;
  if (text == "product") return Objective::product;
  throw Error(Code::unknown_name, fmt::format("there is no objective '{}'", text), "--objective",
              "latency, energy or product");
}

std::optional<BestTiling> best_tiling(const Accelerator& accelerator, const LayerLoops& layer,
                                      Objective objective, const TilingLimits& limits) {
  return Search(accelerator, layer, goal_of(objective), limits).run();
}

std::optional<double> least_cycles(const Accelerator& accelerator, const LayerLoops& layer,
                                   const TilingLimits& limits) {
  const std::optional<BestTiling> best = Search(accelerator, layer, Goal::cycles_alone, limits).run();
  return best ? std::optional(best->cost.cycles) : std::nullopt;
}

std::vector<std::string> why_nothing_fits(const Accelerator& accelerator, const LayerLoops& layer) {
  Tiling tiling;
  for (Dimension d : device::kDimensions) {
    const std::vector<Level> levels = levels_of(accelerator.dataflow, d);
    if (!levels.empty()) tiling.at(levels.front(), d) = layer.extent[d];
  }
  return misfits(accelerator, layer, tiling);
}

}  // namespace tailor::latency
