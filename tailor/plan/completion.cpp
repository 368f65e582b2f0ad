// Placement for latency: completion simulates one sample; Sequence is the dynamic programme over ideals in
// which blocks run one after the other; place_for_latency lets an annealing improve its result by the real
// completion.
#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/plan/ideals.h"
#include "tailor/plan/pieces.h"
#include "tailor/plan/placement.h"
#include "tailor/plan/share.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Accelerators first, then one block for each operator on a CPU.
class Simulation {
 public:
  explicit Simulation(const OperatorGraph& graph) : graph_(graph), after_(graph.operators.size()) {
    for (auto [from, to] : graph.edges) after_[static_cast<std::size_t>(from)].push_back(to);
  }

  double run(const std::vector<int>& device) {
    find_blocks(device);
    connect();
    return simulate();
  }

 private:
  std::size_t block_of(std::size_t v) const { return static_cast<std::size_t>(block_[v]); }

  void find_blocks(const std::vector<int>& device) {
    block_.resize(device.size());
    time_.assign(static_cast<std::size_t>(graph_.accelerators), 0.0);
    for (std::size_t v = 0; v < device.size(); ++v) {
      const Operator& op = graph_.operators[v];
      if (device[v] < graph_.accelerators) {
        block_[v] = device[v], time_[block_of(v)] += op.accelerator;
      } else {
        block_[v] = static_cast<int>(time_.size());
        time_.push_back(op.cpu);
      }
    }
    readers_.assign(time_.size(), {}), waiting_.assign(time_.size(), 0);
  }

  // Each block that reads an output pays for it once if it is an accelerator, and so does the one that made it.
  void connect() {
    for (std::size_t v = 0; v < after_.size(); ++v) {
      read_by_.clear();
      for (int w : after_[v])
        if (block_of(static_cast<std::size_t>(w)) != block_of(v))
          read_by_.push_back(block_[static_cast<std::size_t>(w)]);
      if (read_by_.empty()) continue;
      std::sort(read_by_.begin(), read_by_.end());
      read_by_.erase(std::unique(read_by_.begin(), read_by_.end()), read_by_.end());
      const double cost = graph_.operators[v].transfer;
      if (is_accelerator(block_of(v))) time_[block_of(v)] += cost;
      for (int b : read_by_) {
        if (is_accelerator(static_cast<std::size_t>(b))) time_[static_cast<std::size_t>(b)] += cost;
        readers_[block_of(v)].push_back(b), ++waiting_[static_cast<std::size_t>(b)];
      }
    }
  }

  double simulate() {
    std::vector<double> begin(time_.size());
    std::vector<std::size_t> ready;
    for (std::size_t b = 0; b < time_.size(); ++b)
      if (waiting_[b] == 0) ready.push_back(b);
    double last = 0;
    for (std::size_t first = 0; first < ready.size(); ++first) {
      const double end = begin[ready[first]] + time_[ready[first]];
      last = std::max(last, end);
      for (int r : readers_[ready[first]]) {
        auto reader = static_cast<std::size_t>(r);
        begin[reader] = std::max(begin[reader], end);
        if (--waiting_[reader] == 0) ready.push_back(reader);
      }
    }
    return ready.size() == time_.size() ? last : kInfinity;
  }
  bool is_accelerator(std::size_t block) const {
    return block < static_cast<std::size_t>(graph_.accelerators);
  }

  const OperatorGraph& graph_;
  std::vector<std::vector<int>> after_;
  std::vector<int> block_, read_by_, waiting_;
  std::vector<double> time_;
  std::vector<std::vector<int>> readers_;
};

