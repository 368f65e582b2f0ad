// Builder: depth first from the top, one node per (level, values that later rules read), remembered. of_list: the same
// nodes from a sorted list, by its prefixes. at, index_of and walk go down one path.
#include "tailor/tune/diagram.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace tailor::tune {
namespace {

constexpr int kEnd = -2, kNothing = -1;
constexpr std::size_t kMostNodes = 400000, kMostSteps = 3000000;
constexpr std::uint64_t kMost = std::uint64_t{1} << 62;

std::size_t place(int index) { return static_cast<std::size_t>(index); }

[[noreturn]] void too_entangled() {
  throw Error(Code::bad_space,
              fmt::format("the conditions tie the parameters into more than {} cases", kMostNodes),
              "configuration space", "put parameters that share conditions next to each other");
}

}  // namespace

class Diagram::Builder {
 public:
  Builder(Diagram& diagram, const std::vector<Rule>& rules)
      : d_(diagram), ending_(d_.sizes_.size()), read_later_(d_.sizes_.size()), known_(d_.sizes_.size()) {
    for (const Rule& rule : rules) {
      const int last = rule.reads.back();
      ending_[place(last)].push_back(&rule);
      for (int read : rule.reads)
        for (int level = read + 1; level <= last; ++level) read_later_[place(level)].push_back(read);
    }
    for (auto& reads : read_later_) {
      std::sort(reads.begin(), reads.end());
      reads.erase(std::unique(reads.begin(), reads.end()), reads.end());
    }
  }

  int build(int level, Configuration& chosen) {
    if (place(level) == d_.sizes_.size()) return kEnd;
    std::vector<int> seen;
    for (int read : read_later_[place(level)]) seen.push_back(chosen[place(read)]);
    auto found = known_[place(level)].find(seen);
    if (found != known_[place(level)].end()) return found->second;
    const int made = make(level, chosen);
    known_[place(level)].emplace(std::move(seen), made);
    return made;
  }

 private:
  bool allowed(int level, const Configuration& chosen) const {
    const auto& rules = ending_[place(level)];
    return std::all_of(rules.begin(), rules.end(), [&](const Rule* rule) { return rule->holds(chosen); });
  }
  int make(int level, Configuration& chosen) {
    Node node;
    node.child.assign(place(d_.sizes_[place(level)]), kNothing);
    for (int value = 0; value < d_.sizes_[place(level)]; ++value) {
      chosen[place(level)] = value;
      if (++steps_ > kMostSteps) too_entangled();
      if (!allowed(level, chosen)) continue;
      const int child = build(level + 1, chosen);
      if (child == kNothing) continue;
      node.child[place(value)] = child;
      node.count += d_.count_below(child);
      if (node.count > kMost)
        throw Error(Code::bad_space, "more than 2^62 configurations", "configuration space");
    }
    chosen[place(level)] = 0;
    if (node.count == 0) return kNothing;
    if (d_.nodes_.size() >= kMostNodes) too_entangled();
    d_.nodes_.push_back(std::move(node));
    return static_cast<int>(d_.nodes_.size()) - 1;
  }

  Diagram& d_;
  std::vector<std::vector<const Rule*>> ending_;        // per level: rules that can be asked there
  std::vector<std::vector<int>> read_later_;            // per level: chosen before, read there or later
  std::vector<std::map<std::vector<int>, int>> known_;  // per level: values of those -> node
  std::size_t steps_ = 0;
};

Diagram Diagram::of_rules(std::vector<int> sizes, const std::vector<Rule>& rules) {
  Diagram diagram;
  diagram.sizes_ = std::move(sizes);
  Configuration chosen(diagram.sizes_.size(), 0);
  if (!diagram.sizes_.empty()) diagram.root_ = Builder(diagram, rules).build(0, chosen);
  return diagram;
}

Diagram Diagram::of_list(std::vector<int> sizes, std::vector<Configuration> list) {
  Diagram diagram;
  diagram.sizes_ = std::move(sizes);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  if (list.empty() || diagram.sizes_.empty()) return diagram;
  const int levels = static_cast<int>(diagram.sizes_.size());
  // Of the rows first..last, which share everything above `level`.
  const std::function<int(int, std::size_t, std::size_t)> build = [&](int level, std::size_t first,
                                                                      std::size_t last) -> int {
    if (level == levels) return kEnd;
    Node node;
    node.count = last - first;
    node.child.assign(place(diagram.sizes_[place(level)]), kNothing);
    while (first < last) {
      const int value = list[first][place(level)];
      std::size_t end = first;
      while (end < last && list[end][place(level)] == value) ++end;
      node.child[place(value)] = build(level + 1, first, end);
      first = end;
    }
    diagram.nodes_.push_back(std::move(node));
    return static_cast<int>(diagram.nodes_.size()) - 1;
  };
  diagram.root_ = build(0, 0, list.size());
  return diagram;
}

std::uint64_t Diagram::count_below(int child) const {
  return child == kEnd ? 1 : child == kNothing ? 0 : nodes_[place(child)].count;
}

Configuration Diagram::at(std::uint64_t index) const {
  TAILOR_CHECK(index < count());
  Configuration configuration;
  for (int node = root_; node != kEnd;) {
    const Node& here = nodes_[place(node)];
    int value = 0;
    for (; index >= count_below(here.child[place(value)]); ++value)
      index -= count_below(here.child[place(value)]);
    configuration.push_back(value);
    node = here.child[place(value)];
  }
  return configuration;
}

std::optional<std::uint64_t> Diagram::index_of(const Configuration& configuration) const {
  if (root_ < 0 || configuration.size() != sizes_.size()) return std::nullopt;
  std::uint64_t index = 0;
  int node = root_;
  for (int value : configuration) {
    const Node& here = nodes_[place(node)];
    if (value < 0 || place(value) >= here.child.size() || here.child[place(value)] == kNothing)
      return std::nullopt;
    for (int before = 0; before < value; ++before) index += count_below(here.child[place(before)]);
    node = here.child[place(value)];
  }
  return index;
}

Configuration Diagram::walk(const std::function<int(int, const std::vector<int>&)>& choose) const {
  TAILOR_CHECK(root_ >= 0);
  Configuration configuration;
  for (int node = root_; node != kEnd;) {
    const Node& here = nodes_[place(node)];
    std::vector<int> values;
    for (int value = 0; place(value) < here.child.size(); ++value)
      if (here.child[place(value)] != kNothing) values.push_back(value);
    const int value = choose(static_cast<int>(configuration.size()), values);
    configuration.push_back(value);
    node = here.child[place(value)];
  }
  return configuration;
}

}  // namespace tailor::tune
