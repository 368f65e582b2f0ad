// relax: mini-bucket elimination upwards (Bucket: tables over a scope), greedy decoding downwards. search:
// relaxations for a geometric series of multipliers give bounds and starting points; repair() walks out of
// forbidden combinations; the Archive of non-dominated choices grows by changing one variable of one member
// at a time.
#include "tailor/plan/search.h"

#include "tailor/base/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Priced {
  std::vector<int> scope;  // any order
  std::vector<double> value;
};

std::size_t index_of(const Problem& problem, const std::vector<int>& scope, const std::vector<int>& choice) {
  std::size_t index = 0;
  for (int v : scope)
    index = index * static_cast<std::size_t>(problem.variables[v].candidates) +
            static_cast<std::size_t>(choice[v]);
  return index;
}

double entries_of(const Problem& problem, const std::vector<int>& scope) {
  double product = 1;
  for (int v : scope) product *= problem.variables[v].candidates;
  return product;
}

bool advance(const Problem& problem, const std::vector<int>& scope, std::vector<int>& choice) {
  for (std::size_t i = scope.size(); i-- > 0;) {
    if (++choice[scope[i]] < problem.variables[scope[i]].candidates) return true;
    choice[scope[i]] = 0;
  }
  return false;
}

std::vector<int> united(std::vector<int> a, const std::vector<int>& b) {
  for (int v : b)
    if (std::find(a.begin(), a.end(), v) == a.end()) a.push_back(v);
  return a;
}

// Sum of the tables for a choice.
double sum_at(const Problem& problem, const std::vector<const Priced*>& tables,
              const std::vector<int>& choice) {
  double sum = 0;
  for (const Priced* table : tables) sum += table->value[index_of(problem, table->scope, choice)];
  return sum;
}

double least_over(const Problem& problem, const std::vector<const Priced*>& tables, std::vector<int>& choice,
                  int variable, int* best_x = nullptr) {
  double least = infinity;
  for (int x = 0; x < problem.variables[variable].candidates; ++x) {
    choice[variable] = x;
    double sum = sum_at(problem, tables, choice);
    if (sum < least || (x == 0 && best_x)) least = sum, best_x ? void(*best_x = x) : void();
  }
  choice[variable] = 0;
  return least;
}

Priced minimised(const Problem& problem, const std::vector<const Priced*>& tables, int variable) {
  Priced result;
  for (const Priced* table : tables) result.scope = united(std::move(result.scope), table->scope);
  std::erase(result.scope, variable);
  std::vector<int> choice(problem.variables.size(), 0);
  do {
    result.value.push_back(least_over(problem, tables, choice, variable));
  } while (advance(problem, result.scope, choice));
  return result;
}

// Parts of the tables whose joint scope stays within max_entries; larger tables first.
std::vector<std::vector<const Priced*>> parts_of(const Problem& problem, std::vector<const Priced*> tables,
                                                 std::size_t max_entries) {
  std::stable_sort(tables.begin(), tables.end(),
                   [](const Priced* a, const Priced* b) { return a->scope.size() > b->scope.size(); });
  std::vector<std::vector<const Priced*>> parts;
  std::vector<std::vector<int>> scopes;
  for (const Priced* table : tables) {
    std::size_t p = 0;
    while (p < parts.size() &&
           entries_of(problem, united(scopes[p], table->scope)) > static_cast<double>(max_entries))
      ++p;
    if (p == parts.size()) parts.emplace_back(), scopes.emplace_back();
    parts[p].push_back(table);
    scopes[p] = united(scopes[p], table->scope);
  }
  return parts;
}

Priced priced(const Factor& factor, Prices prices) {
  Priced result{factor.scope, {}};
  for (const Cost& cost : factor.table)
    result.value.push_back(std::isinf(cost.latency_us)
                               ? infinity
                               : cost.latency_us * prices.per_us + cost.loss * prices.per_loss);
  return result;
}