// Least sum of the times of blocks, for every ideal and number of accelerators used. Operators on CPUs come
// one by one.
class Sequence {
 public:
  Sequence(const OperatorGraph& graph, const Pieces& pieces, const Lattice& lattice, double limit,
           std::uint64_t most_pairs)
      : lattice_(lattice),
        pieces_(pieces),
        share_(pieces),
        states_(static_cast<std::size_t>(graph.accelerators) + 1),
        cpus_(graph.cpus > 0),
        memory_(graph.memory),
        limit_(limit),
        most_pairs_(most_pairs),
        best_(states_ * lattice.size(), kInfinity),
        from_(states_ * lattice.size(), -1) {
    find_parents();
    best_[0] = 0;
    for (std::size_t ideal = 0; ideal + 1 < lattice.size() && pairs_ < most_pairs_; ++ideal) visit(ideal);
  }

  std::uint64_t pairs() const { return pairs_; }
  // Device of each piece; empty if nothing is below the limit.
  std::vector<int> device(int cpu) const {
    const std::size_t last = lattice_.size() - 1;
    auto state = static_cast<std::size_t>(
        std::min_element(best_.begin() + static_cast<std::ptrdiff_t>(last * states_), best_.end()) -
        best_.begin() - static_cast<std::ptrdiff_t>(last * states_));
    if (best_[last * states_ + state] == kInfinity) return {};
    std::vector<int> result(pieces_.size(), -1);
    for (std::size_t ideal = last; ideal != 0;) {
      const std::int64_t link = from_[ideal * states_ + state];
      const bool on_cpu = link & 1;
      const auto before = static_cast<std::size_t>(link >> 1);
      const int to = on_cpu ? cpu : static_cast<int>(--state);
      for (std::size_t i = ideal; i != 0; i = parent_[i])
        if (int& d = result[static_cast<std::size_t>(added_[i])]; d < 0) d = to;
      for (std::size_t i = before; i != 0; i = parent_[i]) result[static_cast<std::size_t>(added_[i])] = -1;
      ideal = before;
    }
    return result;
  }

 private:
  void find_parents() {
    parent_.assign(lattice_.size(), 0), added_.assign(lattice_.size(), -1), rest_.assign(lattice_.size(), 0);
    for (const Piece& piece : pieces_.pieces) rest_[0] += fastest(piece);
    for (std::size_t ideal = 0; ideal < lattice_.size(); ++ideal)
      for (std::size_t t = lattice_.begin[ideal]; t < lattice_.begin[ideal + 1]; ++t) {
        auto next = static_cast<std::size_t>(lattice_.next[t]);
        if (added_[next] >= 0) continue;
        parent_[next] = ideal, added_[next] = lattice_.piece[t];
        rest_[next] = rest_[ideal] - fastest(pieces_.pieces[static_cast<std::size_t>(lattice_.piece[t])]);
      }
  }
  double fastest(const Piece& piece) const {
    return cpus_ ? std::min(piece.cpu, piece.accelerator) : piece.accelerator;
  }

  void visit(std::size_t ideal) {
    const double* here = &best_[ideal * states_];
    least_ = *std::min_element(here, here + states_);
    if (least_ + rest_[ideal] >= limit_) return;
    start_ = ideal;
    if (cpus_)
      for (std::size_t t = lattice_.begin[ideal]; t < lattice_.begin[ideal + 1]; ++t)
        reach(static_cast<std::size_t>(lattice_.next[t]),
              pieces_.pieces[static_cast<std::size_t>(lattice_.piece[t])].cpu, true);
    share_.clear();
    extend(ideal, -1);
  }

  void extend(std::size_t ideal, int last) {
    for (std::size_t t = lattice_.begin[ideal]; t < lattice_.begin[ideal + 1] && pairs_ < most_pairs_; ++t) {
      const int piece = lattice_.piece[t];
      if (piece <= last) continue;
      const auto next = static_cast<std::size_t>(lattice_.next[t]);
      ++pairs_;
      share_.add(piece);
      if (share_.fits(memory_) && least_ + share_.work() + rest_[next] < limit_) {
        reach(next, share_.load(), false);
        extend(next, piece);
      }
      share_.remove(piece);
    }
  }

