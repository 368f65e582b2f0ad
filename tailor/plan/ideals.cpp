// all_ideals grows ideals by one piece, level by level, so that their numbers are a topological order of the
// lattice. Sweep goes from one ideal to all larger ones that a single device can add, and hands each to a
// visitor with the loads. best_split keeps per ideal the least largest load for every number of accelerators
// and CPUs used; an ideal is settled when the sweep gets to it, since only smaller ones lead there.
#include "tailor/plan/ideals.h"

#include "tailor/plan/share.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Set = std::vector<std::uint64_t>;
struct SetHash {
  std::size_t operator()(const Set& set) const {
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    for (std::uint64_t word : set) hash = (hash ^ word) * 0xBF58476D1CE4E5B9u, hash ^= hash >> 29;
    return static_cast<std::size_t>(hash);
  }
};
bool holds(const Set& set, int piece) {
  return set[static_cast<std::size_t>(piece) / 64] >> (piece % 64) & 1;
}
void put(Set& set, int piece) {
  set[static_cast<std::size_t>(piece) / 64] |= std::uint64_t{1} << (piece % 64);
}

struct Ideal {
  Set set;
  std::vector<int> ready;  // pieces that can be added, increasing
};

// What is ready once `piece` is in.
std::vector<int> ready_after(const Pieces& pieces, const Ideal& ideal, int piece, const Set& grown) {
  std::vector<int> ready;
  for (int p : ideal.ready)
    if (p != piece) ready.push_back(p);
  for (int p : pieces.after[static_cast<std::size_t>(piece)]) {
    const auto& before = pieces.before[static_cast<std::size_t>(p)];
    if (std::all_of(before.begin(), before.end(), [&](int q) { return holds(grown, q); })) ready.push_back(p);
  }
  std::sort(ready.begin(), ready.end());
  ready.erase(std::unique(ready.begin(), ready.end()), ready.end());
  return ready;
}

Ideal empty_ideal(const Pieces& pieces) {
  Ideal empty{Set(pieces.size() / 64 + 1), {}};
  for (std::size_t p = 0; p < pieces.size(); ++p)
    if (pieces.before[p].empty()) empty.ready.push_back(static_cast<int>(p));
  return empty;
}

// Devices used so far: state = cpus * (accelerators + 1) + accelerators.
class Programme {
 public:
  Programme(const OperatorGraph& graph, const Pieces& pieces, const Lattice& lattice, double limit,
            std::uint64_t most_pairs)
      : lattice_(lattice),
        pieces_(pieces),
        share_(pieces),
        taken_over_(pieces),
        accelerators_(static_cast<std::size_t>(graph.accelerators)),
        cpus_(static_cast<std::size_t>(graph.cpus)),
        states_((accelerators_ + 1) * (cpus_ + 1)),
        memory_(graph.memory),
        most_pairs_(most_pairs),
        goal_(states_),
        best_(states_ * lattice.size(), kInfinity),
        from_(states_ * lattice.size(), -1) {
    set_limit(limit);
    find_parents();
    best_[0] = 0;
    for (std::size_t ideal = 0; ideal + 1 < lattice.size() && complete_; ++ideal) sweep(ideal);
  }

  SplitSearch result() const {
    SplitSearch found{{}, limit_, complete_, pairs_};
    if (goal_ == states_) return found;
    found.device.assign(pieces_.size(), -1);
    std::size_t ideal = lattice_.size() - 1, state = goal_;
    for (auto accelerator = 0, cpu = static_cast<int>(accelerators_); ideal != 0;) {
      const std::int64_t link = from_[ideal * states_ + state];
      const bool on_cpu = link & 1;
      assign(found.device, ideal, on_cpu ? cpu++ : accelerator++);
      state -= on_cpu ? accelerators_ + 1 : 1;
      ideal = static_cast<std::size_t>(link >> 1);
      for (std::size_t inside = ideal; inside != 0; inside = parent_[inside])
        found.device[static_cast<std::size_t>(added_[inside])] = -1;
    }
    return found;
  }

