// Assignment holds the best channels for some counts and moves one channel from an option to another along the
// cheapest path of exchanges, which keeps it the best (successive shortest paths; Ahuja, Magnanti, Orlin,
// "Network Flows", 1993, ch. 9). Walk goes through all counts, starting with every channel in the last
// option: option by option, one move at a time. Then the splits are sorted and what is beaten goes.
#include "tailor/plan/split.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Assignment {
 public:
  Assignment(const SplitProblem& problem, int option)
      : problem_(problem), option_of_(static_cast<std::size_t>(problem.channels), option) {}

  double loss() const {
    double sum = 0;
    for (std::size_t c = 0; c < option_of_.size(); ++c) sum += loss_of(c, option_of_[c]);
    return sum;
  }
  const std::vector<int>& options() const { return option_of_; }

  // One channel less in `from`, one more in `to`; others may change places. @pre from != to, `from` has one
  void move(int from, int to) {
    find_exchanges();
    best_ = kInfinity;
    std::vector<int> path{from};
    extend(path, to, 0);
    for (std::size_t i = 0; i + 1 < best_path_.size(); ++i)
      option_of_[exchange(best_path_[i], best_path_[i + 1]).channel] = best_path_[i + 1];
  }

 private:
  struct Exchange {
    double price = kInfinity;
    std::size_t channel = 0;
  };
  std::size_t count() const { return problem_.options.size(); }
  double loss_of(std::size_t channel, int option) const {
    return problem_.options[static_cast<std::size_t>(option)].loss[channel];
  }
  const Exchange& exchange(int from, int to) const {
    return exchanges_[static_cast<std::size_t>(from) * count() + static_cast<std::size_t>(to)];
  }

  // For each pair of options the channel that changes over most cheaply.
  void find_exchanges() {
    exchanges_.assign(count() * count(), {});
    for (std::size_t c = 0; c < option_of_.size(); ++c) {
      auto from = static_cast<std::size_t>(option_of_[c]);
      for (std::size_t to = 0; to < count(); ++to) {
        double price = problem_.options[to].loss[c] - problem_.options[from].loss[c];
        Exchange& known = exchanges_[from * count() + to];
        if (price < known.price) known = {price, c};
      }
    }
  }

  // Simple paths only: the exchanges along one never touch a channel twice.
  void extend(std::vector<int>& path, int to, double price) {
    int at = path.back();
    if (at == to) {
      if (price < best_) best_ = price, best_path_ = path;
      return;
    }
    for (int next = 0; next < static_cast<int>(count()); ++next) {
      if (std::find(path.begin(), path.end(), next) != path.end()) continue;
      double step = exchange(at, next).price;
      if (step == kInfinity) continue;
      path.push_back(next);
      extend(path, to, price + step);
      path.pop_back();
    }
  }

  const SplitProblem& problem_;
  std::vector<int> option_of_;  // of each channel
  std::vector<Exchange> exchanges_;
  std::vector<int> best_path_;
  double best_ = kInfinity;
};

double cycles_of(const SplitProblem& problem, std::size_t option, int channels) {
  return problem.options[option].cycles[static_cast<std::size_t>(channels)];
}

Split price(const SplitProblem& problem, std::vector<int> counts, double loss) {
  Split split{std::move(counts), std::vector<double>(static_cast<std::size_t>(problem.units)), 0, loss};
  for (std::size_t o = 0; o < problem.options.size(); ++o)
    split.unit_cycles[static_cast<std::size_t>(problem.options[o].unit)] +=
        cycles_of(problem, o, split.counts[o]);
  bool possible = std::all_of(split.unit_cycles.begin(), split.unit_cycles.end(),
                              [](double cycles) { return std::isfinite(cycles); });
  split.cost = possible ? problem.cost(split.unit_cycles) : kInfinity;
  return split;
}

double loss_in(const SplitOption& option) {
  return std::accumulate(option.loss.begin(), option.loss.end(), 0.0);
}

// Everything in one option.
std::vector<Split> whole_splits(const SplitProblem& problem) {
  std::vector<Split> splits;
  for (std::size_t o = 0; o < problem.options.size(); ++o) {
    std::vector<int> counts(problem.options.size());
    counts[o] = problem.channels;
    Split split = price(problem, std::move(counts), loss_in(problem.options[o]));
    if (std::isfinite(split.cost)) splits.push_back(std::move(split));
  }
  return splits;
}

// Splits with numbers that are multiples of `step`: how many.
double splits_with(int channels, std::size_t options, int step) {
  double grid = std::ceil(static_cast<double>(channels) / step) + 1, product = 1;
  for (std::size_t o = 1; o < options; ++o)
    product *= (grid + static_cast<double>(o) - 1) / static_cast<double>(o);
  return product;
}

class Walk {
 public:
  Walk(const SplitProblem& problem, int step)
      : problem_(problem), step_(step), counts_(problem.options.size()), last_(problem.options.size() - 1) {
    counts_[last_] = problem.channels;
    visit(0, Assignment(problem, static_cast<int>(last_)));
  }
  std::vector<Split> splits;