  void reach(std::size_t ideal, double time, bool on_cpu) {
    for (std::size_t state = 0; state + (on_cpu ? 0 : 1) < states_; ++state) {
      const double value = best_[start_ * states_ + state] + time;
      const std::size_t to = ideal * states_ + state + (on_cpu ? 0 : 1);
      if (value >= best_[to] || value + rest_[ideal] >= limit_) continue;
      best_[to] = value;
      from_[to] = static_cast<std::int64_t>(start_) << 1 | (on_cpu ? 1 : 0);
    }
  }

  const Lattice& lattice_;
  const Pieces& pieces_;
  Share share_;
  std::size_t states_, start_ = 0;  // accelerators used
  bool cpus_;
  double memory_, limit_, least_ = 0;
  std::uint64_t most_pairs_, pairs_ = 0;
  std::vector<double> best_;
  std::vector<std::int64_t> from_;
  std::vector<std::size_t> parent_;
  std::vector<int> added_;
  std::vector<double> rest_;  // least time of what is outside, one piece after the other
};

// Bytes on each accelerator, to refuse moves that do not fit.
struct Memory {
  const OperatorGraph& graph;
  const Pieces& pieces;
  std::vector<double> bytes;

  Memory(const OperatorGraph& of, const Pieces& with, const std::vector<int>& device)
      : graph(of), pieces(with), bytes(static_cast<std::size_t>(of.accelerators + of.cpus)) {
    for (std::size_t p = 0; p < with.size(); ++p)
      bytes[static_cast<std::size_t>(device[p])] += with.pieces[p].bytes;
  }
  bool fits(int piece, int to) const {
    const Piece& p = pieces.pieces[static_cast<std::size_t>(piece)];
    return to >= graph.accelerators ||
           (p.supported && bytes[static_cast<std::size_t>(to)] + p.bytes <= graph.memory);
  }
  void move(int piece, int from, int to) {
    const double size = pieces.pieces[static_cast<std::size_t>(piece)].bytes;
    bytes[static_cast<std::size_t>(from)] -= size, bytes[static_cast<std::size_t>(to)] += size;
  }
};

// A neighbour's device half of the time, else any.
int proposal(const Pieces& pieces, const std::vector<int>& device, int piece, int devices, Random& random) {
  const auto p = static_cast<std::size_t>(piece);
  const auto &before = pieces.before[p], &after = pieces.after[p];
  const std::size_t neighbours = before.size() + after.size();
  if (neighbours == 0 || random.below(2) == 0)
    return static_cast<int>(random.below(static_cast<std::size_t>(devices)));
  std::size_t n = random.below(neighbours);
  return device[static_cast<std::size_t>(n < before.size() ? before[n] : after[n - before.size()])];
}

// Simulated annealing of the completion; one CPU stands for all of them.
std::vector<int> anneal_completion(const OperatorGraph& graph, const Pieces& pieces, std::vector<int> device,
                                   std::uint64_t steps, std::uint64_t seed) {
  Random random(seed);
  Simulation simulation(graph);
  Memory memory(graph, pieces, device);
  std::vector<int> best = device, operators = operators_of(graph, pieces, device);
  double now = simulation.run(operators), least = now, temperature = 0.02 * now;
  const double factor = std::pow(1e-4, 1 / static_cast<double>(std::max<std::uint64_t>(steps, 1)));
  const int devices = graph.accelerators + (graph.cpus > 0 ? 1 : 0);
  auto put = [&](int piece, int to) {
    memory.move(piece, device[static_cast<std::size_t>(piece)], to);
    device[static_cast<std::size_t>(piece)] = to;
    for (int v : pieces.pieces[static_cast<std::size_t>(piece)].operators)
      operators[static_cast<std::size_t>(v)] = to;
  };
  for (std::uint64_t step = 0; step < steps; ++step, temperature *= factor) {
    int piece = static_cast<int>(random.below(pieces.size())), from = device[static_cast<std::size_t>(piece)];
    int to = proposal(pieces, device, piece, devices, random);
    if (to == from || !memory.fits(piece, to)) continue;
    put(piece, to);
    double then = simulation.run(operators);
    if (then > now && random.uniform() >= std::exp((now - then) / temperature)) {
      put(piece, from);
      continue;
    }
    now = then;
    if (now < least) least = now, best = device;
  }
  return best;
}