// The factors of each variable.
std::vector<std::vector<int>> factors_of(const Problem& problem) {
  std::vector<std::vector<int>> result(problem.variables.size());
  for (std::size_t f = 0; f < problem.factors.size(); ++f)
    for (int v : problem.factors[f].scope) result[v].push_back(static_cast<int>(f));
  return result;
}

bool forbidden(const Problem& problem, const Factor& factor, const std::vector<int>& choice) {
  return std::isinf(factor.table[table_index(problem, factor, choice)].latency_us);
}

// Min-conflicts (Minton et al. 1992): changes variables of forbidden combinations until none is left or the
// tries are up.
void repair(const Problem& problem, std::vector<int>& choice) {
  Random random(1);
  const auto touching = factors_of(problem);
  for (int tries = 0; tries < 2000; ++tries) {
    std::vector<int> broken;
    for (std::size_t f = 0; f < problem.factors.size(); ++f)
      if (forbidden(problem, problem.factors[f], choice)) broken.push_back(static_cast<int>(f));
    if (broken.empty()) return;
    const std::vector<int>& scope = problem.factors[broken[random.below(broken.size())]].scope;
    const int v = scope[random.below(scope.size())];
    std::vector<int> best;
    std::ptrdiff_t least = std::numeric_limits<std::ptrdiff_t>::max();
    for (int x = 0; x < problem.variables[v].candidates; ++x) {
      choice[v] = x;
      auto conflicts = std::count_if(touching[v].begin(), touching[v].end(),
                                     [&](int f) { return forbidden(problem, problem.factors[f], choice); });
      if (conflicts < least) least = conflicts, best.clear();
      if (conflicts == least) best.push_back(x);
    }
    choice[v] = best[random.below(best.size())];
  }
}

class Archive {
 public:
  explicit Archive(const SearchLimits& limits) : limits_(limits) {}

  bool wants(const Cost& cost) const {
    if (!std::isfinite(cost.latency_us) || cost.latency_us > limits_.budget_us) return false;
    auto at = place(cost);
    if (at != members_.begin() && std::prev(at)->found.cost.loss <= cost.loss) return false;
    return at == members_.end() || at->found.cost.latency_us > cost.latency_us ||
           at->found.cost.loss > cost.loss;
  }

  void add(const Cost& cost, const std::vector<int>& choice) {
    if (!wants(cost)) return;
    auto at = members_.begin() + (place(cost) - members_.begin());
    auto end = at;
    while (end != members_.end() && end->found.cost.loss >= cost.loss) ++end;
    at = members_.erase(at, end);
    if (members_.size() < limits_.max_points) members_.insert(at, {{cost, choice}, false});
  }

  // A member whose neighbours were not looked at; nullptr if there is none. Round robin over the front.
  const Found* next() {
    for (std::size_t n = 0; n < members_.size(); ++n) {
      cursor_ = (cursor_ + 7) % members_.size();
      for (std::size_t i = cursor_; i < members_.size(); ++i)
        if (!members_[i].expanded) return members_[i].expanded = true, &members_[i].found;
      cursor_ = 0;
    }
    return nullptr;
  }

  std::vector<Found> front() const {
    std::vector<Found> result;
    for (const Member& member : members_) result.push_back(member.found);
    return result;
  }

 private:
  struct Member {
    Found found;
    bool expanded;
  };

  std::vector<Member>::const_iterator place(const Cost& cost) const {
    return std::lower_bound(
        members_.begin(), members_.end(), cost.latency_us,
        [](const Member& m, double latency) { return m.found.cost.latency_us < latency; });
  }

  const SearchLimits& limits_;
  std::vector<Member> members_;
  std::size_t cursor_ = 0;
};

std::vector<Prices> multipliers(const Problem& problem) {
  double latency = 0, loss = 0;
  for (const Factor& factor : problem.factors) {
    Cost most;
    for (const Cost& cost : factor.table) {
      if (std::isinf(cost.latency_us)) continue;
      most = {std::max(most.latency_us, cost.latency_us), std::max(most.loss, cost.loss)};
    }
    latency += most.latency_us, loss += most.loss;
  }
  std::vector<Prices> result{{0, 1}, {1, 0}};
  if (latency > 0 && loss > 0)
    for (double factor = 1.0 / 64; factor <= 64; factor *= 2) result.push_back({factor * loss / latency, 1});
  return result;
}