 private:
  std::size_t accelerators_used(std::size_t state) const { return state % (accelerators_ + 1); }
  std::size_t cpus_used(std::size_t state) const { return state / (accelerators_ + 1); }

  // Pieces of the ideal that have no device yet.
  void assign(std::vector<int>& device, std::size_t ideal, int to) const {
    for (; ideal != 0; ideal = parent_[ideal])
      if (int& d = device[static_cast<std::size_t>(added_[ideal])]; d < 0) d = to;
  }

  // How each ideal can be reached, and the accelerators' work that it leaves.
  void find_parents() {
    parent_.assign(lattice_.size(), 0), added_.assign(lattice_.size(), -1), rest_.assign(lattice_.size(), 0);
    for (const Piece& piece : pieces_.pieces) rest_[0] += piece.accelerator;
    for (std::size_t ideal = 0; ideal < lattice_.size(); ++ideal)
      for (std::size_t t = lattice_.begin[ideal]; t < lattice_.begin[ideal + 1]; ++t) {
        auto next = static_cast<std::size_t>(lattice_.next[t]);
        if (added_[next] >= 0) continue;
        parent_[next] = ideal, added_[next] = lattice_.piece[t];
        rest_[next] = rest_[ideal] - pieces_.pieces[static_cast<std::size_t>(added_[next])].accelerator;
      }
  }

  // What the devices that a state has left can do below the limit.
  void set_limit(double limit) {
    limit_ = limit;
    capacity_.clear();
    for (std::size_t state = 0; state < states_; ++state) {
      auto accelerators = static_cast<double>(accelerators_ - accelerators_used(state)),
           cpus = static_cast<double>(cpus_ - cpus_used(state));
      double all =
          (accelerators > 0 ? accelerators * limit : 0) + (cpus > 0 ? taken_over_.in(cpus * limit) : 0);
      capacity_.push_back(all * (1 + 1e-12) + 1e-12);
    }
  }

  void sweep(std::size_t ideal) {
    live_.clear();
    for (std::size_t state = 0; state + 1 < states_; ++state)
      if (best_[ideal * states_ + state] < limit_ && rest_[ideal] <= capacity_[state]) live_.push_back(state);
    start_ = ideal;
    share_.clear();
    if (!live_.empty()) extend(ideal, -1);
  }

  void extend(std::size_t ideal, int last) {
    for (std::size_t t = lattice_.begin[ideal]; t < lattice_.begin[ideal + 1] && complete_; ++t) {
      const int piece = lattice_.piece[t];
      if (piece <= last) continue;
      const auto next = static_cast<std::size_t>(lattice_.next[t]);
      if (++pairs_ > most_pairs_) complete_ = false;
      share_.add(piece);
      bool accelerator = accelerators_ > 0 && share_.fits(memory_) && share_.work()<limit_, cpu = cpus_> 0 &&
                         share_.cpu() < limit_;
      if (accelerator && share_.load() < limit_) reach(next, share_.load(), false);
      if (cpu) reach(next, share_.cpu(), true);
      if (accelerator || cpu) extend(next, piece);
      share_.remove(piece);
    }
  }

  // One device more takes everything between start_ and `ideal`.
  void reach(std::size_t ideal, double load, bool on_cpu) {
    for (std::size_t state : live_) {
      if (on_cpu ? cpus_used(state) == cpus_ : accelerators_used(state) == accelerators_) continue;
      const std::size_t to = state + (on_cpu ? accelerators_ + 1 : 1);
      const double value = std::max(best_[start_ * states_ + state], load);
      double& known = best_[ideal * states_ + to];
      if (value >= known || value >= limit_ || rest_[ideal] > capacity_[to]) continue;
      known = value;
      from_[ideal * states_ + to] = static_cast<std::int64_t>(start_) << 1 | (on_cpu ? 1 : 0);
      if (ideal + 1 == lattice_.size()) goal_ = to, set_limit(value);
    }
  }