// The longest path if every operator ran where it is fastest and nothing had to be transferred.
double path_bound(const OperatorGraph& graph, const Pieces& pieces) {
  std::vector<double> end(graph.operators.size());
  OperatorGraph fastest = graph;
  fastest.accelerators = 0, fastest.cpus = 1;
  std::vector<bool> supported(graph.operators.size());
  for (const Piece& piece : pieces.pieces)
    for (int v : piece.operators)
      supported[static_cast<std::size_t>(v)] = piece.supported && graph.accelerators > 0;
  for (std::size_t v = 0; v < end.size(); ++v) {
    Operator& op = fastest.operators[v];
    double there = supported[v] ? op.accelerator : kInfinity;
    op.cpu = graph.cpus > 0 ? std::min(op.cpu, there) : there;
  }
  return completion(fastest, std::vector<int>(end.size(), 0));
}

void keep_better(const OperatorGraph& graph, const Pieces& pieces, const std::vector<int>& device,
                 Placement& best) {
  if (device.empty()) return;
  Placement other{operators_of(graph, pieces, device), 0};
  other.largest = completion(graph, other.device);
  if (loads(graph, other.device).possible && other.largest < best.largest) best = std::move(other);
}

}  // namespace

double completion(const OperatorGraph& graph, const std::vector<int>& device) {
  return Simulation(graph).run(device);
}

LatencyResult place_for_latency(const OperatorGraph& graph, const PlacementOptions& options) {
  check(graph);
  for (const Operator& op : graph.operators)
    if (op.backward)
      throw Error(Code::usage, "latency is that of one sample: a training step has none", op.name,
                  "ask for throughput, or give the graph of the inference");
  const Pieces pieces = contract(graph);
  LatencyResult result;
  result.pieces = pieces.size(), result.bound = path_bound(graph, pieces);
  if (pieces.size() > kMostPieces)
    throw Error(Code::bad_workload, fmt::format("more than {} pieces: too many for latency", kMostPieces), "",
                "ask for throughput, or give a coarser graph");
  for (const std::vector<int>& order : linear_orders(pieces)) {
    Pieces row = renumbered(pieces, order);
    Lattice lattice = chain(row.size());
    Sequence sequence(graph, row, lattice, kInfinity, options.most_pairs);
    keep_better(graph, row, sequence.device(graph.accelerators), result.best);
    result.pairs += sequence.pairs();
  }
  if (std::optional<Lattice> lattice = all_ideals(pieces, options.most_ideals)) {
    result.ideals = lattice->size();
    Sequence sequence(graph, pieces, *lattice, kInfinity, options.most_pairs / 100);
    keep_better(graph, pieces, sequence.device(graph.accelerators), result.best);
    result.pairs += sequence.pairs();
  }
  if (result.best.device.empty())
    throw Error(Code::goal_not_met, "no split fits the memory of the accelerators", "",
                fmt::format("{} accelerators of {:g} bytes: more of either, or a CPU", graph.accelerators,
                            graph.memory));
  result.sequential = result.best.largest;
  std::vector<int> start;
  for (const Piece& piece : pieces.pieces)
    start.push_back(result.best.device[static_cast<std::size_t>(piece.operators.front())]);
  // A simulation is some hundred times the work of a step of the other search.
  keep_better(graph, pieces, anneal_completion(graph, pieces, start, options.search_steps / 40, options.seed),
              result.best);
  return result;
}

}  // namespace tailor::plan