 private:
  // Options before `option` have their numbers; what is left lies in the last one.
  void visit(std::size_t option, Assignment state) {
    if (option == last_) {
      Split split = price(problem_, counts_, state.loss());
      if (std::isfinite(split.cost)) splits.push_back(std::move(split));
      return;
    }
    const int left = counts_[last_];
    for (int here = 0;;) {
      counts_[option] = here, counts_[last_] = left - here;
      visit(option + 1, state);
      int more = std::min(step_, left - here);
      if (more == 0) break;
      for (int i = 0; i < more; ++i) state.move(static_cast<int>(last_), static_cast<int>(option));
      here += more;
    }
    counts_[option] = 0, counts_[last_] = left;
  }

  const SplitProblem& problem_;
  int step_;
  std::vector<int> counts_;
  std::size_t last_;
};

bool cheaper(const Split& a, const Split& b) { return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss; }

void keep_unbeaten(std::vector<Split>& splits) {
  double least = kInfinity;
  std::erase_if(splits, [&](const Split& split) {
    bool beaten = split.loss >= least;
    least = std::min(least, split.loss);
    return beaten;
  });
}

void check(const SplitProblem& problem) {
  TAILOR_CHECK(problem.channels > 0 && problem.units > 0 && !problem.options.empty() && problem.cost);
  for (const SplitOption& option : problem.options) {
    TAILOR_CHECK(option.unit >= 0 && option.unit < problem.units);
    TAILOR_CHECK(option.cycles.size() == static_cast<std::size_t>(problem.channels) + 1);
    TAILOR_CHECK(option.loss.size() == static_cast<std::size_t>(problem.channels));
  }
}

// Options that cannot take a single channel only cost time.
std::vector<std::size_t> usable(const SplitProblem& problem) {
  std::vector<std::size_t> list;
  for (std::size_t o = 0; o < problem.options.size(); ++o)
    if (std::isfinite(cycles_of(problem, o, problem.whole ? problem.channels : 1))) list.push_back(o);
  return list;
}

SplitProblem only(const SplitProblem& problem, const std::vector<std::size_t>& options) {
  SplitProblem smaller{problem.channels, problem.units, {}, problem.whole, problem.cost};
  for (std::size_t o : options) smaller.options.push_back(problem.options[o]);
  return smaller;
}

}  // namespace

Splits find_splits(const SplitProblem& problem, const SplitOptions& options) {
  check(problem);
  Splits result;
  const std::vector<std::size_t> used = usable(problem);
  if (used.empty()) return result;
  SplitProblem smaller = only(problem, used);
  while (splits_with(problem.channels, used.size(), result.step) > static_cast<double>(options.most) &&
         result.step < problem.channels)
    ++result.step;
  result.splits = problem.whole ? whole_splits(smaller) : Walk(smaller, result.step).splits;
  if (problem.whole) result.step = 1;
  for (Split& split : result.splits) {
    std::vector<int> counts(problem.options.size());
    for (std::size_t i = 0; i < used.size(); ++i) counts[used[i]] = split.counts[i];
    split.counts = std::move(counts);
  }
  std::stable_sort(result.splits.begin(), result.splits.end(), cheaper);
  if (options.pareto) keep_unbeaten(result.splits);
  return result;
}

std::vector<int> assign_channels(const SplitProblem& problem, const std::vector<int>& counts) {
  check(problem);
  TAILOR_CHECK(counts.size() == problem.options.size() &&
               std::accumulate(counts.begin(), counts.end(), 0) == problem.channels);
  const int last = static_cast<int>(counts.size()) - 1;
  Assignment state(problem, last);
  for (int option = 0; option < last; ++option)
    for (int i = 0; i < counts[static_cast<std::size_t>(option)]; ++i) state.move(last, option);
  return state.options();
}

Split split_with(const SplitProblem& problem, const std::vector<int>& counts) {
  const std::vector<int> options = assign_channels(problem, counts);
  double loss = 0;
  for (std::size_t c = 0; c < options.size(); ++c)
    loss += problem.options[static_cast<std::size_t>(options[c])].loss[c];
  return price(problem, counts, loss);
}

FreeChannels free_channels(const SplitProblem& problem, const Splits& splits, int option) {
  const auto o = static_cast<std::size_t>(option);
  auto fewer = [o](const Split& a, const Split& b) { return a.counts[o] < b.counts[o]; };
  auto end = std::find_if(splits.splits.begin(), splits.splits.end(),
                          [&](const Split& split) { return split.cost > splits.splits.front().cost; });
  auto [least, most] = std::minmax_element(splits.splits.begin(), end, fewer);
  FreeChannels result{option, least->counts[o], most->counts[o], most->cost, 0, kInfinity, 0};
  const auto unit = static_cast<std::size_t>(problem.options[o].unit);
  result.at_most = most->unit_cycles[unit];
  if (result.most < problem.channels)
    result.next =
        result.at_most - cycles_of(problem, o, result.most) + cycles_of(problem, o, result.most + 1);
  for (std::size_t u = 0; u < most->unit_cycles.size(); ++u)
    if (u != unit) result.limit = std::max(result.limit, most->unit_cycles[u]);
  return result;
}

}  // namespace tailor::plan