  const Lattice& lattice_;
  const Pieces& pieces_;
  Share share_;
  TakenOver taken_over_;
  std::size_t accelerators_, cpus_, states_;
  double memory_, limit_ = 0;
  std::uint64_t most_pairs_, pairs_ = 0;
  bool complete_ = true;
  std::size_t goal_;                // state of the best split of everything; states_: none
  std::vector<double> best_;        // ideals x states: least largest load
  std::vector<std::int64_t> from_;  // ideals x states: ideal before, doubled, plus 1 for a CPU
  std::vector<std::size_t> parent_;
  std::vector<int> added_;
  std::vector<double> rest_, capacity_;
  std::vector<std::size_t> live_;
  std::size_t start_ = 0;
};

}  // namespace

std::optional<Lattice> all_ideals(const Pieces& pieces, std::size_t most) {
  Lattice lattice;
  lattice.begin = {0};
  std::vector<Ideal> level{empty_ideal(pieces)};
  std::size_t known = 1;
  while (!level.empty()) {
    std::unordered_map<Set, int, SetHash> numbers;
    std::vector<Ideal> larger;
    for (const Ideal& ideal : level) {
      for (int piece : ideal.ready) {
        Set grown = ideal.set;
        put(grown, piece);
        auto [entry, added] = numbers.try_emplace(grown, static_cast<int>(known + larger.size()));
        if (added) larger.push_back({grown, ready_after(pieces, ideal, piece, grown)});
        lattice.piece.push_back(piece), lattice.next.push_back(entry->second);
      }
      lattice.begin.push_back(lattice.piece.size());
    }
    known += larger.size();
    if (known > most) return std::nullopt;
    level = std::move(larger);
  }
  return lattice;
}

Lattice chain(std::size_t pieces) {
  Lattice lattice;
  for (std::size_t i = 0; i < pieces; ++i) {
    lattice.begin.push_back(i);
    lattice.piece.push_back(static_cast<int>(i)), lattice.next.push_back(static_cast<int>(i) + 1);
  }
  lattice.begin.push_back(pieces), lattice.begin.push_back(pieces);
  return lattice;
}

SplitSearch best_split(const OperatorGraph& graph, const Pieces& pieces, const Lattice& lattice, double limit,
                       std::uint64_t most_pairs) {
  return Programme(graph, pieces, lattice, limit, most_pairs).result();
}

TakenOver::TakenOver(const Pieces& pieces) {
  std::vector<const Piece*> order;
  for (const Piece& piece : pieces.pieces)
    if (piece.accelerator > 0) order.push_back(&piece);
  std::stable_sort(order.begin(), order.end(), [](const Piece* a, const Piece* b) {
    return a->accelerator * b->cpu > b->accelerator * a->cpu;
  });
  points_ = {{0, 0}};
  for (const Piece* piece : order)
    points_.emplace_back(points_.back().first + piece->cpu, points_.back().second + piece->accelerator);
}

double TakenOver::in(double time) const {
  auto after = std::upper_bound(points_.begin(), points_.end(), time,
                                [](double t, const auto& point) { return t < point.first; });
  if (after == points_.end()) return points_.back().second;
  auto before = std::prev(after);  // the first point's time is 0
  return before->second +
         (time - before->first) / (after->first - before->first) * (after->second - before->second);
}

double load_bound(const OperatorGraph& graph, const Pieces& pieces) {
  double total = 0, low = 0;
  for (const Piece& piece : pieces.pieces) {
    total += piece.accelerator;
    double accelerator = graph.accelerators > 0 && piece.supported ? piece.accelerator : kInfinity,
           cpu = graph.cpus > 0 ? piece.cpu : kInfinity;
    low = std::max(low, std::min(accelerator, cpu));
  }
  TakenOver taken_over(pieces);
  auto enough = [&](double time) {
    return graph.accelerators * time + taken_over.in(graph.cpus * time) >= total;
  };
  double high = std::max(low, total);
  while (!enough(high) && high < 1e300) high = 2 * high + 1;
  for (int i = 0; i < 200 && low < high; ++i) {
    double middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return low;
}

}  // namespace tailor::plan