// Cost of `from` with variable v set to x.
Cost changed(const Problem& problem, const std::vector<int>& factors, const Found& from, std::size_t v,
             int x) {
  Cost cost = from.cost;
  std::vector<int> choice = from.choice;
  for (int f : factors) {
    const Factor& factor = problem.factors[f];
    choice[v] = from.choice[v];
    const Cost& before = factor.table[table_index(problem, factor, choice)];
    choice[v] = x;
    const Cost& after = factor.table[table_index(problem, factor, choice)];
    cost.latency_us += after.latency_us - before.latency_us;
    cost.loss += after.loss - before.loss;
  }
  return cost;
}

std::size_t add_neighbours(const Problem& problem, const std::vector<std::vector<int>>& touching, Found from,
                           Archive& archive) {
  std::size_t moves = 0;
  for (std::size_t v = 0; v < from.choice.size(); ++v)
    for (int x = 0; x < problem.variables[v].candidates; ++x) {
      if (x == from.choice[v]) continue;
      ++moves;
      Cost cost = changed(problem, touching[v], from, v, x);
      if (!archive.wants(cost)) continue;
      std::vector<int> choice = from.choice;
      choice[v] = x;
      archive.add(evaluate(problem, choice), choice);  // no rounding error of differences in the archive
    }
  return moves;
}

}  // namespace

Relaxation relax(const Problem& problem, Prices prices, std::size_t max_entries) {
  std::vector<Priced> tables;
  tables.reserve(problem.factors.size());
  for (const Factor& factor : problem.factors) tables.push_back(priced(factor, prices));
  std::vector<const Priced*> open;
  for (const Priced& table : tables) open.push_back(&table);
  std::vector<std::pair<int, std::vector<const Priced*>>> buckets;
  std::vector<std::unique_ptr<Priced>> made;
  for (int v : min_fill_order(problem)) {
    auto mine = std::stable_partition(open.begin(), open.end(), [&](const Priced* table) {
      return std::find(table->scope.begin(), table->scope.end(), v) == table->scope.end();
    });
    buckets.emplace_back(v, std::vector<const Priced*>(mine, open.end()));
    open.erase(mine, open.end());
    for (const auto& part : parts_of(problem, buckets.back().second, max_entries)) {
      made.push_back(std::make_unique<Priced>(minimised(problem, part, v)));
      open.push_back(made.back().get());
    }
  }
  Relaxation result{prices, 0, std::vector<int>(problem.variables.size(), 0)};
  for (const Priced* table : open) result.bound += table->value[0];
  for (std::size_t b = buckets.size(); b-- > 0;) {
    int best = 0;
    least_over(problem, buckets[b].second, result.choice, buckets[b].first, &best);
    result.choice[buckets[b].first] = best;
  }
  return result;
}

double SearchResult::loss_bound(double latency_us) const {
  double bound = 0;
  for (const Relaxation& relaxation : relaxations)
    if (relaxation.prices.per_loss > 0)
      bound = std::max(bound, relaxation.bound - relaxation.prices.per_us * latency_us);
  return bound;
}

SearchResult search(const Problem& problem, const SearchLimits& limits) {
  SearchResult result;
  Archive archive(limits);
  for (Prices prices : multipliers(problem)) {
    result.relaxations.push_back(relax(problem, prices, limits.max_entries));
    std::vector<int> choice = result.relaxations.back().choice;
    repair(problem, choice);
    archive.add(evaluate(problem, choice), choice);
  }
  const auto touching = factors_of(problem);
  std::size_t moves = 0;
  for (const Found* member = archive.next(); member && moves < limits.max_moves; member = archive.next())
    moves += add_neighbours(problem, touching, *member, archive);
  result.front = archive.front();
  return result;
}

}  // namespace tailor::plan
